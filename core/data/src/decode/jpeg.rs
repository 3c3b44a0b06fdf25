//! JPEG, in the decoder's strict mode: what is lost of a file is not made up.

use zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions};
use zune_jpeg::JpegDecoder;

use super::{Decoded, admit, damaged};
use crate::error::ImageProblem;

/// Decodes a file; CMYK becomes red, green and blue.
pub(super) fn decode(bytes: &[u8]) -> Result<Decoded, ImageProblem> {
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX));
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(damaged)?;
    let (width, height) = decoder.dimensions().ok_or(ImageProblem::NoPixels)?;
    let _admission = admit(width as u64, height as u64)?;
    let is_grey = matches!(decoder.input_colorspace(), Some(ColorSpace::Luma));
    let (channels, wanted) = if is_grey { (1, ColorSpace::Luma) } else { (3, ColorSpace::RGB) };
    decoder.set_options(options.jpeg_set_out_colorspace(wanted));
    let exif = decoder.exif().cloned();
    let data = decoder.decode().map_err(damaged)?;
    if !ends(bytes) {
        return Err(ImageProblem::Truncated);
    }
    Ok(Decoded { width, height, channels, data, exif })
}

/// Whether an end-of-image marker follows the first scan; within a scan these bytes are never data (ITU-T
/// T.81, B.1.1.2 and B.1.1.5). The decoder makes up the last lines where it is missing.
fn ends(bytes: &[u8]) -> bool {
    const START_OF_SCAN: u8 = 0xda;
    let mut at = 2;
    while let Some(&[0xff, marker, high, low]) = bytes.get(at..at + 4) {
        match marker {
            START_OF_SCAN => break,
            // A marker may be preceded by any number of fill bytes.
            0xff => at += 1,
            _ => at += 2 + usize::from(u16::from_be_bytes([high, low])),
        }
    }
    bytes.get(at..).is_some_and(|rest| rest.windows(2).any(|pair| pair == [0xff, 0xd9]))
}
