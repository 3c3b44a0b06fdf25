//! Constants whose elements lie in other files beside the model.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::{Component, Path, PathBuf},
};

use spacewright_core::foreign::Escaped;
use thiserror::Error;

use crate::proto::{EXTERNAL, TensorProto};

/// Why the elements of a constant are not where the model says.
#[derive(Debug, Error)]
#[error("the elements of `{}` {problem}", Escaped(tensor))]
pub struct ExternalError {
    /// Name of the constant.
    pub tensor: String,
    /// What is wrong.
    #[source]
    pub problem: ExternalProblem,
}

/// What is wrong with where the elements of a constant are said to be.
#[derive(Debug, Error)]
pub enum ExternalProblem {
    /// The model does not say in which file.
    #[error("are in another file, but the model does not say in which")]
    NoLocation,
    /// A position or length that is no number.
    #[error("are in another file, whose `{key}` is `{}`, no number", Escaped(value))]
    Number {
        /// `offset` or `length`.
        key: &'static str,
        /// What stands there.
        value: String,
    },
    /// The model is in memory, where nothing lies beside it.
    #[error(
        "are in the file `{}`, which would lie beside the model, were it a file",
        Escaped(file)
    )]
    InMemory {
        /// The file.
        file: String,
    },
    /// A file that is not below the folder of the model.
    #[error(
        "are in `{}`, which is not below the folder of the model\nhint: files that it needs have \
         to lie beside it",
        Escaped(file)
    )]
    Outside {
        /// The file.
        file: String,
    },
    /// There is no such file, or it cannot be read.
    #[error(
        "are in {}, which cannot be read: {source}\nhint: put that file beside the model",
        Escaped(file.display())
    )]
    Missing {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file ends before the elements do.
    #[error("are in {} up to byte {end}, but that file has {size} bytes", Escaped(file.display()))]
    Short {
        /// The file.
        file: PathBuf,
        /// Where the elements end.
        end: u128,
        /// Its size.
        size: u64,
    },
}

/// Where the elements of a constant lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct External {
    /// As the model names it.
    pub location: String,
    path: PathBuf,
    offset: u64,
    /// In bytes.
    pub length: u64,
}

impl External {
    /// Where a constant's elements lie, if they are in another file below `folder`; the file is
    /// there and long enough.
    pub(crate) fn of(
        constant: &TensorProto,
        folder: Option<&Path>,
    ) -> Result<Option<Self>, ExternalError> {
        if constant.data_location != EXTERNAL {
            return Ok(None);
        }
        let found = Self::find(constant, folder);
        found.map(Some).map_err(|problem| ExternalError { tensor: constant.name.clone(), problem })
    }

    fn find(constant: &TensorProto, folder: Option<&Path>) -> Result<Self, ExternalProblem> {
        let entry = |key: &str| {
            let entry = constant.external_data.iter().find(|entry| entry.key == key);
            entry.map(|entry| entry.value.clone())
        };
        let number = |key: &'static str| match entry(key) {
            None => Ok(None),
            Some(value) => match value.trim().parse::<u64>() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(ExternalProblem::Number { key, value }),
            },
        };
        let location = entry("location").ok_or(ExternalProblem::NoLocation)?;
        let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?);
        let Some(folder) = folder else {
            return Err(ExternalProblem::InMemory { file: location });
        };
        let is_plain = |part| matches!(part, Component::Normal(_) | Component::CurDir);
        if !Path::new(&location).components().all(is_plain) {
            return Err(ExternalProblem::Outside { file: location });
        }
        let path = folder.join(&location);
        let missing = |source| ExternalProblem::Missing { file: path.clone(), source };
        let (real, parent) = (fs::canonicalize(&path), fs::canonicalize(folder));
        let (real, parent) = (real.map_err(missing)?, parent.map_err(missing)?);
        if !real.starts_with(&parent) {
            return Err(ExternalProblem::Outside { file: location });
        }
        let about = fs::metadata(&real).map_err(missing)?;
        if !about.is_file() {
            let kind = io::Error::new(io::ErrorKind::InvalidInput, "it is no file");
            return Err(missing(kind));
        }
        let size = about.len();
        let length = length.unwrap_or(size.saturating_sub(offset));
        let end = u128::from(offset) + u128::from(length);
        if end > size.into() {
            return Err(ExternalProblem::Short { file: path, end, size });
        }
        Ok(Self { location, path: real, offset, length })
    }

    /// The elements.
    pub(crate) fn read(&self) -> io::Result<Vec<u8>> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.offset))?;
        let mut bytes = Vec::new();
        file.take(self.length).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::StringStringEntryProto;

    fn constant(entries: &[(&str, &str)]) -> TensorProto {
        let entry = |(key, value): &(&str, &str)| StringStringEntryProto {
            key: (*key).into(),
            value: (*value).into(),
        };
        TensorProto {
            name: "w".into(),
            external_data: entries.iter().map(entry).collect(),
            data_location: EXTERNAL,
            ..TensorProto::default()
        }
    }

    #[test]
    fn elements_are_found_beside_the_model() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("weights"), [1, 2, 3, 4, 5]).unwrap();
        let find = |entries: &[(&str, &str)]| External::of(&constant(entries), Some(folder.path()));
        let found = find(&[("location", "weights"), ("offset", "1"), ("length", "3")]);
        let found = found.unwrap().unwrap();
        assert_eq!((found.length, found.read().unwrap()), (3, vec![2, 3, 4]));
        let rest = find(&[("location", "./weights"), ("offset", "2")]).unwrap().unwrap();
        assert_eq!(rest.read().unwrap(), [3, 4, 5]);
        assert_eq!(External::of(&TensorProto::default(), None).unwrap(), None);
    }

    #[test]
    fn what_is_not_there_is_named() {
        let above = tempfile::tempdir().unwrap();
        let folder = above.path().join("model");
        fs::create_dir_all(folder.join("sub")).unwrap();
        fs::write(above.path().join("secret"), [0; 8]).unwrap();
        fs::write(folder.join("weights"), [0; 8]).unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink("../secret", folder.join("link")).unwrap();
        let check = |entries: &[(&str, &str)], expected: &str| {
            let error = External::of(&constant(entries), Some(&folder)).unwrap_err().to_string();
            assert!(
                error.starts_with("the elements of `w` ") && error.contains(expected),
                "{error}"
            );
        };
        check(&[], "does not say in which");
        check(&[("location", "not-there.bin")], "model/not-there.bin, which cannot be read");
        check(&[("location", "sub")], "it is no file");
        check(&[("location", "../secret")], "not below the folder of the model");
        check(&[("location", "/etc/hostname")], "not below the folder of the model");
        #[cfg(unix)]
        check(&[("location", "link")], "not below the folder of the model");
        check(&[("location", "weights"), ("offset", "-1")], "whose `offset` is `-1`, no number");
        check(&[("location", "weights"), ("length", "9")], "up to byte 9, but that file has 8");
        let largest = u64::MAX.to_string();
        check(
            &[("location", "weights"), ("offset", &largest), ("length", &largest)],
            "up to byte 36893488147419103230",
        );
        let error = External::of(&constant(&[("location", "weights")]), None).unwrap_err();
        assert!(error.to_string().contains("were it a file"), "{error}");
    }
}
