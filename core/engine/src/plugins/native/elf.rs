//! Whether a library's file is whole. The system maps a file without looking at its length, and
//! ends the program when it comes to a part that is not there.

use super::super::error::LoadError;

/// An error for an ELF file that ends before what its tables point to. Other systems than those
/// that use ELF look at the length themselves.
pub(super) fn check_whole(bytes: &[u8]) -> Result<(), LoadError> {
    const CLASS_64: u8 = 2;
    const LITTLE_ENDIAN: u8 = 1;
    if !bytes.starts_with(b"\x7fELF") {
        return Ok(());
    }
    if bytes.get(4..6).is_some_and(|kind| kind != [CLASS_64, LITTLE_ENDIAN]) {
        return Ok(());
    }
    match end(bytes) {
        Some(end) if end <= bytes.len() as u64 => Ok(()),
        Some(end) => {
            Err(LoadError::File(format!("it has {} bytes of {end}: copy it again", bytes.len())))
        }
        None => {
            Err(LoadError::File(format!("it has {} bytes, too few for its header", bytes.len())))
        }
    }
}

/// Where the last segment or the table of sections ends, whichever comes later; none if the
/// headers are not there.
fn end(bytes: &[u8]) -> Option<u64> {
    let number = |at: u64, size: usize| {
        let field = bytes.get(usize::try_from(at).ok()?..)?.get(..size)?;
        Some(field.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    };
    let (segments, sections) = (number(0x20, 8)?, number(0x28, 8)?);
    let (segment_size, segment_count) = (number(0x36, 2)?, number(0x38, 2)?);
    let (section_size, section_count) = (number(0x3a, 2)?, number(0x3c, 2)?);
    let mut end = sections.checked_add(section_size * section_count)?;
    for at in 0..segment_count {
        let segment = segments.checked_add(at * segment_size)?;
        let (offset, size) = (number(segment.checked_add(8)?, 8)?, number(segment + 32, 8)?);
        end = end.max(offset.checked_add(size)?);
    }
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header with one segment and a table of sections behind it.
    fn file() -> Vec<u8> {
        let mut file = vec![0; 300];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        let mut put = |at: usize, value: u8| file[at] = value;
        put(0x20, 64);
        put(0x28, 236);
        put(0x36, 56);
        put(0x38, 1);
        put(0x3a, 64);
        put(0x3c, 1);
        put(64 + 8, 120);
        put(64 + 32, 100);
        file
    }

    #[test]
    fn every_cut_is_noticed() {
        let whole = file();
        assert_eq!(check_whole(&whole), Ok(()));
        for length in 4..whole.len() {
            let error = check_whole(&whole[..length]).unwrap_err();
            assert!(error.to_string().starts_with(&format!("it has {length} bytes")), "{error}");
        }
        assert!(
            check_whole(&whole[..200]).unwrap_err().to_string().ends_with("of 300: copy it again")
        );
    }

    #[test]
    fn numbers_that_overflow_are_no_panic() {
        let mut file = file();
        file[0x28..0x30].fill(0xff);
        assert!(check_whole(&file).is_err());
        file[0x20..0x28].fill(0xff);
        assert!(check_whole(&file).is_err());
    }

    #[test]
    fn other_formats_are_left_to_the_system() {
        assert_eq!(check_whole(b"MZ"), Ok(()));
        assert_eq!(check_whole(b"\x7fELF\x01\x01"), Ok(()));
    }
}
