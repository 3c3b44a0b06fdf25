//! Whole studies that are killed at random, and whose files are damaged: a part of it with the tests that take
//! long, hours of it by `cargo xtask faults`.

use std::{env, os::unix::fs::PermissionsExt};

use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_pcg::Pcg64Mcg;
use rustix::process::Signal;

use super::{
    workers::{children, send_signal},
    *,
};

/// How many, by an environment variable.
fn count(variable: &str, default: usize) -> usize {
    env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

#[test]
#[cfg_attr(not(spacewright_long), ignore = "takes minutes; SPACEWRIGHT_TEST_LONG asks for it")]
fn a_study_that_is_killed_at_random_ends_the_same() {
    let kills = count("SPACEWRIGHT_TEST_KILLS", 80);
    let whole = Place::new();
    let started = Instant::now();
    whole.finish(&["run"]);
    let longest = started.elapsed();
    let mut rng = Pcg64Mcg::seed_from_u64(5);
    let mut killed = 0;
    while killed < kills {
        let place = Place::with_latencies_of(&whole);
        loop {
            let mut command = place.command(&["run", "--quiet"], &tiny());
            let child = command.stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
            thread::sleep(longest.mul_f64(0.2 * rng.random::<f64>()));
            let is_over = match children(child.id()).choose(&mut rng) {
                Some(&worker) if rng.random() => kill_worker(child, worker),
                _ => !kill(child),
            };
            if is_over {
                break;
            }
            killed += 1;
        }
        place.finish(&["run"]);
        assert_eq!(place.results(), whole.results(), "after {killed} kills");
    }
}

/// Kills a process that trains. Whether the run came to its end nevertheless.
fn kill_worker(mut head: Child, worker: u32) -> bool {
    send_signal(worker, Signal::KILL);
    match head.wait().unwrap().code() {
        Some(0) => true,
        Some(1) => false,
        other => panic!("the head ended with {other:?}"),
    }
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { all.push(path) }
        }
    }
    all.sort();
    all
}

/// A copy that can be written.
fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(&file, &target).unwrap();
        fs::set_permissions(&target, fs::Permissions::from_mode(0o644)).unwrap();
    }
}

/// Turns a bit, cuts the end off, or removes a file; what was done.
fn damage(file: &Path, rng: &mut impl Rng) -> String {
    let mut bytes = fs::read(file).unwrap();
    let at = rng.random_range(0..bytes.len().max(1));
    let what = match rng.random_range(0..8) {
        0 => {
            fs::remove_file(file).unwrap();
            return format!("{} removed", file.display());
        }
        1 => {
            bytes.truncate(at);
            "cut"
        }
        _ => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << rng.random_range(0..8);
            }
            "turned"
        }
    };
    fs::write(file, bytes).unwrap();
    format!("{} {what} at byte {at}", file.display())
}

#[test]
#[cfg_attr(not(spacewright_long), ignore = "takes minutes; SPACEWRIGHT_TEST_LONG asks for it")]
fn no_damaged_file_of_a_study_is_believed() {
    let whole = Place::new();
    whole.finish(&["run"]);
    let expected = whole.results();
    let mut rng = Pcg64Mcg::seed_from_u64(6);
    for _ in 0..count("SPACEWRIGHT_TEST_DAMAGES", 60) {
        let place = Place::new();
        copy(whole.folder.path(), place.folder.path());
        let kept = files(place.folder.path());
        let what = damage(kept.choose(&mut rng).unwrap(), &mut rng);
        place.finish(&["run"]);
        assert_eq!(place.results(), expected, "{what}");
    }
}
