//! Small drawn patterns in ten classes: data without a download.

use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;
use spacewright_data::{Catalog, Part};

/// Changes whenever the images do.
pub(super) const VERSION: &str = "synthetic 1";

const SIDE: usize = 28;
const CLASSES: usize = 10;

/// What the classes are called.
pub(super) fn classes() -> Vec<String> {
    (0..CLASSES).map(|class| class.to_string()).collect()
}

/// Training and test images; 0 stands for 12,000 and 2,000. The first images are the same
/// however many there are.
pub(super) fn catalog(train: usize, test: usize) -> Catalog {
    let part = |part: Part, count: usize, default: usize, seed: u64| {
        let count = if count == 0 { default } else { count };
        let labels = (0..count).map(|index| (index % CLASSES) as u32).collect();
        (part, draw(count, seed), labels)
    };
    let parts = vec![part(Part::Train, train, 12_000, 1), part(Part::Test, test, 2_000, 2)];
    Catalog::in_memory("synthetic", classes(), [1, SIDE, SIDE], parts)
}

fn draw(count: usize, seed: u64) -> Vec<u8> {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let mut pixels = Vec::with_capacity(count * SIDE * SIDE);
    for index in 0..count {
        draw_one(index % CLASSES, &mut rng, &mut pixels);
    }
    pixels
}

fn draw_one(class: usize, rng: &mut impl Rng, pixels: &mut Vec<u8>) {
    let centre = SIDE as f32 / 2.0 - 0.5;
    let (cx, cy) =
        (centre + rng.random_range(-3.0..3.0f32), centre + rng.random_range(-3.0..3.0f32));
    let (size, half) = (rng.random_range(6.0..10.0f32), rng.random_range(1.0..2.0f32));
    let ink = rng.random_range(120.0..220.0f32);
    for y in 0..SIDE {
        for x in 0..SIDE {
            let distance = distance(class, x as f32 - cx, y as f32 - cy, size);
            let cover = (half + 0.5 - distance).clamp(0.0, 1.0);
            let value = ink * cover + rng.random_range(0.0..35.0f32);
            pixels.push(value as u8);
        }
    }
}

/// How far a point is from the lines of a class's pattern.
fn distance(class: usize, x: f32, y: f32, size: f32) -> f32 {
    let diagonal = std::f32::consts::FRAC_1_SQRT_2;
    let (u, v) = ((x + y) * diagonal, (x - y) * diagonal);
    let bar = |along: f32, across: f32| (along.abs() - size).max(0.0).hypot(across);
    let radius = x.hypot(y);
    match class {
        0 => bar(x, y),
        1 => bar(y, x),
        2 => bar(u, v),
        3 => bar(v, u),
        4 => (radius - 0.5 * size).max(0.0),
        5 => (radius - 0.8 * size).abs(),
        6 => bar(x, y).min(bar(y, x)),
        7 => bar(u, v).min(bar(v, u)),
        8 => (x.abs().max(y.abs()) - 0.8 * size).abs(),
        _ => {
            let from = |offset: f32| ((x - offset).hypot(y) - 0.25 * size).max(0.0);
            from(0.6 * size).min(from(-0.6 * size))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_images_keep_the_first_ones() {
        let first = draw(20, 1);
        assert_eq!(draw(40, 1)[..first.len()], first);
        assert_ne!(first, draw(20, 2));
    }

    #[test]
    fn classes_look_alike_within_and_differ_between() {
        const COUNT: usize = 400;
        let pixels = draw(COUNT, 1);
        let image = |index: usize| {
            let pixels = &pixels[index * SIDE * SIDE..(index + 1) * SIDE * SIDE];
            pixels.iter().map(|pixel| f32::from(*pixel)).collect::<Vec<f32>>()
        };
        let mean = |class: usize| {
            let members: Vec<Vec<f32>> = (class..COUNT).step_by(CLASSES).map(image).collect();
            let pixel = |at: usize| members.iter().map(|member| member[at]).sum::<f32>();
            (0..SIDE * SIDE).map(|at| pixel(at) / members.len() as f32).collect::<Vec<f32>>()
        };
        let means: Vec<Vec<f32>> = (0..CLASSES).map(mean).collect();
        let hits = (0..COUNT).filter(|&index| {
            let image = image(index);
            let error =
                |mean: &[f32]| image.iter().zip(mean).map(|(a, b)| (a - b).powi(2)).sum::<f32>();
            let nearest = (0..CLASSES)
                .min_by(|a, b| error(&means[*a]).total_cmp(&error(&means[*b])))
                .unwrap();
            nearest == index % CLASSES
        });
        let share = hits.count() as f64 / COUNT as f64;
        assert!((0.5..1.0).contains(&share), "nearest mean finds {share}");
    }
}
