//! A folder of images for each class: `train/cat/001.jpg`, or `cat/001.jpg` where there are no parts.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use super::Layout;
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
            if holds_image(&folder, &mut Vec::new())? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn catalog(&self, root: &Path) -> Result<Catalog, DataError> {
        let parts = parts(root)?;
        let catalog = Catalog::empty(self.name(), root);
        let mut found = Found { images: Vec::new(), catalog };
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
                    let notice = format!("`{}` holds no folders of classes", name_of(&path));
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
            holds_class = holds_class || holds_image(&below, &mut Vec::new())?;
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
    /// The set, as yet without images.
    catalog: Catalog,
}

impl Found {
    fn skip(&mut self, what: impl Into<String>) {
        *self.catalog.skipped.entry(what.into()).or_default() += 1;
    }

    /// A link to nothing may have been a class, or a part: what lies there is missed.
    fn refuse_link(&mut self, path: &Path) {
        let file = path.strip_prefix(&self.catalog.root).unwrap_or(path).display().to_string();
        let problem = ImageProblem::DanglingLink;
        self.catalog.refused.push(BadImage { file, class: None, problem });
    }

    /// A folder that may not be read: what lies there is missed.
    fn refuse_folder(&mut self, class: &OsString, folder: &Path, error: &io::Error) {
        let file = folder.strip_prefix(&self.catalog.root).unwrap_or(folder).display().to_string();
        let class = Some(class.display().to_string());
        self.catalog.refused.push(BadImage {
            file,
            class,
            problem: ImageProblem::unreadable(error),
        });
    }

    /// Lists the classes of a part.
    fn part(&mut self, part: Part, folder: &Path) -> Result<(), DataError> {
        // Of all classes: images that two of them link to would have two labels.
        let mut walk = Walk { above: vec![real(folder)?], seen: HashSet::new() };
        for path in entries(folder)? {
            if path.is_dir() && !is_hidden(&path) {
                let before = self.images.len();
                let class = path.file_name().unwrap_or_default().to_owned();
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
        class: &OsString,
        folder: &Path,
        walk: &mut Walk,
    ) -> Result<(), DataError> {
        let here = real(folder)?;
        if let Some(reason) = walk.refuses(&here) {
            self.catalog.notices.push(format!("{} {reason}: left out", folder.display()));
            return Ok(());
        }
        let entries = match entries(folder) {
            Err(DataError::Storage { source, .. })
                if source.kind() == io::ErrorKind::PermissionDenied =>
            {
                self.refuse_folder(class, folder, &source);
                return Ok(());
            }
            entries => entries?,
        };
        walk.above.push(here.clone());
        walk.seen.insert(here);
        for path in entries {
            let kind = fs::metadata(&path);
            if is_hidden(&path) || !is_image(path.extension()) && !is_folder(&kind) {
                self.skip(foreign(&path));
            } else if is_folder(&kind) {
                self.class(part, class, &path, walk)?;
            } else {
                let from_root = path.strip_prefix(&self.catalog.root).unwrap_or(&path).to_owned();
                let problem = match kind {
                    Ok(kind) if kind.is_file() => {
                        self.images.push((part, class.clone(), from_root));
                        continue;
                    }
                    Ok(_) => ImageProblem::NoFile,
                    Err(_) if path.is_symlink() => ImageProblem::DanglingLink,
                    Err(error) => ImageProblem::unreadable(&error),
                };
                let class = Some(class.display().to_string());
                let file = from_root.display().to_string();
                self.catalog.refused.push(BadImage { file, class, problem });
            }
        }
        walk.above.pop();
        Ok(())
    }

    fn catalog(self) -> Result<Catalog, DataError> {
        let Self { images, mut catalog } = self;
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
            let Some(&class) = positions.get(class) else {
                let reason =
                    format!("no image of class {} is in the training part", class.display());
                let hint = "the classes of all parts must be those of the training part";
                return Err(DataError::layout(&root.join(path), reason, hint));
            };
            samples.push(Sample { part: *part, class, place: Place::File(path.clone()) });
        }
        catalog.samples = samples;
        let names: Vec<String> = names.iter().map(|name| name.display().to_string()).collect();
        catalog.name_classes(names);
        catalog.notices.extend(alike(&catalog.classes));
        Ok(catalog)
    }
}

/// Whether a path is a link whose end is not there.
fn is_dangling(path: &Path) -> bool {
    path.is_symlink() && !path.exists() && !is_hidden(path)
}

/// The way through the folders of a class, by their real paths.
struct Walk {
    /// Folders that lead here, that of the part first.
    above: Vec<PathBuf>,
    /// Folders that were listed.
    seen: HashSet<PathBuf>,
}

impl Walk {
    /// Why a folder is not listed, if it is not.
    fn refuses(&self, here: &Path) -> Option<&'static str> {
        if self.above.iter().any(|above| above.starts_with(here)) {
            return Some("leads back to a folder above it");
        }
        if self.above.len() > DEEPEST {
            return Some("is more than 32 folders deep");
        }
        self.seen.contains(here).then_some("leads to a folder that is listed already")
    }
}

/// Classes whose names differ in case only.
fn alike(classes: &[String]) -> Vec<String> {
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    let mut notices = Vec::new();
    for class in classes {
        if let Some(other) = seen.insert(class.to_lowercase(), class) {
            notices.push(format!("classes {other} and {class} differ in case only"));
        }
    }
    notices
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
    let visible = |path: &PathBuf| path.is_dir() && !is_hidden(path);
    Ok(entries(root)?.into_iter().filter(visible).collect())
}

/// Whether images lie in the folder or below it; a folder that may not be read holds none, such as the
/// `lost+found` of a disk.
fn holds_image(folder: &Path, above: &mut Vec<PathBuf>) -> Result<bool, DataError> {
    let here = real(folder)?;
    if above.iter().any(|above| above.starts_with(&here)) || above.len() > DEEPEST {
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
    for below in entries.iter().filter(|path| path.is_dir() && !is_hidden(path)) {
        if holds_image(below, above)? {
            return Ok(true);
        }
    }
    above.pop();
    Ok(false)
}
