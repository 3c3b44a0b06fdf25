//! A folder of images for each class: `train/cat/001.jpg`, or `cat/001.jpg` where there are no parts.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ffi::{OsStr, OsString},
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    Layout,
    alike::{alike, difference},
};
use crate::{
    catalog::{Catalog, Place, Sample, entries, is_hidden, is_image, name_of},
    division::Part,
    error::{AtPath, BadImage, DataError, ImageProblem},
};

/// The layout.
pub struct ImageFolder;

/// How deep folders are looked into.
const DEEPEST: usize = 32;

impl Layout for ImageFolder {
    fn name(&self) -> &'static str {
        "image-folder"
    }

    fn holds(&self) -> &'static str {
        "a folder of images for each class, below `train`, `val` and `test` or without them"
    }

    fn matches(&self, root: &Path) -> Result<bool, DataError> {
        for folder in folders(root)? {
            if holds_image(&folder)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn catalog(&self, root: &Path) -> Result<Catalog, DataError> {
        let parts = parts(root)?;
        let mut found = Found {
            images: Vec::new(),
            missed: HashMap::new(),
            catalog: Catalog::empty(self.name(), root),
        };
        if parts.is_empty() {
            folders_are_classes(root)?;
            found.part(Part::Train, root)?;
        } else if !parts.contains_key(&Part::Train) {
            let hint = "name the folder of the images to train on `train`";
            return Err(DataError::layout(root, "has parts, but none to train on", hint));
        } else {
            let is_part = |path: &PathBuf| parts.values().any(|part| part == path);
            for path in entries(root)?.into_iter().filter(|path| !is_part(path)) {
                if is_dangling(&path) {
                    found.refuse_link(&path);
                    continue;
                }
                found.skip(if path.is_dir() && !is_hidden(&path) {
                    "folder that is no part".into()
                } else {
                    foreign(&path)
                });
                if path.is_dir() && Part::named(&name_of(&path)).is_some() {
                    let notice =
                        format!("`{}` holds no images in folders of classes", name_of(&path));
                    found.catalog.notices.push(format!("{notice}, and is left out"));
                }
            }
        }
        for (part, folder) in parts {
            found.part(part, &folder)?;
        }
        found.catalog()
    }
}

/// The folders of a set's parts; none where all folders are classes. A class may be called like a part, but
/// it holds images itself.
fn parts(root: &Path) -> Result<BTreeMap<Part, PathBuf>, DataError> {
    let mut parts: BTreeMap<Part, PathBuf> = BTreeMap::new();
    for folder in folders(root)? {
        let Some(part) = Part::named(&name_of(&folder)) else { continue };
        let mut holds_class = false;
        for below in folders(&folder)? {
            // What may not be read is refused as a class: the part is not left out for its sake.
            holds_class = holds_class || is_denied(&below) || holds_image(&below)?;
        }
        if !holds_class {
            continue;
        }
        if let Some(other) = parts.insert(part, folder.clone()) {
            let [other, folder] = [&other, &folder].map(|path| name_of(path));
            let reason = format!("`{other}` and `{folder}` are both the {} part", part.name());
            return Err(DataError::layout(root, reason, "leave one of them in the folder"));
        }
    }
    Ok(parts)
}

/// That no parts would be taken for classes: those of a set that lies one folder deeper, or parts without
/// classes.
fn folders_are_classes(root: &Path) -> Result<(), DataError> {
    let folders = folders(root)?;
    for folder in &folders {
        if let Some(part) = parts(folder)?.into_values().next() {
            let reason = format!("`{}` lies in a class", name_of(&part));
            return Err(DataError::layout(root, reason, format!("give {}", folder.display())));
        }
    }
    if folders.iter().all(|folder| Part::named(&name_of(folder)).is_some()) {
        let reason = "the images of its parts are in no classes";
        let hint = "put the images of each class into a folder: train/cat/1.jpg";
        return Err(DataError::layout(root, reason, hint));
    }
    Ok(())
}

/// What was found so far.
struct Found {
    /// Part, class, and path from the root.
    images: Vec<(Part, OsString, PathBuf)>,
    /// Of each class of the training part the first image, folder or link that is not used, by its path from
    /// the root, and why: it may be all that there is of the class.
    missed: HashMap<OsString, (String, String)>,
    /// The set, as yet without images.
    catalog: Catalog,
}

impl Found {
    fn skip(&mut self, what: impl Into<String>) {
        *self.catalog.skipped.entry(what.into()).or_default() += 1;
    }

    /// A path from the root, for messages.
    fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.catalog.root).unwrap_or(path).display().to_string()
    }

    /// A link to nothing may have been a class, or a part: what lies there is missed.
    fn refuse_link(&mut self, path: &Path) {
        let (file, problem) = (self.shown(path), ImageProblem::DanglingLink);
        self.catalog.refused.push(BadImage { file, class: None, problem });
    }

    /// An image of a class, or a folder of them, that cannot be used.
    fn refuse(&mut self, part: Part, class: &OsStr, path: &Path, problem: ImageProblem) {
        self.miss(part, class, path, &problem.to_string());
        let (file, class) = (self.shown(path), Some(class.display().to_string()));
        self.catalog.refused.push(BadImage { file, class, problem });
        self.catalog.refused_in.insert(part);
    }

    fn miss(&mut self, part: Part, class: &OsStr, path: &Path, why: &str) {
        if part == Part::Train {
            let missed = (self.shown(path), why.to_owned());
            self.missed.entry(class.to_owned()).or_insert(missed);
        }
    }

    /// Lists the classes of a part.
    fn part(&mut self, part: Part, folder: &Path) -> Result<(), DataError> {
        let below = entries(folder)?;
        let mut walk = Walk::of(folder, &below)?;
        for path in below {
            let class = path.file_name().unwrap_or_default().to_owned();
            if is_visible_folder(&path) {
                let before = self.images.len();
                self.class(part, &class, &path, &mut walk)?;
                if self.images.len() == before {
                    let class = class.display();
                    let part = part.name();
                    self.catalog
                        .notices
                        .push(format!("class {class} has no images in the {part} part"));
                }
            } else if is_dangling(&path) {
                self.refuse_link(&path);
                self.miss(part, &class, &path, &ImageProblem::DanglingLink.to_string());
            } else if is_image(path.extension()) && !is_hidden(&path) {
                self.skip("in no class");
            } else {
                self.skip(foreign(&path));
            }
        }
        Ok(())
    }

    /// Lists the images of a class, in folders below as well, each once.
    fn class(
        &mut self,
        part: Part,
        class: &OsStr,
        folder: &Path,
        walk: &mut Walk,
    ) -> Result<(), DataError> {
        let here = real(folder)?;
        if let Some(reason) = walk.refuses(&here, class) {
            self.catalog.notices.push(format!("{} {reason}: left out", folder.display()));
            self.miss(part, class, folder, reason);
            return Ok(());
        }
        let entries = match entries(folder) {
            Err(DataError::Storage { source, .. })
                if source.kind() == io::ErrorKind::PermissionDenied =>
            {
                self.refuse(part, class, folder, ImageProblem::unreadable(&source));
                return Ok(());
            }
            entries => entries?,
        };
        walk.above.push(here.clone());
        walk.seen.insert(here);
        for path in entries {
            let kind = fs::metadata(&path);
            let may_hold_images =
                is_image(path.extension()) || is_folder(&kind) || is_dangling(&path);
            if is_hidden(&path) || !may_hold_images {
                self.skip(foreign(&path));
            } else if is_folder(&kind) {
                self.class(part, class, &path, walk)?;
            } else {
                let problem = match kind {
                    Ok(kind) if kind.is_file() => {
                        let from_root = path.strip_prefix(&self.catalog.root).unwrap_or(&path);
                        self.images.push((part, class.to_owned(), from_root.to_owned()));
                        continue;
                    }
                    Ok(_) => ImageProblem::NoFile,
                    Err(_) if path.is_symlink() => ImageProblem::DanglingLink,
                    Err(error) => ImageProblem::unreadable(&error),
                };
                self.refuse(part, class, &path, problem);
            }
        }
        walk.above.pop();
        Ok(())
    }

    fn catalog(self) -> Result<Catalog, DataError> {
        let Self { images, missed, mut catalog } = self;
        let root = &catalog.root;
        let mut names: Vec<&OsString> = images
            .iter()
            .filter(|(part, ..)| *part == Part::Train)
            .map(|(_, class, _)| class)
            .collect();
        names.sort();
        names.dedup();
        let positions: HashMap<&OsString, u32> = names.iter().copied().zip(0..).collect();
        let mut samples = Vec::with_capacity(images.len());
        for (part, class, path) in &images {
            let Some(&position) = positions.get(class) else {
                let (reason, hint) = untrained(class, &names, missed.get(class));
                return Err(DataError::layout(&root.join(path), reason, hint));
            };
            let place = Place::File(path.clone());
            samples.push(Sample { part: *part, class: position, place });
        }
        catalog.samples = samples;
        let names: Vec<String> = names.iter().map(|name| name.display().to_string()).collect();
        catalog.name_classes(names);
        catalog.notices.extend(alike(&catalog.classes));
        Ok(catalog)
    }
}

