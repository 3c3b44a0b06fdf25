//! Files of single images to pixels, within bounds that no header moves.

mod bmp;
mod formats;
mod jpeg;
mod orientation;

use std::{
    panic,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::error::ImageProblem;

/// Most pixels of an image that is decoded: a decoder holds at most some ten bytes of each.
pub const LARGEST_PIXELS: u64 = 64_000_000;

/// Images of more pixels are decoded one at a time.
const LARGE_PIXELS: u64 = 16_000_000;

static LARGE: Mutex<()> = Mutex::new(());

/// A decoded image, 8 bits per channel, in the sRGB of its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pixels {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// 1 for grey, 3 for red, green and blue.
    pub channels: usize,
    /// `height × width × channels`.
    pub data: Vec<u8>,
}

impl Pixels {
    /// The image as red, green and blue, or as grey: the luma of ITU-R BT.601, as JPEG has it.
    pub fn with_channels(self, channels: usize) -> Self {
        let data = match (self.channels, channels) {
            (1, 3) => self.data.iter().flat_map(|&grey| [grey; 3]).collect(),
            (3, 1) => self.data.chunks_exact(3).map(luma).collect(),
            _ => return self,
        };
        Self { channels, data, ..self }
    }
}

/// The luma of ITU-R BT.601.
pub(crate) fn luma(pixel: &[u8]) -> u8 {
    let [red, green, blue] = [0, 1, 2].map(|channel| u32::from(pixel[channel]));
    ((299 * red + 587 * green + 114 * blue + 500) / 1000) as u8
}

/// An image as a decoder gives it.
struct Decoded {
    width: usize,
    height: usize,
    /// One to four: grey or colours, with or without transparency.
    channels: usize,
    data: Vec<u8>,
    /// EXIF, from its TIFF header on.
    exif: Option<Vec<u8>>,
}

/// Decodes a JPEG, PNG, WebP or BMP file, by its content; of an animation the first frame.
///
/// An image stands as its EXIF orientation says. Palettes, CMYK and 16 bits per channel become 8 bits of
/// red, green and blue; transparency is left out.
///
/// # Errors
///
/// What is wrong: another format, too large an image, one that does not decode to its end.
pub fn decode_image(bytes: &[u8]) -> Result<Pixels, ImageProblem> {
    // A decoder's fault in one of a million files must not end hours of work.
    panic::catch_unwind(|| whole(bytes)).unwrap_or_else(|_| Err(damaged("the decoder gave up")))
}

fn whole(bytes: &[u8]) -> Result<Pixels, ImageProblem> {
    let decoded = match bytes {
        [] => return Err(ImageProblem::Empty),
        [0xff, 0xd8, 0xff, ..] => jpeg::decode(bytes)?,
        [0x89, b'P', b'N', b'G', ..] => formats::png(bytes)?,
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => formats::webp(bytes)?,
        [b'B', b'M', ..] => bmp::decode(bytes)?,
        _ => return Err(ImageProblem::NoImage { format: formats::other(bytes) }),
    };
    let Decoded { width, height, channels, data, exif } = decoded;
    let (channels, data) = match channels {
        2 => (1, data.into_iter().step_by(2).collect()),
        4 => (3, without_alpha(&data)),
        channels => (channels, data),
    };
    if data.len() != width * height * channels {
        return Err(damaged("it has another size than its header says"));
    }
    let pixels = Pixels { height, width, channels, data };
    Ok(match exif {
        Some(exif) => orientation::turned(pixels, exif),
        None => pixels,
    })
}

fn without_alpha(data: &[u8]) -> Vec<u8> {
    let mut colours = Vec::with_capacity(data.len() / 4 * 3);
    data.chunks_exact(4).for_each(|pixel| colours.extend_from_slice(&pixel[..3]));
    colours
}

/// What an image of a size holds while it is decoded.
type Admission = Option<MutexGuard<'static, ()>>;

/// That an image is decoded, and when: threads together hold no more than one large one.
fn admit(width: u64, height: u64) -> Result<Admission, ImageProblem> {
    match width.saturating_mul(height) {
        0 => Err(ImageProblem::NoPixels),
        pixels if pixels > LARGEST_PIXELS => Err(ImageProblem::TooManyPixels { width, height }),
        // Nothing is guarded that a decoder's fault could have spoiled.
        pixels if pixels > LARGE_PIXELS => {
            Ok(Some(LARGE.lock().unwrap_or_else(PoisonError::into_inner)))
        }
        _ => Ok(None),
    }
}

fn damaged(reason: impl ToString) -> ImageProblem {
    ImageProblem::Damaged { reason: reason.to_string() }
}
