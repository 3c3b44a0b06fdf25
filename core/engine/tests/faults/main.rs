//! What becomes of a run when the system fails it, and when what it has kept is damaged.
#![cfg(target_os = "linux")]

#[path = "../common/mod.rs"]
mod common;

use std::{
    collections::BTreeMap,
    env, fs,
    io::Write,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    sync::OnceLock,
};

use common::{Bench, Measure, STUDY, Taught, Teach};
use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_pcg::Pcg64Mcg;
use spacewright_core::study::{Artifact, Step};
use spacewright_engine::{Engine, EngineOptions, StepState, Threads};
use tempfile::TempDir;

const FOLDER: &str = "SPACEWRIGHT_TEST_FAULTS_FOLDER";
/// Whether all calls are swept, not a sample.
const LONG: &str = "SPACEWRIGHT_TEST_LONG";
/// Exit code of a victim whose run has failed with an error.
const FAILED: i32 = 3;
/// No space is left; input or output failed.
const ERRORS: [i32; 2] = [28, 5];

fn engine(bench: &Bench, folder: &Path) -> Engine {
    let study = bench.study(&format!("{STUDY}[teach]\ntasks = 3")).unwrap();
    let options = EngineOptions {
        runs: folder.join("runs"),
        threads: Threads::InAll(1),
        ..EngineOptions::new(folder.join("home"))
    };
    Engine::open(study, &bench.registry, options).unwrap()
}

#[test]
#[ignore = "the process that is failed"]
fn victim() {
    let folder = env::var_os(FOLDER).expect("started by other tests");
    if let Err(error) = engine(&Bench::new(), Path::new(&folder)).run_all() {
        let _ = writeln!(std::io::stdout(), "error: {error}");
        std::process::exit(FAILED);
    }
}

/// All that the run has to say, as a new process sees it.
fn results(folder: &Path) -> BTreeMap<String, String> {
    let bench = Bench::new();
    let engine = engine(&bench, folder);
    let states = engine.status().unwrap();
    assert!(states.iter().all(|status| status.state == StepState::Current), "{states:?}");
    let mut all =
        BTreeMap::from([("sum".to_owned(), engine.get(&Measure::SUM).unwrap().to_string())]);
    for task in engine.tasks(Teach::NAME).unwrap() {
        let artifact = Artifact::<Taught>::of_task(Teach::NAME, task.clone());
        let weights = fs::read_to_string(engine.file(&artifact).unwrap().join("weights")).unwrap();
        all.insert(task, format!("{} {weights}", engine.get(&artifact).unwrap().index));
    }
    let report = engine.published("report").unwrap().remove(0);
    all.insert("report".into(), fs::read_to_string(report).unwrap());
    all
}

fn expected() -> &'static BTreeMap<String, String> {
    static RESULTS: OnceLock<BTreeMap<String, String>> = OnceLock::new();
    RESULTS.get_or_init(|| {
        let folder = folder();
        engine(&Bench::new(), folder.path()).run_all().unwrap();
        results(folder.path())
    })
}

/// A folder in memory, where there is such a thing: syncing costs nothing there.
fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Which call fails, and how.
#[derive(Debug, Clone, Copy)]
struct Fault {
    kind: &'static str,
    at: usize,
    error: i32,
    from_on: bool,
    partly: bool,
}

/// The library that makes calls fail, compiled.
fn shim() -> &'static Path {
    static SHIM: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = SHIM.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shim.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/faults/shim.c");
        let mut compiler = Command::new("cc");
        compiler
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-o"])
            .arg(&path)
            .arg(source)
            .arg("-ldl");
        assert!(compiler.status().expect("a C compiler").success());
        (folder, path)
    });
    path
}

/// Runs the study in a process of its own, with a fault; also how many calls of its kind there were.
fn run_with(fault: Fault, folder: &Path) -> (ExitStatus, String, usize) {
    let counts = tempfile::NamedTempFile::new().unwrap();
    let flag = |on: bool| if on { "1" } else { "0" };
    let output = Command::new(env::current_exe().unwrap())
        .args(["--ignored", "--exact", "victim", "--nocapture"])
        .env(FOLDER, folder)
        .env("LD_PRELOAD", shim())
        .env("FAULT_FOLDER", folder)
        .env("FAULT_KIND", fault.kind)
        .env("FAULT_AT", fault.at.to_string())
        .env("FAULT_ERRNO", fault.error.to_string())
        .env("FAULT_FROM_ON", flag(fault.from_on))
        .env("FAULT_PARTLY", flag(fault.partly))
        .env("FAULT_COUNTS", counts.path())
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    let calls = fs::read_to_string(counts.path()).unwrap().trim().parse().unwrap_or(0);
    (output.status, text, calls)
}

