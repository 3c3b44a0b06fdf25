//! Images that are turned, sheared and moved; the nearest pixel is taken, and grey where there is none.

use crate::decode::Pixels;

const GREY: u8 = 128;

/// Each pixel comes from where `map` sends its position, counted from the middle of the image.
pub fn moved(image: &Pixels, map: impl Fn(f64, f64) -> (f64, f64)) -> Pixels {
    let Pixels { height, width, channels, .. } = *image;
    let (middle_x, middle_y) = ((width as f64 - 1.0) / 2.0, (height as f64 - 1.0) / 2.0);
    let mut data = vec![GREY; image.data.len()];
    for (at, pixel) in data.chunks_exact_mut(channels).enumerate() {
        let (x, y) = map((at % width) as f64 - middle_x, (at / width) as f64 - middle_y);
        let (x, y) = ((x + middle_x).round(), (y + middle_y).round());
        if (0.0..width as f64).contains(&x) && (0.0..height as f64).contains(&y) {
            let from = (y as usize * width + x as usize) * channels;
            pixel.copy_from_slice(&image.data[from..from + channels]);
        }
    }
    Pixels { height, width, channels, data }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Pixels {
        Pixels { height: 2, width: 3, channels: 1, data: vec![0, 1, 2, 3, 4, 5] }
    }

    #[test]
    fn pixels_come_from_where_the_map_sends_them() {
        assert_eq!(moved(&image(), |x, y| (x, y)), image());
        assert_eq!(moved(&image(), |x, y| (-x, -y)).data, [5, 4, 3, 2, 1, 0]);
        assert_eq!(moved(&image(), |x, y| (x + 1.0, y)).data, [1, 2, GREY, 4, 5, GREY]);
    }
}
