//! Windows bitmaps without compression (BITMAPINFOHEADER and later). Rows are padded to four bytes and stand
//! from the last to the first, or from the first where the height is negative.

use super::{Decoded, admit};
use crate::error::ImageProblem;

/// Bytes of the header of the file, before that of the image.
const FILE_HEADER: usize = 14;

/// Decodes 1, 4 and 8 bits with a palette, 24 and 32 bits of blue, green and red; transparency is left out.
pub(super) fn decode(bytes: &[u8]) -> Result<Decoded, ImageProblem> {
    let word = |at: usize| {
        let word = bytes.get(at..at + 4).and_then(|word| word.try_into().ok());
        word.map(u32::from_le_bytes).ok_or(ImageProblem::Truncated)
    };
    let start = word(10)? as usize;
    let header = word(14)? as usize;
    if header < 40 {
        return Err(ImageProblem::OldBmp);
    }
    let (width, height) = (word(18)? as i32, word(22)? as i32);
    let bits = (word(26)? >> 16) as u16;
    let (compression, colours) = (word(30)?, word(46)? as usize);
    let other = || ImageProblem::OtherBmp { bits, compression };
    // Masks of 32 bits are nearly always those of blue, green and red; any others are refused.
    let masked = compression == 3 && bits == 32;
    if masked && [word(54)?, word(58)?, word(62)?] != [0xff_0000, 0xff00, 0xff] {
        return Err(other());
    }
    if !(masked || compression == 0) || width <= 0 || height == 0 {
        return Err(other());
    }
    let (columns, rows) = (width as usize, height.unsigned_abs() as usize);
    let _admission = admit(columns as u64, rows as u64)?;
    let stride = (columns * usize::from(bits)).div_ceil(32) * 4;
    let content = bytes.get(start..).and_then(|rest| rest.get(..stride * rows));
    let content = content.ok_or(ImageProblem::Truncated)?;
    let palette: Vec<[u8; 3]> = match bits {
        1 | 4 | 8 => {
            let all = 1usize << bits;
            let count = if colours == 0 { all } else { colours.min(all) };
            let at = FILE_HEADER + header;
            let entries = bytes.get(at..at + 4 * count).ok_or(ImageProblem::Truncated)?;
            entries.chunks_exact(4).map(|entry| [entry[2], entry[1], entry[0]]).collect()
        }
        24 | 32 => Vec::new(),
        _ => return Err(other()),
    };
    let pixel = |row: &[u8], column: usize| -> Option<[u8; 3]> {
        let per_byte = 8 / usize::from(bits.min(8));
        match bits {
            24 | 32 => {
                let at = column * usize::from(bits / 8);
                Some([row[at + 2], row[at + 1], row[at]])
            }
            _ => {
                let shift = 8 - bits as usize * (column % per_byte + 1);
                let index = usize::from(row[column / per_byte] >> shift) & ((1 << bits) - 1);
                palette.get(index).copied()
            }
        }
    };
    let mut data = Vec::with_capacity(columns * rows * 3);
    for row in 0..rows {
        let at = if height > 0 { rows - 1 - row } else { row };
        let row = &content[at * stride..(at + 1) * stride];
        for column in 0..columns {
            let colour = pixel(row, column)
                .ok_or_else(|| super::damaged("a colour is not in its palette"))?;
            data.extend_from_slice(&colour);
        }
    }
    Ok(Decoded { width: columns, height: rows, channels: 3, data, exif: None })
}
