//! A user's place: a home of its own, and the program that works in it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;

/// How all plugins are built here: soon, and alike. With the profiles that they bring, each dependency would be
/// compiled again for every kind of optimization.
const BUILT: [(&str, &str); 3] = [
    ("CARGO_PROFILE_RELEASE_LTO", "off"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1"),
];

pub struct Place {
    folder: TempDir,
}

impl Place {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Runs the program; arguments are split at spaces.
    pub fn run(&self, arguments: &str) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// The program, ready to run.
    pub fn command(&self, arguments: &str) -> Command {
        // Plugins of all tests share what they are built from.
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugins");
        let mut command = Command::new(env!("CARGO_BIN_EXE_spacewright"));
        command
            .args(arguments.split_whitespace())
            .current_dir(self.path())
            .env("SPACEWRIGHT_HOME", self.path().join("home"))
            .env("CARGO_TARGET_DIR", target)
            .envs(BUILT)
            .env("OMP_WAIT_POLICY", "passive")
            .env("OMP_NUM_THREADS", "1");
        if let Some(archive) = env::var_os("SPACEWRIGHT_WASM_STD") {
            command.env("SPACEWRIGHT_WASM_STD", unpacked(Path::new(&archive)));
        }
        // Flags of the build of this test are not those of plugins.
        for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
            command.env_remove(name);
        }
        command
    }

    /// Standard output of a run that must succeed.
    pub fn text(&self, arguments: &str) -> String {
        let output = self.run(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments}: {stderr}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn json(&self, arguments: &str) -> Value {
        serde_json::from_str(&self.text(&format!("--json {arguments}"))).unwrap()
    }

    /// Exit code and standard error of a run that must fail.
    pub fn failure(&self, arguments: &str) -> (i32, String) {
        let output = self.run(arguments);
        assert!(!output.status.success(), "{arguments} should fail");
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    }

    /// Makes a plugin of the checkout's examples a file of this place.
    pub fn example(&self, name: &str) -> PathBuf {
        self.copy_example(name);
        let built = self.json(&format!("plugin build {name}"));
        self.path().join(built["file"].as_str().unwrap())
    }

    /// Copies the folder of one of the checkout's examples.
    pub fn copy_example(&self, name: &str) {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/plugins").join(name);
        let to = self.path().join(name);
        copy(&from, &to);
        // Paths are relative to the example.
        let manifest = to.join("Cargo.toml");
        if let Ok(text) = fs::read_to_string(&manifest) {
            let root = Path::new(env!("CARGO_MANIFEST_DIR"));
            let text = text.replace("../../..", &root.to_string_lossy());
            fs::write(manifest, text).unwrap();
        }
    }

    /// Replaces a text everywhere in a file.
    pub fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.path().join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} has no `{from}`");
        fs::write(&path, text.replace(from, to)).unwrap();
    }

    /// A study file with a few changes of its text.
    pub fn study(&self, changes: &[(&str, &str)]) -> PathBuf {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/study");
        let text = fs::read_to_string(folder.join("tiny.toml")).unwrap();
        let space = format!("\"{}\"", folder.join("tiny-space.toml").display());
        let mut text = text.replace("\"tiny-space.toml\"", &space);
        for (from, to) in changes {
            assert!(text.contains(from), "the study has no `{from}`");
            text = text.replacen(from, to, 1);
        }
        let path = self.path().join("study.toml");
        fs::write(&path, text).unwrap();
        path
    }
}

/// The standard library for WebAssembly, unpacked once for all tests.
fn unpacked(archive: &Path) -> PathBuf {
    let shared = Path::new(env!("CARGO_TARGET_TMPDIR")).join(archive.file_stem().unwrap());
    if !shared.is_dir() {
        let own = shared.with_extension(std::process::id().to_string());
        fs::create_dir_all(&own).unwrap();
        let tar = Command::new("tar").arg("-xf").arg(archive).arg("-C").arg(&own).status();
        assert!(tar.unwrap().success(), "cannot unpack {}", archive.display());
        // Where another test was faster, its folder stays.
        let _ = fs::rename(&own, &shared);
    }
    shared
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
