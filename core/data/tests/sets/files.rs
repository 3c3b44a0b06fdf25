//! Images as files.

use image_webp::{ColorType as WebPColor, WebPEncoder};
use png::{BitDepth, ColorType};

/// An image with one to four channels of 8 bits.
#[derive(Clone)]
pub struct Picture {
    pub width: usize,
    pub height: usize,
    pub channels: usize,
    pub data: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Bmp,
    Jpeg,
    Png,
    Png16,
    WebP,
}

impl Picture {
    /// A picture whose pixels are a function of column and row.
    pub fn of<const C: usize>(
        width: usize,
        height: usize,
        pixel: impl Fn(usize, usize) -> [u8; C],
    ) -> Self {
        let data = (0..width * height).flat_map(|at| pixel(at % width, at / width)).collect();
        Self { width, height, channels: C, data }
    }

    pub fn encoded(&self, format: Format) -> Vec<u8> {
        match format {
            Format::Bmp => self.bmp(),
            Format::Jpeg => self.jpeg(),
            Format::Png => self.png(BitDepth::Eight, &self.data),
            Format::Png16 => {
                let wide: Vec<u8> = self.data.iter().flat_map(|&value| [value; 2]).collect();
                self.png(BitDepth::Sixteen, &wide)
            }
            Format::WebP => self.webp(),
        }
    }

    fn png(&self, depth: BitDepth, data: &[u8]) -> Vec<u8> {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, self.width as u32, self.height as u32);
        encoder.set_depth(depth);
        encoder.set_color(match self.channels {
            1 => ColorType::Grayscale,
            2 => ColorType::GrayscaleAlpha,
            3 => ColorType::Rgb,
            _ => ColorType::Rgba,
        });
        encoder.write_header().unwrap().write_image_data(data).unwrap();
        file
    }

    fn jpeg(&self) -> Vec<u8> {
        let mut file = Vec::new();
        let colour = match self.channels {
            1 => jpeg_encoder::ColorType::Luma,
            _ => jpeg_encoder::ColorType::Rgb,
        };
        let encoder = jpeg_encoder::Encoder::new(&mut file, 95);
        encoder.encode(&self.data, self.width as u16, self.height as u16, colour).unwrap();
        file
    }

    fn webp(&self) -> Vec<u8> {
        let mut file = Vec::new();
        let (width, height) = (self.width as u32, self.height as u32);
        WebPEncoder::new(&mut file).encode(&self.data, width, height, WebPColor::Rgb8).unwrap();
        file
    }

    /// Blue, green and red, from the last row to the first, each padded to four bytes.
    fn bmp(&self) -> Vec<u8> {
        let line = (self.width * 3).next_multiple_of(4);
        let length = 54 + line * self.height;
        let mut file = b"BM".to_vec();
        for word in [length as u32, 0, 54, 40, self.width as u32, self.height as u32] {
            file.extend(word.to_le_bytes());
        }
        file.extend([1, 0, 24, 0]);
        file.resize(54, 0);
        for row in self.data.chunks(self.width * 3).rev() {
            let start = file.len();
            row.chunks(3).for_each(|pixel| file.extend(pixel.iter().rev()));
            file.resize(start + line, 0);
        }
        file
    }
}

/// A small PNG file whose red is a number.
pub fn png(red: u8) -> Vec<u8> {
    Picture::of(4, 3, |_, _| [red, 10, 20]).encoded(Format::Png)
}