/// Why images of a class are refused that has none in the training part, whose classes are `trained`, and
/// what to do about it.
fn untrained(
    class: &OsStr,
    trained: &[&OsString],
    missed: Option<&(String, String)>,
) -> (String, String) {
    let shown = class.display();
    if let Some((file, why)) = missed {
        let reason =
            format!("no image of class {shown} in the training part can be used: {file} {why}");
        return (reason, format!("mend {file}, or remove the class from all parts"));
    }
    let alike = trained.iter().find_map(|name| Some((name, difference(name, class)?)));
    let hint = match alike {
        Some((name, difference)) => format!(
            "its name and that of `{}` in the training part differ in {difference} only: rename one",
            name.display()
        ),
        None => "the classes of all parts must be those of the training part".into(),
    };
    (format!("no image of class {shown} is in the training part"), hint)
}

/// Whether a path is a link whose end is not there.
fn is_dangling(path: &Path) -> bool {
    path.is_symlink() && !path.exists() && !is_hidden(path)
}

/// The way through the folders of a part's classes, by their real paths. Images that two classes link to
/// would have two labels.
struct Walk {
    /// Folders that lead here, that of the part first.
    above: Vec<PathBuf>,
    /// Folders that were listed, of all classes.
    seen: HashSet<PathBuf>,
    /// The classes that are folders of the part.
    folders: HashMap<PathBuf, OsString>,
    /// The classes that are links in the part; of several to one folder the first.
    links: HashMap<PathBuf, OsString>,
}