/// With the fault the run ends well or with an error; without, the next one ends as any other.
fn survives(fault: Fault) {
    let folder = folder();
    let (status, text, _) = run_with(fault, folder.path());
    let clean = matches!(status.code(), Some(0 | FAILED)) && !text.contains("panicked");
    assert!(clean, "{fault:?}: {status}\n{text}");
    engine(&Bench::new(), folder.path())
        .run_all()
        .unwrap_or_else(|error| panic!("{fault:?}: afterwards: {error}"));
    assert_eq!(&results(folder.path()), expected(), "{fault:?}");
}

/// Every `stride`-th of all calls of a kind.
fn sweep(kind: &'static str, stride: usize) {
    let stride = if env::var_os(LONG).is_some() { 1 } else { stride };
    let folder = folder();
    let none = Fault { kind, at: 0, error: 0, from_on: false, partly: false };
    let (status, text, calls) = run_with(none, folder.path());
    assert!(status.success() && calls > 2, "{kind}: {calls} calls\n{text}");
    for (index, at) in (1..=calls).step_by(stride).enumerate() {
        let error = ERRORS[index % 2];
        survives(Fault { kind, at, error, from_on: index % 3 == 2, partly: index % 4 == 1 });
    }
}

#[test]
fn no_failing_rename_loses_anything() {
    sweep("rename", 1);
}

#[test]
fn no_failing_mkdir_loses_anything() {
    sweep("mkdir", 1);
}

#[test]
fn no_failing_sync_loses_anything() {
    sweep("sync", 2);
}

#[test]
fn no_failing_open_loses_anything() {
    sweep("open", 2);
}

#[test]
fn no_failing_write_loses_anything() {
    sweep("write", 5);
}

#[test]
fn no_failing_removal_loses_anything() {
    sweep("unlink", 1);
}

/// Gives everything below a folder these permissions.
fn permit(folder: &Path, folders: u32, files: u32) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            permit(&path, folders, files);
        } else {
            fs::set_permissions(path, fs::Permissions::from_mode(files)).unwrap();
        }
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(folders)).unwrap();
}

#[test]
fn what_cannot_be_written_can_be_looked_at() {
    /// Somebody without rights, as whom the victim runs where this process may write anything.
    const NOBODY: u32 = 65_534;
    let folder = folder();
    engine(&Bench::new(), folder.path()).run_all().unwrap();
    // Where nobody else may look at the folder of this program.
    let program = folder.path().join("program");
    fs::copy(env::current_exe().unwrap(), &program).unwrap();
    let before = files(folder.path());
    permit(folder.path(), 0o555, 0o555);
    let mut command = Command::new(&program);
    command.args(["--ignored", "--exact", "victim", "--nocapture"]).env(FOLDER, folder.path());
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = command.current_dir("/").output().unwrap();
    permit(folder.path(), 0o755, 0o644);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(files(folder.path()), before);
    assert_eq!(&results(folder.path()), expected());
}

/// All files below a folder with their contents.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                all.insert(path.clone(), fs::read(&path).unwrap());
            }
        }
    }
    all
}

/// Turns a bit, cuts the end off, or removes the file.
fn damage(path: &Path, rng: &mut impl Rng) -> String {
    let mut bytes = fs::read(path).unwrap();
    let name = String::from_utf8_lossy(path.as_os_str().as_bytes()).into_owned();
    let kind = rng.random_range(0..8);
    if kind == 0 || bytes.is_empty() {
        fs::remove_file(path).unwrap();
        return format!("{name} removed");
    }
    let at = rng.random_range(0..bytes.len());
    if kind == 1 {
        bytes.truncate(at);
    } else {
        bytes[at] ^= 1 << rng.random_range(0..8);
    }
    // Objects are read-only.
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
    format!("{name}: {} at byte {at}", if kind == 1 { "cut" } else { "turned" })
}

/// Whatever file of a finished run, or of its home, is damaged: the next run ends as any other.
#[test]
fn no_damage_is_believed() {
    let trials = if env::var_os(LONG).is_some() { 1000 } else { 60 };
    let mut rng = Pcg64Mcg::seed_from_u64(17);
    let whole = folder();
    engine(&Bench::new(), whole.path()).run_all().unwrap();
    let kept = files(whole.path());
    let paths: Vec<&PathBuf> = kept.keys().collect();
    for _ in 0..trials {
        for path in files(whole.path()).into_keys() {
            fs::remove_file(path).unwrap();
        }
        for (path, bytes) in &kept {
            fs::write(path, bytes).unwrap();
        }
        let what = damage(paths.choose(&mut rng).unwrap(), &mut rng);
        engine(&Bench::new(), whole.path())
            .run_all()
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(&results(whole.path()), expected(), "{what}");
    }
}
