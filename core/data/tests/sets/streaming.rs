//! Images as studies read them: the same from any number of threads, in bounded memory.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use rayon::prelude::*;
use spacewright_core::data::{
    Draw, Flip, Images, Normalize, RandomCrop, RandomResizedCrop, Resize, Transform,
};
use spacewright_data::{CatalogImages, SurveyFiles};

use super::{
    Folder,
    files::{Format, Picture},
};

/// A shard of so many images of 64 pixels.
fn write_shard(folder: &Folder, images: usize) {
    let mut shard = tar::Builder::new(Vec::new());
    let mut add = |name: String, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        shard.append_data(&mut header, name, content).unwrap();
    };
    for index in 0..images {
        let picture = Picture::of(64, 64, |x, y| [x as u8, y as u8, (index % 251) as u8]);
        add(format!("{index:06}.png"), &picture.encoded(Format::Png));
        add(format!("{index:06}.cls"), (index % 10).to_string().as_bytes());
    }
    folder.write("train-0.tar", shard.into_inner().unwrap());
}

fn transforms() -> Vec<Transform> {
    vec![
        Transform::RandomResizedCrop(RandomResizedCrop::default()),
        Transform::Flip(Flip::default()),
        Transform::Normalize(Normalize { mean: vec![0.5; 3], std: vec![0.25; 3] }),
    ]
}

#[test]
fn inputs_are_the_same_from_any_number_of_threads_and_wherever_pixels_lie() {
    let folder = Folder::new();
    write_shard(&folder, 100);
    let catalog = Arc::new(folder.open().unwrap());
    let files = SurveyFiles::new(&folder.path().join("kept"), "set");
    files.make(&catalog, 10 << 20, |_, _| true).unwrap().unwrap();
    let (survey, kept) = files.read(catalog.samples.len()).unwrap();
    assert_eq!(survey.kept_bytes(), 100 * 64 * 64 * 3);
    let kept = CatalogImages::new(catalog.clone(), kept, 3);
    let streamed = CatalogImages::new(catalog, None, 3);
    let draws: Vec<Draw> = (0..100).map(|image| Draw::of_view(image, 3, 1, "test")).collect();
    let all = streamed.inputs(&draws, &transforms(), 32).unwrap();
    for threads in [1, 4] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        for images in [&kept, &streamed] {
            let parts: Vec<Vec<f32>> = pool.install(|| {
                let chunks = draws.par_chunks(7);
                chunks.map(|draws| images.inputs(draws, &transforms(), 32).unwrap()).collect()
            });
            assert!(parts.concat() == all);
        }
    }
}

#[test]
fn more_than_may_be_kept_is_not_kept() {
    let folder = Folder::new();
    write_shard(&folder, 20);
    let catalog = folder.open().unwrap();
    let files = SurveyFiles::new(&folder.path().join("kept"), "set");
    let most = 19 * 64 * 64 * 3;
    let survey = files.make(&catalog, most, |_, _| true).unwrap().unwrap();
    assert_eq!(survey.kept_bytes(), 0);
    assert_eq!(fs::read_dir(folder.path().join("kept")).unwrap().count(), 1);
    assert!(files.read(20).is_some_and(|(_, kept)| kept.is_none()));
    assert!(files.read(21).is_none());
    assert!(files.make(&catalog, 0, |done, _| done < 5).unwrap().is_none());
}

#[test]
fn a_survey_ends_at_the_first_image_that_cannot_be_read_and_leaves_nothing() {
    let folder = Folder::new();
    for index in 0..200 {
        let picture = Picture::of(8, 8, |x, y| [x as u8, y as u8, index]);
        folder.write(format!("cat/{index:03}.png"), picture.encoded(Format::Png));
    }
    let catalog = folder.open().unwrap();
    fs::remove_file(folder.path().join("cat/000.png")).unwrap();
    let files = SurveyFiles::new(&folder.path().join("kept"), "set");
    let looked_at = AtomicUsize::new(0);
    let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let made = one_thread.install(|| {
        files.make(&catalog, 10 << 20, |done, _| {
            looked_at.store(done, Ordering::Relaxed);
            true
        })
    });
    assert!(made.unwrap_err().to_string().contains("000.png"));
    assert!(looked_at.load(Ordering::Relaxed) < 200 - 1);
    assert_eq!(fs::read_dir(folder.path().join("kept")).unwrap().count(), 0);
}

#[test]
fn crops_of_small_images_are_padded_as_the_study_says() {
    let folder = Folder::new();
    write_shard(&folder, 4);
    let images = CatalogImages::new(Arc::new(folder.open().unwrap()), None, 3);
    let crop = [Transform::RandomCrop(RandomCrop { padding: 4 })];
    let draws: Vec<Draw> = (0..4).map(|image| Draw::of_view(image, 0, 1, "test")).collect();
    assert_eq!(images.inputs(&draws, &crop, 64).unwrap().len(), 4 * 3 * 64 * 64);
    let resize = [Transform::Resize(Resize { crop_share: 1.0, ..Resize::default() })];
    assert_eq!(images.inputs(&draws, &resize, 20).unwrap().len(), 4 * 3 * 20 * 20);
}

/// Bytes of memory that no file stands behind, of this process.
#[cfg(target_os = "linux")]
fn anonymous_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// 20,000 images of 64 pixels, which together have 246 MB.
#[cfg(target_os = "linux")]
#[test]
fn a_large_set_is_streamed_in_little_memory() {
    let folder = Folder::new();
    write_shard(&folder, 20_000);
    let before = anonymous_memory();
    let catalog = Arc::new(folder.open().unwrap());
    let files = SurveyFiles::new(&folder.path().join("kept"), "set");
    files.make(&catalog, 0, |_, _| true).unwrap().unwrap();
    let images = CatalogImages::new(catalog, None, 3);
    let mut most = 0;
    for start in (0..20_000).step_by(64) {
        let batch = start..(start + 64).min(20_000);
        let draws: Vec<Draw> = batch.map(|image| Draw::of_view(image, 0, 1, "test")).collect();
        let inputs = images.inputs(&draws, &transforms(), 64).unwrap();
        assert_eq!(inputs.len(), draws.len() * 3 * 64 * 64);
        most = most.max(anonymous_memory().saturating_sub(before));
    }
    assert!(most < 100 << 20, "{} MB", most >> 20);
}
