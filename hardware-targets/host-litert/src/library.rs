//! Finds and loads the LiteRT library, once per process.

use std::{fs, sync::OnceLock};

use spacewright_measure::library::{Wanted, version};

use crate::ffi::LiteRt;

/// Names the library file itself.
pub const VARIABLE: &str = "SPACEWRIGHT_LITERT";

const WANTED: Wanted =
    Wanted { runtime: "LiteRT", variable: VARIABLE, folder: ".deps/litert", prefix: "libLiteRt." };

pub(crate) struct Library {
    pub(crate) litert: LiteRt,
    /// From the file's name, with a hash of its content, such as `2.3.0 (0f3a…)`: the library
    /// does not tell.
    pub(crate) version: String,
}

/// The library, or a sentence that says why there is none.
pub(crate) fn library() -> Result<&'static Library, String> {
    static LIBRARY: OnceLock<Result<Library, String>> = OnceLock::new();
    let load = || {
        let path = WANTED.find().map_err(|error| error.to_string())?;
        let content = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let version = format!("{} ({:016x})", version(&path), fnv(&content));
        Ok(Library { litert: LiteRt::load(&path)?, version })
    };
    LIBRARY.get_or_init(load).as_ref().map_err(Clone::clone)
}

/// FNV-1a: tells builds of the library apart.
fn fnv(bytes: &[u8]) -> u64 {
    let add = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, add)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_hash_is_fnv_1a() {
        assert_eq!(super::fnv(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(super::fnv(b"a"), 0xaf63_dc4c_8601_ec8c);
    }
}
