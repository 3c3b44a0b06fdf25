//! How a camera was held (EXIF 2.3, tag `Orientation`).

use exif::{In, Reader, Tag};

use super::Pixels;

/// The image as it stands; as it is where the metadata cannot be read or say nothing.
pub(super) fn turned(pixels: Pixels, exif: Vec<u8>) -> Pixels {
    // Some writers put JPEG's mark before it.
    let exif = exif.strip_prefix(b"Exif\0\0").map_or(exif.clone(), <[u8]>::to_vec);
    // What editors have damaged elsewhere does not turn the image.
    let read = Reader::new()
        .continue_on_error(true)
        .read_raw(exif)
        .or_else(|error| error.distill_partial_result(|_| {}))
        .ok();
    let field = read.as_ref().and_then(|exif| exif.get_field(Tag::Orientation, In::PRIMARY));
    let Some(orientation @ 2..=8) = field.and_then(|field| field.value.get_uint(0)) else {
        return pixels;
    };
    let Pixels { height, width, channels, data } = pixels;
    // Where the first row and column of the file lie in the image that stands.
    let (right_to_left, bottom_up, on_its_side) = match orientation {
        2 => (true, false, false),
        3 => (true, true, false),
        4 => (false, true, false),
        5 => (false, false, true),
        6 => (true, false, true),
        7 => (true, true, true),
        _ => (false, true, true),
    };
    let [new_width, new_height] = if on_its_side { [height, width] } else { [width, height] };
    let mut turned = Vec::with_capacity(data.len());
    for y in 0..new_height {
        for x in 0..new_width {
            let x = if right_to_left { new_width - 1 - x } else { x };
            let y = if bottom_up { new_height - 1 - y } else { y };
            let [column, row] = if on_its_side { [y, x] } else { [x, y] };
            let from = (row * width + column) * channels;
            turned.extend_from_slice(&data[from..from + channels]);
        }
    }
    Pixels { height: new_height, width: new_width, channels, data: turned }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(orientation: u8, expected: [&[u8]; 2]) {
        let mut exif = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
        exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
        let image = Pixels { height: 2, width: 2, channels: 1, data: vec![1, 2, 3, 4] };
        assert_eq!(turned(image, exif).data, expected.concat());
    }

    #[test]
    fn all_eight_are_known() {
        check(1, [&[1, 2], &[3, 4]]);
        check(2, [&[2, 1], &[4, 3]]);
        check(3, [&[4, 3], &[2, 1]]);
        check(4, [&[3, 4], &[1, 2]]);
        check(5, [&[1, 3], &[2, 4]]);
        check(6, [&[3, 1], &[4, 2]]);
        check(7, [&[4, 2], &[3, 1]]);
        check(8, [&[2, 4], &[1, 3]]);
        check(9, [&[1, 2], &[3, 4]]);
    }
}
