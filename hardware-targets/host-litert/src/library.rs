//! Finds and loads the LiteRT library, once per process.

use std::sync::OnceLock;

use spacewright_measure::library::{Wanted, version};

use crate::ffi::LiteRt;

/// Names the library file itself.
pub const VARIABLE: &str = "SPACEWRIGHT_LITERT";

const WANTED: Wanted =
    Wanted { runtime: "LiteRT", variable: VARIABLE, folder: ".deps/litert", prefix: "libLiteRt." };

pub(crate) struct Library {
    pub(crate) litert: LiteRt,
    /// From the file's name, such as `2.3.0`: the library does not tell.
    pub(crate) version: String,
}

/// The library, or a sentence that says why there is none.
pub(crate) fn library() -> Result<&'static Library, String> {
    static LIBRARY: OnceLock<Result<Library, String>> = OnceLock::new();
    let load = || {
        let path = WANTED.find()?;
        Ok(Library { litert: LiteRt::load(&path)?, version: version(&path) })
    };
    LIBRARY.get_or_init(load).as_ref().map_err(Clone::clone)
}
