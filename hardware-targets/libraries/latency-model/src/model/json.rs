//! The file of a model.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};
use serde_json::ser::Formatter;
use spacewright_core::random::fnv1a;

use super::{FORMAT, Model, ModelError, VERSION};

/// Levels below this one are written on one line: a tree, the edges of a feature.
const OPEN_LEVELS: usize = 3;

#[derive(Deserialize)]
struct Header {
    format: String,
    version: u32,
}

impl Model {
    /// Reads a model and checks it.
    pub fn from_json(text: &str) -> Result<Self, ModelError> {
        // First, so that a later version is told apart from a broken file.
        let Header { format, version } = serde_json::from_str(text)?;
        if format != FORMAT {
            return Err(ModelError::Format(format));
        }
        if version != VERSION {
            return Err(ModelError::Version(version));
        }
        let model: Self = serde_json::from_str(text)?;
        model.check()?;
        Ok(model)
    }

    /// Checks the model and writes it: one line for each tree and each feature.
    pub fn to_json(&self) -> Result<String, ModelError> {
        self.check()?;
        let mut bytes = Vec::new();
        self.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, Lines::default()))?;
        bytes.push(b'\n');
        String::from_utf8(bytes).map_err(serde::ser::Error::custom).map_err(ModelError::Json)
    }

    /// A short hash of the content (FNV-1a): predictions of models that differ in it are never
    /// mixed.
    pub fn content_hash(&self) -> Result<String, ModelError> {
        let mut content = self.to_json()?.into_bytes();
        // Kept from the first version: models that are in use keep their hashes.
        content.push(0xff);
        Ok(format!("{:016x}", fnv1a(&content)))
    }
}

/// Indents the outer levels only.
#[derive(Default)]
struct Lines {
    level: usize,
}

impl Lines {
    fn open<W: ?Sized + Write>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.level += 1;
        writer.write_all(bracket)
    }

    fn close<W: ?Sized + Write>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.level -= 1;
        if self.level < OPEN_LEVELS {
            self.indent(writer)?;
        }
        writer.write_all(bracket)
    }

    fn item<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if !first {
            writer.write_all(b",")?;
        }
        if self.level <= OPEN_LEVELS { self.indent(writer) } else { Ok(()) }
    }

    fn indent<W: ?Sized + Write>(&self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b"\n")?;
        (0..self.level).try_for_each(|_| writer.write_all(b"  "))
    }
}

impl Formatter for Lines {
    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open(writer, b"[")
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer, b"]")
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, w: &mut W, first: bool) -> io::Result<()> {
        self.item(w, first)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open(writer, b"{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer, b"}")
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, w: &mut W, first: bool) -> io::Result<()> {
        self.item(w, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}
