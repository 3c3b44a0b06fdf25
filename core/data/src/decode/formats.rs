//! PNG and WebP, and what is not read.

use std::io::Cursor;

use image_webp::WebPDecoder;
use png::{ColorType, Limits, Transformations};

use super::{Decoded, admit, damaged};
use crate::error::ImageProblem;

/// Most bytes that a decoder may ask for beside the pixels themselves.
const LARGEST_SCRATCH: usize = 512 << 20;

pub(super) fn png(bytes: &[u8]) -> Result<Decoded, ImageProblem> {
    let limits = Limits { bytes: LARGEST_SCRATCH };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), limits);
    decoder.set_transformations(Transformations::normalize_to_color8());
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let header = decoder.read_header_info().map_err(damaged)?;
    let _admission = admit(header.width.into(), header.height.into())?;
    let mut reader = decoder.read_info().map_err(damaged)?;
    let size = reader.output_buffer_size().ok_or(ImageProblem::NoPixels)?;
    let mut data = vec![0; size];
    let frame = reader.next_frame(&mut data).map_err(damaged)?;
    data.truncate(frame.buffer_size());
    // Metadata may stand behind the pixels; a file that ends there is whole enough.
    let _ = reader.finish();
    let exif = reader.info().exif_metadata.as_ref().map(|exif| exif.to_vec());
    let channels = match frame.color_type {
        ColorType::Grayscale => 1,
        ColorType::GrayscaleAlpha => 2,
        ColorType::Rgb | ColorType::Indexed => 3,
        ColorType::Rgba => 4,
    };
    let (width, height) = (frame.width as usize, frame.height as usize);
    Ok(Decoded { width, height, channels, data, exif })
}

pub(super) fn webp(bytes: &[u8]) -> Result<Decoded, ImageProblem> {
    let mut decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(damaged)?;
    decoder.set_memory_limit(LARGEST_SCRATCH);
    let (width, height) = decoder.dimensions();
    let _admission = admit(width.into(), height.into())?;
    let channels = if decoder.has_alpha() { 4 } else { 3 };
    let mut data = vec![0; decoder.output_buffer_size().ok_or(ImageProblem::NoPixels)?];
    decoder.read_image(&mut data).map_err(damaged)?;
    let exif = decoder.exif_metadata().map_err(damaged)?;
    Ok(Decoded { width: width as usize, height: height as usize, channels, data, exif })
}

/// What formats that are not read begin with.
const OTHERS: [(&str, &[u8]); 7] = [
    ("GIF", b"GIF8"),
    ("TIFF", b"II*\0"),
    ("TIFF", b"MM\0*"),
    ("PDF", b"%PDF"),
    ("PSD", b"8BPS"),
    ("JPEG XL", b"\xff\x0a"),
    ("JPEG 2000", b"\0\0\0\x0cjP  "),
];

/// The format of an image that is not read, where it is a known one.
pub(super) fn other(bytes: &[u8]) -> Option<&'static str> {
    // AVIF and HEIF are MP4 containers, whose first box says what is in them.
    if let [_, _, _, _, b'f', b't', b'y', b'p', brand @ ..] = bytes {
        return match brand.get(..4)? {
            b"avif" | b"avis" => Some("AVIF"),
            b"heic" | b"heix" | b"mif1" | b"heif" => Some("HEIF"),
            _ => None,
        };
    }
    OTHERS.iter().find(|(_, start)| bytes.starts_with(start)).map(|(name, _)| *name)
}
