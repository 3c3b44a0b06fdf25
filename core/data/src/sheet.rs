//! Images of a set on one sheet, as training sees them.

use font8x8::legacy::BASIC_LEGACY;
use png::{ColorType, Encoder};
use rand::seq::SliceRandom;
use spacewright_core::{
    data::{Flip, RandomCrop, RandomResizedCrop, Transform},
    random,
};

use crate::{
    catalog::Catalog,
    check::{CheckedPart, Sizes},
    decode::Pixels,
    error::DataError,
    transform::Pipeline,
};

/// Images beside each other.
const COLUMNS: usize = 8;

/// Images below each other.
const ROWS: usize = 6;

/// Least side of an image on the sheet; smaller ones are shown larger, by a whole factor.
const LEAST_SIDE: usize = 96;

const LETTER: usize = 8;
const LINE: usize = LETTER + 4;

/// Side of the networks' inputs, and transforms to train with, where nothing is said: small squares of one
/// size are moved by an eighth, others cut anew.
pub fn usual_training(part: &CheckedPart) -> (usize, Vec<Transform>) {
    const SMALL: usize = 64;
    let CheckedPart { width: Sizes { smallest: side, .. }, .. } = *part;
    let flip = Transform::Flip(Flip::default());
    let is_square =
        [part.width, part.height] == [Sizes { smallest: side, median: side, largest: side }; 2];
    if is_square && side <= SMALL {
        return (side, vec![Transform::RandomCrop(RandomCrop { padding: side / 8 }), flip]);
    }
    (128, vec![Transform::RandomResizedCrop(RandomResizedCrop::default()), flip])
}

/// A PNG file with some of the images, drawn by `seed`: of every class in turn, after the transforms, with
/// what the class is called below. Bad images are left out.
///
/// # Errors
///
/// What a transform refuses, with the image.
pub fn sheet(
    catalog: &Catalog,
    images: &[usize],
    transforms: &[Transform],
    side: usize,
    seed: u64,
) -> Result<Vec<u8>, DataError> {
    const CHANNELS: usize = 3;
    let pipeline = Pipeline::new(transforms, CHANNELS)?;
    let mut shown = Vec::new();
    for index in chosen(catalog, images, seed) {
        let sample = &catalog.samples[index];
        let Ok(pixels) = catalog.decode(sample) else { continue };
        let mut rng = random::generator(seed, &["sheet", &index.to_string()]);
        let pixels = pipeline
            .image(pixels.with_channels(CHANNELS), side, &mut rng)
            .map_err(|problem| catalog.bad(sample, problem))?;
        shown.push((pixels, catalog.classes[sample.class as usize].as_str()));
        if shown.len() == COLUMNS * ROWS {
            break;
        }
    }
    let factor = LEAST_SIDE.div_ceil(side.max(1));
    let mut canvas = Canvas::new(
        COLUMNS * factor * side,
        shown.len().div_ceil(COLUMNS) * (factor * side + LINE),
    );
    for (position, (pixels, class)) in shown.iter().enumerate() {
        let left = position % COLUMNS * factor * side;
        let top = position / COLUMNS * (factor * side + LINE);
        canvas.draw(pixels, factor, left, top);
        canvas.write(class, factor * side / LETTER, left, top + factor * side + 2);
    }
    canvas.png()
}

/// Positions of images, one of each class, then the next of each, in random order within a class.
fn chosen(catalog: &Catalog, images: &[usize], seed: u64) -> Vec<usize> {
    let mut shuffled = images.to_vec();
    shuffled.shuffle(&mut random::generator(seed, &["sheet"]));
    let mut seen = vec![0; catalog.classes.len()];
    let mut turns: Vec<(usize, u32, usize)> = Vec::with_capacity(shuffled.len());
    for index in shuffled {
        let class = catalog.samples[index].class;
        turns.push((seen[class as usize], class, index));
        seen[class as usize] += 1;
    }
    turns.sort_unstable();
    turns.into_iter().map(|(.., index)| index).collect()
}

struct Canvas {
    width: usize,
    data: Vec<u8>,
}

impl Canvas {
    fn new(width: usize, height: usize) -> Self {
        Self { width, data: vec![255; width * height * 3] }
    }

    fn set(&mut self, x: usize, y: usize, colour: &[u8]) {
        let at = (y * self.width + x) * 3;
        self.data[at..at + 3].copy_from_slice(colour);
    }

    fn draw(&mut self, pixels: &Pixels, factor: usize, left: usize, top: usize) {
        for y in 0..pixels.height * factor {
            for x in 0..pixels.width * factor {
                let from = (y / factor * pixels.width + x / factor) * 3;
                self.set(left + x, top + y, &pixels.data[from..from + 3]);
            }
        }
    }

    /// At most so many letters of a text; others than ASCII's become question marks.
    fn write(&mut self, text: &str, letters: usize, left: usize, top: usize) {
        for (position, letter) in text.chars().take(letters).enumerate() {
            let known =
                BASIC_LEGACY.get(letter as usize).unwrap_or(&BASIC_LEGACY[usize::from(b'?')]);
            for (y, row) in known.iter().enumerate() {
                for x in (0..LETTER).filter(|x| row >> x & 1 == 1) {
                    self.set(left + position * LETTER + x, top + y, &[0; 3]);
                }
            }
        }
    }

    fn png(&self) -> Result<Vec<u8>, DataError> {
        let height = self.data.len() / 3 / self.width.max(1);
        let mut file = Vec::new();
        let mut encoder = Encoder::new(&mut file, self.width as u32, height as u32);
        encoder.set_color(ColorType::Rgb);
        let written = encoder.write_header().and_then(|mut png| png.write_image_data(&self.data));
        written.map_err(|error| DataError::Sheet { reason: error.to_string() })?;
        Ok(file)
    }
}
