//! Single files as people have them: what is handled as expected, and what is refused.

use std::fs;

use spacewright_data::{ImageProblem, LARGEST_PIXELS, Pixels, Wanted, check, decode_image};

use super::{
    Folder,
    files::{Format, Picture, png},
};

const WANTED: Wanted = Wanted { held_out: 1, train: 0, test: 0, seed: 0 };

const BLUE: [u8; 3] = [20, 90, 220];
const RED: [u8; 3] = [200, 60, 30];

/// Blue on the left, red on the right.
fn two_colours() -> Picture {
    Picture::of(16, 8, |x, _| if x < 8 { BLUE } else { RED })
}

fn file(name: &str) -> Vec<u8> {
    fs::read(format!("{}/tests/files/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn at(pixels: &Pixels, x: usize, y: usize) -> [u8; 3] {
    let start = (y * pixels.width + x) * 3;
    [0, 1, 2].map(|channel| pixels.data[start + channel])
}

#[track_caller]
fn near(found: [u8; 3], expected: [u8; 3]) {
    let far = found.iter().zip(expected).any(|(&found, expected)| found.abs_diff(expected) > 4);
    assert!(!far, "{found:?} instead of {expected:?}");
}

#[test]
fn every_format_is_read() {
    let image = two_colours();
    let formats = [Format::Bmp, Format::Jpeg, Format::Png, Format::Png16, Format::WebP];
    let mut files: Vec<Vec<u8>> = formats.map(|format| image.encoded(format)).into();
    files.extend(["cmyk.jpg", "progressive.jpg", "palette.png", "lossy.webp"].map(file));
    let transparent = Picture::of(16, 8, |x, _| {
        let [red, green, blue] = if x < 8 { BLUE } else { RED };
        [red, green, blue, x as u8]
    });
    files.extend([Format::Png, Format::Png16].map(|format| transparent.encoded(format)));
    for bytes in files {
        let pixels = decode_image(&bytes).unwrap();
        assert_eq!((pixels.width, pixels.height, pixels.channels), (16, 8, 3));
        near(at(&pixels, 2, 4), BLUE);
        near(at(&pixels, 13, 4), RED);
    }
}

/// Files that Pillow has written, whole and cut.
#[test]
fn files_of_another_encoder_are_read_whole_or_not_at_all() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/files");
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        let pixels = decode_image(&bytes).unwrap().with_channels(3);
        assert_eq!((pixels.width, pixels.height), (16, 8), "{}", path.display());
        if !path.ends_with("one-bit.png") {
            near(at(&pixels, 2, 4), BLUE);
            near(at(&pixels, 13, 4), RED);
        }
        for end in [bytes.len() / 2, bytes.len() * 3 / 4, bytes.len() - 20] {
            let cut = decode_image(&bytes[..end]);
            assert!(cut.is_err(), "{}: {end} of {} bytes", path.display(), bytes.len());
        }
    }
}

#[test]
fn grey_stays_grey_until_colours_are_wanted() {
    let grey = Picture::of(16, 8, |x, y| [(x * y) as u8]);
    let transparent = Picture::of(16, 8, |x, y| [(x * y) as u8, 9]);
    let files = [
        grey.encoded(Format::Png),
        grey.encoded(Format::Png16),
        grey.encoded(Format::Jpeg),
        transparent.encoded(Format::Png),
        transparent.encoded(Format::Png16),
        file("one-bit.png"),
    ];
    for bytes in files {
        let pixels = decode_image(&bytes).unwrap();
        assert_eq!((pixels.channels, pixels.data.len()), (1, 128));
        let colours = pixels.clone().with_channels(3);
        assert_eq!(colours.data.len(), 384);
        assert_eq!(colours.with_channels(1), pixels);
    }
    let luma =
        decode_image(&Picture::of(1, 1, |_, _| [100, 150, 200]).encoded(Format::Png)).unwrap();
    // 0.299 · 100 + 0.587 · 150 + 0.114 · 200 = 140.75
    assert_eq!(luma.with_channels(1).data, [141]);
}

/// A JPEG with an EXIF segment that says how the camera was held.
fn held(orientation: u8) -> Vec<u8> {
    let jpeg = two_colours().encoded(Format::Jpeg);
    let mut exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
    let length = (exif.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &length, &exif, &jpeg[2..]].concat()
}

#[test]
fn images_stand_as_the_camera_was_held() {
    let shape = |orientation: u8| {
        let pixels = decode_image(&held(orientation)).unwrap();
        let is_blue = at(&pixels, 1, 1)[2] > 100;
        (pixels.width, pixels.height, is_blue)
    };
    assert_eq!(shape(1), (16, 8, true));
    assert_eq!(shape(3), (16, 8, false));
    assert_eq!(shape(6), (8, 16, true));
    assert_eq!(shape(8), (8, 16, false));
    // What is no orientation is none.
    assert_eq!(shape(77), (16, 8, true));
}

