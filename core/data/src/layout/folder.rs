//! A folder of images for each class: `train/cat/001.jpg`, or `cat/001.jpg` where there are no parts.

use std::{
    collections::{BTreeMap, HashMap},
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
            not_wrapped(root)?;
            found.part(Part::Train, root)?;
        } else if !parts.contains_key(&Part::Train) {
            let hint = "name the folder of the images to train on `train`";
            return Err(DataError::layout(root, "has parts, but none to train on", hint));
        } else {
            let is_part = |path: &PathBuf| parts.values().any(|part| part == path);
            for path in entries(root)?.into_iter().filter(|path| !is_part(path)) {
                found.skip(if path.is_dir() && !is_hidden(&path) {
                    "in no part".into()
                } else {
                    foreign(&path)
                });
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

/// That the set does not lie one folder deeper, so that its parts would be taken for one class.
fn not_wrapped(root: &Path) -> Result<(), DataError> {
    if let [only] = &folders(root)?[..]
        && let Some(part) = parts(only)?.into_values().next()
    {
        let reason = format!("`{}` lies in its only class", name_of(&part));
        return Err(DataError::layout(root, reason, format!("give {}", only.display())));
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

    /// Lists the classes of a part.
    fn part(&mut self, part: Part, folder: &Path) -> Result<(), DataError> {
        for path in entries(folder)? {
            if path.is_dir() && !is_hidden(&path) {
                let before = self.images.len();
                let class = path.file_name().unwrap_or_default().to_owned();
                self.class(part, &class, &path, &mut vec![real(folder)?])?;
                if self.images.len() == before {
                    let class = class.display();
                    let part = part.name();
                    self.catalog
                        .notices
                        .push(format!("class {class} has no images in the {part} part"));
                }
            } else if is_image(path.extension()) && !is_hidden(&path) {
                self.skip("in no class");
            } else {
                self.skip(foreign(&path));
            }
        }
        Ok(())
    }

    /// Lists the images of a class, in folders below as well; `above` are the real paths of the folders
    /// that lead here.
    fn class(
        &mut self,
        part: Part,
        class: &OsString,
        folder: &Path,
        above: &mut Vec<PathBuf>,
    ) -> Result<(), DataError> {
        let here = real(folder)?;
        if above.contains(&here) || above.len() > DEEPEST {
            self.catalog
                .notices
                .push(format!("{} leads back to a folder above it", folder.display()));
            return Ok(());
        }
        above.push(here);
        for path in entries(folder)? {
            let kind = fs::metadata(&path);
            if is_hidden(&path) || !is_image(path.extension()) && !is_folder(&kind) {
                self.skip(foreign(&path));
            } else if is_folder(&kind) {
                self.class(part, class, &path, above)?;
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
        above.pop();
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
        catalog.classes = names.iter().map(|name| name.display().to_string()).collect();
        catalog.samples = samples;
        catalog.notices.extend(alike(&catalog.classes));
        Ok(catalog)
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

/// Whether images lie in the folder or below it.
fn holds_image(folder: &Path, above: &mut Vec<PathBuf>) -> Result<bool, DataError> {
    let here = real(folder)?;
    if above.contains(&here) || above.len() > DEEPEST {
        return Ok(false);
    }
    if entries(folder)?.iter().any(|path| is_image(path.extension())) {
        return Ok(true);
    }
    above.push(here);
    for below in folders(folder)? {
        if holds_image(&below, above)? {
            return Ok(true);
        }
    }
    above.pop();
    Ok(false)
}
