//! Where trainings are computed: what is chosen, refused and said.

use super::*;

/// Whether this machine may have a GPU, so that what is said of machines without one does not hold.
fn may_have_gpu() -> bool {
    ["/proc/driver/nvidia/version", "/dev/nvidiactl", "/usr/lib/wsl/lib/libcuda.so.1"]
        .iter()
        .any(|file| Path::new(file).exists())
}

/// The tiny study with these lines below `[compute]`.
fn study(place: &Place, lines: &str) -> PathBuf {
    let space = tiny().with_file_name("tiny-space.toml");
    let text = fs::read_to_string(tiny()).unwrap();
    let text = text.replace("\"tiny-space.toml\"", &format!("{space:?}"));
    let file = place.folder.path().join("computed.toml");
    fs::write(&file, format!("{text}\n[compute]\n{lines}\n")).unwrap();
    file
}

/// Exit code, standard output and standard error.
fn outcome(place: &Place, line: &str, study: &Path) -> (i32, String, String) {
    let arguments: Vec<&str> = line.split(' ').collect();
    let output = place.command(&arguments, study).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_gpu_that_is_not_there_is_refused_before_anything_runs() {
    if may_have_gpu() {
        return;
    }
    let place = Place::new();
    let file = study(&place, "device = \"cuda\"");
    let (code, _, stderr) = outcome(&place, "run", &file);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("error: cannot compute on `cuda:0`: "), "{stderr}");
    assert!(stderr.contains("\nhint: "), "{stderr}");
    assert!(!stderr.contains("tables"), "{stderr}");
    let (code, stdout, _) = outcome(&place, "study show", &file);
    assert_eq!(code, 0);
    assert!(stdout.contains("trains nothing here: cannot compute on `cuda:0`: "), "{stdout}");

    // The command line chooses otherwise; what trains nothing needs no GPU.
    let (code, _, stderr) = outcome(&place, "measure --with-inputs", &file);
    assert_eq!(code, 0, "{stderr}");
    let (code, _, stderr) = outcome(&place, "teach --with-inputs --device cpu", &file);
    assert_eq!(code, 0, "{stderr}");
    let (_, stdout, _) = outcome(&place, "study show --device auto", &file);
    assert!(stdout.contains("trains on cpu, fp32 (torch-trainer/"), "{stdout}");
    assert!(stdout.contains(", 1 threads)\n"), "{stdout}");
    assert!(!stdout.contains("teach: "), "{stdout}");
}

#[test]
fn what_a_device_cannot_compute_is_refused_with_its_place() {
    let place = Place::new();
    let file = study(&place, "precision = \"tf32\"");
    let (code, _, stderr) = outcome(&place, "run --device cpu", &file);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("computed.toml:"), "{stderr}");
    assert!(stderr.contains("[compute] precision: `tf32` is a format of GPUs"), "{stderr}");
    assert!(stderr.contains("hint: take `fp32` or `bf16`, or a GPU"), "{stderr}");
    let (code, _, stderr) = outcome(&place, "run --device gpu", &file);
    assert_eq!(code, 2);
    assert!(stderr.contains("`gpu` is no device; allowed are `auto`, `cpu`"), "{stderr}");
    let (code, _, stderr) = outcome(&place, "run --precision fp16", &file);
    assert_eq!(code, 2);
    assert!(stderr.contains("`fp16` is no precision; allowed are fp32, tf32, bf16"), "{stderr}");
}

#[test]
fn another_precision_is_said_before_a_step_runs_again() {
    let place = Place::new();
    let file = study(&place, "device = \"cpu\"");
    let (code, _, stderr) = outcome(&place, "teach --with-inputs", &file);
    assert_eq!(code, 0, "{stderr}");
    let (_, stdout, _) = outcome(&place, "study show --precision bf16", &file);
    assert!(stdout.contains("trains on cpu, bf16 (torch-trainer/"), "{stdout}");
    assert!(stdout.contains(", 1 threads, bf16)\n"), "{stdout}");
    let said = "teach: made with fp32, now bf16; `--precision fp32` goes on from it";
    assert!(stdout.contains(said), "{stdout}");
}