#[test]
fn long_and_narrow_images_are_images() {
    let pixels = decode_image(&Picture::of(1, 20_000, |_, _| RED).encoded(Format::Png)).unwrap();
    assert_eq!((pixels.width, pixels.height), (1, 20_000));
}

#[track_caller]
fn refused(bytes: &[u8], expected: &str) {
    let reason = decode_image(bytes).unwrap_err().to_string();
    assert!(reason.starts_with(expected), "{reason}");
}

#[test]
fn what_does_not_decode_to_its_end_is_refused() {
    let noise = Picture::of(64, 48, |x, y| {
        let value = x * 31 + y * 57 + (x * y) % 23 * 5;
        [value as u8, (value / 3) as u8, (value * 7) as u8]
    });
    for format in [Format::Bmp, Format::Jpeg, Format::Png, Format::WebP] {
        let whole = noise.encoded(format);
        decode_image(&whole).unwrap();
        for end in
            [whole.len() - 20, whole.len() * 9 / 10, whole.len() / 2, whole.len() / 8, 20, 12]
        {
            assert!(
                decode_image(&whole[..end]).is_err(),
                "{format:?}: {end} of {} bytes",
                whole.len()
            );
        }
    }
    let jpeg = noise.encoded(Format::Jpeg);
    refused(&jpeg[..jpeg.len() - 2], "does not decode: it ends before its last line");
    // What cameras and editors leave after the end is no part of the image.
    decode_image(&[&jpeg[..], b"trailing bytes"].concat()).unwrap();
    let progressive = file("progressive.jpg");
    assert!(decode_image(&progressive[..progressive.len() - 30]).is_err());
}

/// A bitmap of a depth, whose pixels are the colours of a palette of two in turn.
fn bitmap(width: usize, height: usize, bits: usize) -> Vec<u8> {
    let colours = if bits <= 8 { 2 } else { 0 };
    let stride = (width * bits).div_ceil(32) * 4;
    let start = 54 + 4 * colours;
    let mut file = b"BM".to_vec();
    for word in [(start + stride * height) as u32, 0, start as u32, 40, width as u32, height as u32]
    {
        file.extend(word.to_le_bytes());
    }
    file.extend([1, 0, bits as u8, 0]);
    file.resize(46, 0);
    file.extend([colours as u8, 0, 0, 0, 0, 0, 0, 0]);
    if colours > 0 {
        file.extend([BLUE, RED].into_iter().flat_map(|[r, g, b]| [b, g, r, 0]));
    }
    for _ in 0..height {
        let mut row = vec![0u8; stride];
        for x in 0..width {
            match bits {
                1 | 4 | 8 => row[x * bits / 8] |= ((x % 2) as u8) << (8 - bits - x * bits % 8),
                16 => {}
                _ => {
                    let [r, g, b] = [BLUE, RED][x % 2];
                    row[x * bits / 8..][..3].copy_from_slice(&[b, g, r]);
                }
            }
        }
        file.extend(row);
    }
    file
}

#[test]
fn bitmaps_of_every_depth_are_read_whole_or_not_at_all() {
    for bits in [1, 4, 8, 24, 32] {
        for (width, height) in [(1, 1), (5, 3), (16, 16), (33, 2)] {
            let file = bitmap(width, height, bits);
            let pixels = decode_image(&file).unwrap();
            assert_eq!((pixels.width, pixels.height, pixels.channels), (width, height, 3));
            for y in 0..height {
                for x in 0..width {
                    assert_eq!(at(&pixels, x, y), [BLUE, RED][x % 2], "{bits} bits, {x} {y}");
                }
            }
            assert_eq!(decode_image(&file[..file.len() - 1]), Err(ImageProblem::Truncated));
        }
    }
    refused(&bitmap(4, 4, 16), "is a BMP file of 16 bits with compression 0: save it as PNG");
    let mut wrong = bitmap(1, 1, 8);
    *wrong.last_mut().unwrap() = 0;
    let pixel = wrong.len() - 4;
    wrong[pixel] = 7;
    refused(&wrong, "does not decode: a colour is not in its palette");
}

#[test]
fn foreign_content_is_refused() {
    refused(b"", "is empty");
    refused(b"this is a text", "is no JPEG, PNG, WebP or BMP");
    refused(b"GIF89a\x01\0\x01\0\0\0\0;", "is GIF, not JPEG, PNG, WebP or BMP");
}

