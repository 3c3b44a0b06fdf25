//! How many images a second are made ready for training, on one thread: photographs are decoded, cut,
//! resized, mirrored and normalized; small images that are kept decoded are read, moved, mirrored and
//! normalized. `cargo bench --bench images` prints the best of several rounds, and beside it what Pillow
//! does with the same photographs (`benches/images.py`), where Python has Pillow and NumPy.
#![allow(clippy::print_stdout)]

use std::{
    env, fs,
    hint::black_box,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::Instant,
};

use rand::{Rng, seq::SliceRandom};
use spacewright_core::{
    data::{Draw, Flip, Images, Normalize, RandomCrop, RandomResizedCrop, Transform},
    random,
};
use spacewright_data::{CatalogImages, Pipeline, SurveyFiles, decode_image};

const PHOTOGRAPHS: usize = 200;
const SMALL_IMAGES: usize = 20_000;
const ROUNDS: usize = 5;

fn main() {
    // `cargo test --all-targets` runs this, too, without the flag of `cargo bench`.
    if !env::args().any(|argument| argument == "--bench") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let photographs_folder = folder.path().join("photographs");
    fs::create_dir(&photographs_folder).unwrap();
    let files: Vec<PathBuf> =
        (0..PHOTOGRAPHS).map(|index| write(&photographs_folder, index)).collect();
    let bytes: u64 = files.iter().map(|file| fs::metadata(file).unwrap().len()).sum();
    println!("one thread, best of {ROUNDS} rounds\n");
    let kilobytes = bytes as f64 / 1e3 / PHOTOGRAPHS as f64;
    println!("{PHOTOGRAPHS} JPEG files of 400x533 pixels, {kilobytes:.0} kB each");
    let here = photographs(&files);
    println!("  random-resized-crop to 224, flip, normalize   {here:>8.0} images/s");
    match pillow(&photographs_folder) {
        Some(pillow) => println!(
            "  the same with Pillow                          {pillow:>8.0} images/s, {:.2} times as many here",
            here / pillow
        ),
        None => println!("  Pillow: not measured, Python has it or NumPy not"),
    }
    println!("\n{SMALL_IMAGES} images of 32x32 pixels, kept decoded");
    println!(
        "  random-crop, flip, normalize                  {:>8.0} images/s",
        small_images(folder.path())
    );
}

fn normalize() -> Transform {
    Transform::Normalize(Normalize {
        mean: vec![0.485, 0.456, 0.406],
        std: vec![0.229, 0.224, 0.225],
    })
}

/// A picture of waves with some noise, about as hard to compress as a photograph.
fn write(folder: &Path, index: usize) -> PathBuf {
    const SIZE: [usize; 2] = [400, 533];
    let mut rng = random::generator(index as u64, &["photograph"]);
    let waves: Vec<[f64; 5]> = (0..24)
        .map(|wave| {
            let [x, y, phase, colour]: [f64; 4] = rng.random();
            let fine = 0.01 * 1.25f64.powi(wave);
            [fine * (x - 0.5), fine * (y - 0.5), 6.3 * phase, colour, 40.0 * 0.87f64.powi(wave)]
        })
        .collect();
    let mut data = Vec::with_capacity(SIZE[0] * SIZE[1] * 3);
    for at in 0..SIZE[0] * SIZE[1] {
        let (x, y) = ((at % SIZE[0]) as f64, (at / SIZE[0]) as f64);
        let noise = rng.random_range(-6.0..6.0);
        for channel in 0..3 {
            let value = |wave: &[f64; 5]| {
                let shift = 2.0 * wave[3] * f64::from(channel);
                wave[4] * (x * wave[0] + y * wave[1] + wave[2] + shift).sin()
            };
            data.push((128.0 + noise + waves.iter().map(value).sum::<f64>()) as u8);
        }
    }
    let path = folder.join(format!("{index:03}.jpg"));
    let encoder = jpeg_encoder::Encoder::new_file(&path, 85).unwrap();
    let colours = jpeg_encoder::ColorType::Rgb;
    encoder.encode(&data, SIZE[0] as u16, SIZE[1] as u16, colours).unwrap();
    path
}

/// Images a second of the best round.
fn rate(images: usize, mut round: impl FnMut(usize)) -> f64 {
    let mut best = f64::INFINITY;
    for index in 0..ROUNDS {
        let started = Instant::now();
        round(index);
        best = best.min(started.elapsed().as_secs_f64());
    }
    images as f64 / best
}

fn photographs(files: &[PathBuf]) -> f64 {
    const SIDE: usize = 224;
    let crop = Transform::RandomResizedCrop(RandomResizedCrop::default());
    let pipeline =
        Pipeline::new(&[crop, Transform::Flip(Flip::default()), normalize()], 3).unwrap();
    let mut input = vec![0.0; 3 * SIDE * SIDE];
    rate(files.len(), |round| {
        let mut rng = random::generator(round as u64, &["round"]);
        for file in files {
            let pixels = decode_image(&fs::read(file).unwrap()).unwrap();
            let pixels = pipeline.image(pixels, SIDE, &mut rng).unwrap();
            pipeline.normalized(&pixels, &mut input);
        }
    })
}

/// Images as a study reads them: from the file that keeps their pixels, in batches, in any order.
fn small_images(folder: &Path) -> f64 {
    const SIDE: u16 = 32;
    let mut rng = random::generator(0, &["small"]);
    for index in 0..SMALL_IMAGES {
        let class = folder.join(format!("set/train/{}", index % 10));
        fs::create_dir_all(&class).unwrap();
        let data: Vec<u8> = (0..3 * usize::from(SIDE).pow(2)).map(|_| rng.random()).collect();
        let path = class.join(format!("{index}.jpg"));
        let encoder = jpeg_encoder::Encoder::new_file(path, 85).unwrap();
        encoder.encode(&data, SIDE, SIDE, jpeg_encoder::ColorType::Rgb).unwrap();
    }
    let catalog = Arc::new(spacewright_data::open(&[folder.join("set")], None).unwrap());
    let files = SurveyFiles::new(&folder.join("kept"), "set");
    files.make(&catalog, 1 << 30, |_, _| true).unwrap();
    let (_, kept) = files.read(SMALL_IMAGES).unwrap();
    let images = CatalogImages::new(catalog, kept, 3);
    let crop = Transform::RandomCrop(RandomCrop { padding: 4 });
    let transforms = [crop, Transform::Flip(Flip::default()), normalize()];
    let mut order: Vec<usize> = (0..SMALL_IMAGES).collect();
    rate(SMALL_IMAGES, |round| {
        order.shuffle(&mut rng);
        for batch in order.chunks(16) {
            let draws: Vec<Draw> =
                batch.iter().map(|&image| Draw::of_view(image, round, 0, "bench")).collect();
            black_box(images.inputs(&draws, &transforms, SIDE.into()).unwrap());
        }
    })
}

/// Images a second of Pillow's best round, where Python has it.
fn pillow(folder: &Path) -> Option<f64> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/images.py");
    let output = Command::new("python3")
        .arg(script)
        .args([folder.as_os_str(), ROUNDS.to_string().as_ref()])
        .env("OMP_NUM_THREADS", "1")
        .stderr(Stdio::null())
        .output()
        .ok()?;
    str::from_utf8(&output.stdout).ok()?.trim().parse().ok()
}