impl Walk {
    /// The way into a part that has these entries.
    fn of(part: &Path, entries: &[PathBuf]) -> Result<Self, DataError> {
        let part = real(part)?;
        let (mut folders, mut links) = (HashMap::new(), HashMap::new());
        for path in entries.iter().filter(|path| is_visible_folder(path)) {
            let here = real(path)?;
            // A link that leads back is left out: not all that lies elsewhere is its own.
            if !part.starts_with(&here) {
                let classes = if path.is_symlink() { &mut links } else { &mut folders };
                let class = path.file_name().unwrap_or_default().to_owned();
                classes.entry(here).or_insert(class);
            }
        }
        Ok(Self { above: vec![part], seen: HashSet::new(), folders, links })
    }

    /// Why a folder is not listed in a class, if it is not.
    fn refuses(&self, here: &Path, class: &OsStr) -> Option<&'static str> {
        if self.above.iter().any(|above| above.starts_with(here)) {
            return Some("leads back to a folder above it");
        }
        if self.above.len() > DEEPEST {
            return Some("is more than 32 folders deep");
        }
        if self.seen.contains(here) {
            return Some("leads to a folder that is listed already");
        }
        let is_another = self.owner(here).is_some_and(|owner| owner != class);
        is_another.then_some("leads to a folder of another class")
    }

    /// The class that a folder belongs to, whatever links to it: that in which it lies, else that which is a
    /// link to it or to a folder above it.
    fn owner(&self, here: &Path) -> Option<&OsString> {
        let mut kinds = [&self.folders, &self.links].into_iter();
        kinds.find_map(|classes| here.ancestors().find_map(|above| classes.get(above)))
    }
}

fn is_folder(kind: &io::Result<fs::Metadata>) -> bool {
    kind.as_ref().is_ok_and(fs::Metadata::is_dir)
}

/// What a foreign file or folder is counted as.
fn foreign(path: &Path) -> String {
    if is_hidden(path) {
        return "hidden".into();
    }
    path.extension().map_or("no extension".into(), |extension| {
        format!(".{}", extension.to_string_lossy().to_lowercase())
    })
}

fn real(folder: &Path) -> Result<PathBuf, DataError> {
    fs::canonicalize(folder).at(folder)
}

fn folders(root: &Path) -> Result<Vec<PathBuf>, DataError> {
    Ok(entries(root)?.into_iter().filter(|path| is_visible_folder(path)).collect())
}

fn is_visible_folder(path: &Path) -> bool {
    path.is_dir() && !is_hidden(path)
}

/// Whether this user may not list a folder.
fn is_denied(folder: &Path) -> bool {
    fs::read_dir(folder).is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
}

/// Whether images lie in the folder or below it; a folder that may not be read holds none.
fn holds_image(folder: &Path) -> Result<bool, DataError> {
    holds_image_below(folder, &mut Vec::new(), &mut HashSet::new())
}

/// The same below folders that lead here, but for those that were `seen`: links may lead to them in many ways.
fn holds_image_below(
    folder: &Path,
    above: &mut Vec<PathBuf>,
    seen: &mut HashSet<PathBuf>,
) -> Result<bool, DataError> {
    let here = real(folder)?;
    let is_above = above.iter().any(|above| above.starts_with(&here));
    if is_above || above.len() > DEEPEST || !seen.insert(here.clone()) {
        return Ok(false);
    }
    let entries = match entries(folder) {
        Err(DataError::Storage { source, .. })
            if source.kind() == io::ErrorKind::PermissionDenied =>
        {
            return Ok(false);
        }
        entries => entries?,
    };
    if entries.iter().any(|path| is_image(path.extension()) && !is_hidden(path)) {
        return Ok(true);
    }
    above.push(here);
    for below in entries.iter().filter(|path| is_visible_folder(path)) {
        if holds_image_below(below, above, seen)? {
            return Ok(true);
        }
    }
    above.pop();
    Ok(false)
}