/// A PNG file's start that promises a size.
fn promising(width: u32, height: u32) -> Vec<u8> {
    let mut png = png(1);
    png[16..20].copy_from_slice(&width.to_be_bytes());
    png[20..24].copy_from_slice(&height.to_be_bytes());
    let sum = crc(&png[12..29]).to_be_bytes();
    png[29..33].copy_from_slice(&sum);
    png
}

/// The checksum of a PNG chunk (PNG specification, annex D).
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0xedb8_8320 * (sum & 1)))
    })
}

#[test]
fn promises_of_headers_are_not_believed() {
    assert_eq!(LARGEST_PIXELS, 64_000_000);
    refused(
        &promising(60_000, 60_000),
        "has 60000x60000 pixels, more than 64 million: make it smaller",
    );
    refused(&promising(8000, 8001), "has 8000x8001 pixels");
    refused(&promising(8000, 8000), "does not decode");
    let mut jpeg = two_colours().encoded(Format::Jpeg);
    let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 9].fill(0xff);
    refused(&jpeg, "has 65535x65535 pixels, more than 64 million");
    let mut bmp = two_colours().encoded(Format::Bmp);
    bmp[18..22].copy_from_slice(&60_000u32.to_le_bytes());
    bmp[22..26].copy_from_slice(&60_000u32.to_le_bytes());
    refused(&bmp, "has 60000x60000 pixels");
    bmp[14..18].copy_from_slice(&12u32.to_le_bytes());
    refused(&bmp, "is a BMP file of OS/2: save it as PNG");
}

#[test]
fn equal_images_that_a_study_would_use_for_two_things_are_told() {
    let duplicates =
        |folder: &Folder| check(&folder.open().unwrap(), &WANTED, |_, _| true).unwrap().duplicates;
    let write = |folder: &Folder, part: &str| {
        for index in 0..4 {
            folder
                .write(format!("{part}cat/{index}.png"), png(1))
                .write(format!("{part}dog/{index}.png"), png(10 + index));
        }
    };
    let folder = Folder::new();
    write(&folder, "");
    let told = [0, 1, 2, 3].map(|index| format!("cat/{index}.png"));
    assert_eq!(duplicates(&folder), [told]);
    let whole = Folder::new();
    write(&whole, "train/");
    for (part, red) in [("val", 20), ("test", 30)] {
        whole.write(format!("{part}/dog/1.png"), png(red));
    }
    assert!(duplicates(&whole).is_empty(), "all are trained on");
}

#[test]
fn a_check_lists_all_that_is_wrong() {
    let folder = Folder::new();
    let jpeg = two_colours().encoded(Format::Jpeg);
    folder
        .write("train/cat/1.png", png(1))
        .write("train/cat/2.png", png(2))
        .write("train/dog/3.jpg", &jpeg)
        .write("train/dog/4.jpg", &jpeg[..jpeg.len() - 9])
        .write("train/dog/5.jpg", "")
        .write("val/dog/same.png", png(2))
        .write("val/cat/grey.png", Picture::of(16, 8, |x, _| [x as u8]).encoded(Format::Png))
        .write("notes.txt", "");
    let catalog = folder.open().unwrap();
    let checked = check(&catalog, &WANTED, |_, _| true).unwrap();
    let found = serde_json::to_value(&checked).unwrap();
    let expected = serde_json::json!({
        "layout": "image-folder",
        "parts": {
            "train": {
                "images": 3,
                "classes": { "cat": 2, "dog": 1 },
                "grey": 0,
                "width": { "smallest": 4, "median": 4, "largest": 16 },
                "height": { "smallest": 3, "median": 3, "largest": 8 },
            },
            "validation": {
                "images": 2,
                "classes": { "cat": 1, "dog": 1 },
                "grey": 1,
                "width": { "smallest": 4, "median": 4, "largest": 16 },
                "height": { "smallest": 3, "median": 3, "largest": 8 },
            },
        },
        "skipped": { ".txt": 1 },
        "duplicates": [["train/cat/2.png", "val/dog/same.png"]],
        "bad": [
            {
                "file": "train/dog/4.jpg",
                "class": "dog",
                "reason": "does not decode: Exhausted data in the image",
            },
            { "file": "train/dog/5.jpg", "class": "dog", "reason": "is empty" },
        ],
        "notices": ["classes with one image to train on: 1 (dog)"],
        "study": { "train": 2, "held_out": 1, "test": 2 },
    });
    assert_eq!(found, expected);
    assert!(check(&catalog, &WANTED, |done, _| done < 3).is_none());
}
