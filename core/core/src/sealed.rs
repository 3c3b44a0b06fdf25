//! Bytes and lines that carry a checksum: what comes back is what was kept, or nothing.

use crate::hex::hex;

/// Length of the BLAKE3 hash behind sealed bytes.
const HASH: usize = blake3::OUT_LEN;
/// Digits of the hash behind a sealed line.
const DIGITS: usize = 16;

/// The bytes with their hash behind them.
pub fn seal(mut bytes: Vec<u8>) -> Vec<u8> {
    let hash = blake3::hash(&bytes);
    bytes.extend_from_slice(hash.as_bytes());
    bytes
}

/// The bytes that were [sealed](seal); `None` where a bit of them or of their hash is wrong.
pub fn unseal(sealed: &[u8]) -> Option<&[u8]> {
    let (bytes, hash) = sealed.split_at(sealed.len().checked_sub(HASH)?);
    (blake3::hash(bytes).as_bytes() == hash).then_some(bytes)
}

/// A line of the text, with its hash behind it and a line feed at the end. The text has no line feed.
pub fn seal_line(text: &str) -> String {
    format!("{text} {}\n", line_hash(text))
}

/// The text of a [sealed](seal_line) line with its line feed; `None` where a bit is wrong, or where the
/// line is not whole.
pub fn unseal_line(line: &str) -> Option<&str> {
    let (text, hash) = line.strip_suffix('\n')?.rsplit_once(' ')?;
    (line_hash(text) == hash).then_some(text)
}

fn line_hash(text: &str) -> String {
    hex(&blake3::hash(text.as_bytes()).as_bytes()[..DIGITS / 2])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_wrong_bit_is_found(bytes: Vec<u8>, bit: prop::sample::Index) {
            let mut sealed = seal(bytes.clone());
            prop_assert_eq!(unseal(&sealed), Some(bytes.as_slice()));
            let bit = bit.index(8 * sealed.len());
            sealed[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(unseal(&sealed), None);
        }

        #[test]
        fn a_part_of_what_was_sealed_is_nothing(bytes: Vec<u8>, end: prop::sample::Index) {
            let sealed = seal(bytes);
            prop_assert_eq!(unseal(&sealed[..end.index(sealed.len())]), None);
        }
    }

    #[test]
    fn a_line_comes_back_only_whole() {
        let line = seal_line("[\"a b\", 0.5]");
        assert_eq!(unseal_line(&line), Some("[\"a b\", 0.5]"));
        assert_eq!(unseal_line(&line.replace("0.5", "0.7")), None);
        assert_eq!(unseal_line(line.trim_end()), None);
        assert_eq!(unseal_line("\n"), None);
    }
}
