//! The runner against a stand-in for adb and the phone.
#![cfg(unix)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use pixel_arm::{PixelArm, Settings, TfliteRunner};
use spacewright_sdk::prelude::*;
use tempfile::TempDir;

const MODEL: &[u8] = b"\x1c\0\0\0TFL3 and a network \0\xff";
const SERIAL: &str = "9A281FFAZ000AB";

/// A folder with a stand-in for adb and with what is on the phone.
struct Phone {
    folder: TempDir,
}

impl Phone {
    fn new(scenario: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("phone")).unwrap();
        for (core, frequency) in [(0, 1_785_600), (4, 2_419_200), (7, 2_841_600)] {
            let policy = at(&format!("sys/system/cpu/cpu{core}/cpufreq"));
            fs::create_dir_all(&policy).unwrap();
            fs::write(policy.join("cpuinfo_max_freq"), format!("{frequency}\n")).unwrap();
            fs::write(policy.join("scaling_governor"), "schedutil\n").unwrap();
        }
        fs::write(at("scenario"), scenario).unwrap();
        install("adb.sh", &at("adb"));
        if scenario != "missing" {
            install("benchmark_model.sh", &at("phone/benchmark_model"));
        }
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn settings(&self) -> Settings {
        Settings {
            adb: self.path("adb"),
            rounds: 3,
            pause: Duration::ZERO,
            timeout: Duration::from_secs(60),
            ..Settings::default()
        }
    }

    fn measure(&self) -> Result<Measurement, String> {
        self.measure_with(self.settings())
    }

    fn measure_with(&self, settings: Settings) -> Result<Measurement, String> {
        TfliteRunner::new(settings).measure(MODEL).map_err(|error| error.reason.to_string())
    }

    /// Every adb command, with `MODEL` for the model's name on the phone and `LOCAL` for files of
    /// this machine.
    fn log(&self) -> Vec<String> {
        let log = fs::read_to_string(self.path("log")).unwrap_or_default();
        log.lines().map(anonymous).collect()
    }

    /// Names of the files on the phone that a measurement brought.
    fn guests(&self) -> Vec<String> {
        let names = fs::read_dir(self.path("phone")).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with("spacewright-")).collect()
    }
}

/// Copies a script and makes it executable in a process of its own: a file that this process
/// has written may still be open in the fork of another test, and then it cannot be run.
fn install(script: &str, to: &Path) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(script);
    let status = Command::new("install").args(["-m", "755"]).arg(from).arg(to).status().unwrap();
    assert!(status.success());
}

fn anonymous(line: &str) -> String {
    let words = line.split(' ').map(|word| {
        let start = word.find("/data/local/tmp/spacewright-");
        match start {
            Some(start) if word.ends_with(".tflite") => format!("{}MODEL", &word[..start]),
            Some(start) if word.ends_with("-benchmark_model") => format!("{}TOOL", &word[..start]),
            _ if word.starts_with('/') && !on_phone(word) => "LOCAL".into(),
            _ => word.to_owned(),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

fn on_phone(word: &str) -> bool {
    ["/data/", "/sys/", "/dev/"].iter().any(|folder| word.starts_with(folder))
}

/// A command of the phone's shell as adb gets it.
fn shell(script: &str) -> String {
    format!("-s {SERIAL} shell ( {script} ) 2>&1; echo spacewright-exit-status:$?")
}

fn round(program: &str, mask: &str) -> String {
    shell(&format!(
        "taskset {mask} {program} --graph=MODEL --num_threads=1 --use_xnnpack=true \
         --warmup_runs=5 --num_runs=50 --min_secs=1 --max_secs=20"
    ))
}

#[test]
fn a_file_is_measured_in_rounds() {
    let phone = Phone::new("normal");
    let measurement = phone.measure().unwrap();
    let Measurement { min_ms, p10_ms, median_ms, runs, drift, .. } = measurement;
    assert_eq!((min_ms, median_ms, runs), (41.0, 42.5, 150));
    assert!((p10_ms - (42.05 + 0.45 / 9.0)).abs() < 1e-9, "{p10_ms}");
    assert_eq!(drift, 43.0 / 41.0);
    assert_eq!(measurement.warnings.len(), 1, "{:?}", measurement.warnings);
    assert!(measurement.warnings[0].contains("p10 is interpolated"));
}

#[test]
fn what_was_measured_is_described() {
    let phone = Phone::new("normal");
    let machine = phone.measure().unwrap().machine;
    let get = |key: &str| machine.get(key).map(String::as_str);
    assert_eq!(get("phone"), Some("Pixel 4"));
    assert_eq!(get("platform"), Some("msmnile"));
    assert_eq!(get("android"), Some("13"));
    assert_eq!(get("build"), Some("google/flame/flame:13/TP1A.221005.002"));
    assert_eq!(get("governor"), Some("schedutil"));
    assert_eq!((get("threads"), get("cores")), (Some("1"), Some("80")));
    assert_eq!(get("battery"), Some("28.5 °C before, 28.5 °C after"));
    let hash = get("runtime").and_then(|text| text.strip_prefix("benchmark_model ")).unwrap();
    assert!(hash.len() >= 32 && hash.chars().all(|c| c.is_ascii_hexdigit()), "{hash}");
    assert_eq!(get("soc"), None);
}

#[test]
fn the_commands_are_these() {
    let phone = Phone::new("normal");
    phone.measure().unwrap();
    let log = phone.log();
    let tool = "/data/local/tmp/benchmark_model";
    let expected = [
        "devices -l".to_owned(),
        shell("cd /sys/devices/system/cpu && grep . cpu[0-9]*/cpufreq/cpuinfo_max_freq /dev/null"),
        shell(&format!("[ -f {tool} ] && [ -x {tool} ]")),
        format!("-s {SERIAL} push LOCAL MODEL"),
    ];
    assert_eq!(log[..4], expected);
    assert!(log[4].contains("getprop ro.product.model"), "{}", log[4]);
    let heat = shell("dumpsys battery");
    let round = round(tool, "80");
    let rest = [&heat, &round, &round, &round, &heat, &shell("rm -f MODEL")];
    assert_eq!(log[5..].iter().collect::<Vec<_>>(), rest);
}

#[test]
fn the_phone_gets_the_model_and_loses_it_again() {
    let phone = Phone::new("normal");
    phone.measure().unwrap();
    assert_eq!(fs::read(phone.path("phone/seen")).unwrap(), MODEL);
    assert!(phone.guests().is_empty());
}

#[test]
fn older_versions_print_no_percentiles() {
    let measurement = Phone::new("old").measure().unwrap();
    assert_eq!(measurement.p10_ms, 41.0);
    assert!((measurement.median_ms - 42.6002).abs() < 1e-9, "{}", measurement.median_ms);
    assert!(measurement.warnings[0].contains("no median"), "{:?}", measurement.warnings);
    assert!(measurement.warnings[1].contains("no p5"), "{:?}", measurement.warnings);
}

/// What goes wrong before anything is on the phone.
#[test]
fn without_a_phone_it_says_what_to_do() {
    for (scenario, remedy) in [
        ("none", "connect one by USB"),
        ("unauthorized", "allow USB debugging"),
        ("offline", "connect it again"),
        ("two", "name one in ANDROID_SERIAL: 9A281FFAZ000AB (device product:flame"),
    ] {
        let phone = Phone::new(scenario);
        let reason = phone.measure().unwrap_err();
        assert!(reason.contains(remedy), "{scenario}: {reason}");
        assert_eq!(phone.log(), ["devices -l"], "{scenario}");
    }
}

#[test]
fn one_of_two_phones_can_be_named() {
    let phone = Phone::new("two");
    let settings = Settings { serial: Some(SERIAL.into()), ..phone.settings() };
    assert_eq!(phone.measure_with(settings).unwrap().min_ms, 41.0);
    assert!(phone.log()[1..].iter().all(|line| line.starts_with(&format!("-s {SERIAL} "))));
}

#[test]
fn a_missing_adb_is_named() {
    let phone = Phone::new("normal");
    let settings = Settings { adb: phone.path("no-adb"), ..phone.settings() };
    let reason = phone.measure_with(settings).unwrap_err();
    assert!(reason.contains("no-adb") && reason.contains("SPACEWRIGHT_ADB"), "{reason}");
}

#[test]
fn a_missing_benchmark_model_can_be_got() {
    let phone = Phone::new("missing");
    let reason = phone.measure().unwrap_err();
    assert!(reason.contains("`/data/local/tmp/benchmark_model` is not on the phone"), "{reason}");
    assert!(reason.contains("android_aarch64"), "{reason}");
    assert!(phone.log().iter().all(|line| !line.contains("push")));
}

#[test]
fn a_benchmark_model_of_this_machine_is_a_guest_too() {
    let phone = Phone::new("missing");
    let tool = phone.path("my benchmark_model");
    install("benchmark_model.sh", &tool);
    let settings = Settings { benchmark_model: tool, ..phone.settings() };
    assert_eq!(phone.measure_with(settings).unwrap().runs, 150);
    let log = phone.log();
    assert!(log.contains(&shell("chmod 755 TOOL")), "{log:?}");
    assert!(log.contains(&round("TOOL", "80")), "{log:?}");
    assert_eq!(log.last(), Some(&shell("rm -f TOOL MODEL")));
    assert!(phone.guests().is_empty());
}

#[test]
fn names_with_spaces_and_quotes_reach_the_phone() {
    let phone = Phone::new("missing");
    let name = "it's a $(tool); x";
    install("benchmark_model.sh", &phone.path("phone").join(name));
    let tool = PathBuf::from("/data/local/tmp").join(name);
    let settings = Settings { benchmark_model: tool, ..phone.settings() };
    assert_eq!(phone.measure_with(settings).unwrap().min_ms, 41.0);
}

#[test]
fn cores_can_be_chosen() {
    let phone = Phone::new("normal");
    let settings = Settings { cores: Some("f0".into()), ..phone.settings() };
    assert_eq!(phone.measure_with(settings).unwrap().machine["cores"], "f0");
    assert!(phone.log().contains(&round("/data/local/tmp/benchmark_model", "f0")));
    let settings = Settings { cores: Some("big".into()), ..phone.settings() };
    let reason = phone.measure_with(settings).unwrap_err();
    assert!(reason.contains("SPACEWRIGHT_CPU_MASK is `big`"), "{reason}");
}

#[test]
fn a_phone_that_hides_its_frequencies_needs_cores() {
    let phone = Phone::new("normal");
    fs::remove_dir_all(phone.path("sys/system/cpu")).unwrap();
    let reason = phone.measure().unwrap_err();
    assert!(reason.contains("SPACEWRIGHT_CPU_MASK"), "{reason}");
}

/// What goes wrong while the model is on the phone: it is removed.
#[test]
fn failures_leave_nothing_behind() {
    for (scenario, reason) in [
        ("fails", "exit status 1: ERROR: Didn't find op for builtin opcode CONV_2D version 99"),
        ("garbage", "no statistics of timed runs: segmentation of something"),
        ("unplugged", "connection to the phone broke"),
        ("floods", "printed more than 1024 KiB"),
        ("full", "No space left on device"),
    ] {
        let phone = Phone::new(scenario);
        let found = phone.measure().unwrap_err();
        assert!(found.contains(reason), "{scenario}: {found}");
        assert_eq!(phone.log().last(), Some(&shell("rm -f MODEL")), "{scenario}");
        assert!(phone.guests().is_empty(), "{scenario}");
    }
}

#[test]
fn a_command_that_hangs_is_ended() {
    let phone = Phone::new("hangs");
    let settings = Settings { timeout: Duration::from_secs(3), ..phone.settings() };
    let reason = phone.measure_with(settings).unwrap_err();
    assert!(reason.contains("ended after 3 s without an end"), "{reason}");
    assert!(phone.guests().is_empty());
}

#[test]
fn a_file_that_stays_is_told() {
    let warnings = Phone::new("sticky").measure().unwrap().warnings;
    assert!(warnings.last().unwrap().contains("was left on the phone"), "{warnings:?}");
}

#[test]
fn a_hot_phone_is_told() {
    let warnings = Phone::new("hot").measure().unwrap().warnings;
    assert!(warnings.iter().any(|text| text.contains("41.2 °C")), "{warnings:?}");
}

#[test]
fn only_tflite_files_reach_a_phone() {
    let phone = Phone::new("normal");
    let runner = TfliteRunner::new(phone.settings());
    for model in [&b""[..], b"TFL3", b"\x08\x08onnx file"] {
        assert!(runner.measure(model).unwrap_err().reason.to_string().contains("no .tflite file"));
    }
    assert!(phone.log().is_empty());
}

#[test]
fn nothing_is_loaded_here() {
    let runtime = PixelArm.runtime().unwrap();
    let error = runtime.load(MODEL).err().unwrap();
    assert_eq!(error.target, "pixel-arm");
    assert!(error.reason.to_string().contains("on a phone"), "{error}");
}
