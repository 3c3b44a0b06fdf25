//! Completions and the manual.

use std::{
    fs,
    io::Write,
    process::{Command, Stdio},
};

use crate::text;

#[test]
fn completions_know_all_commands_and_are_scripts() {
    for (shell, check) in [("bash", "bash"), ("zsh", "zsh"), ("fish", "fish")] {
        let script = text(&format!("completions {shell}"));
        for word in ["distil", "quantize", "plain", "calibration-images"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
        assert!(!script.contains("foreign-file"), "{shell} offers a command that is hidden");
        // Where there is such a shell, it can read it.
        let checked = Command::new(check).arg("-n").stdin(Stdio::piped()).spawn();
        let Ok(mut checked) = checked else { continue };
        checked.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        assert!(checked.wait().unwrap().success(), "{shell}");
    }
}

#[test]
fn values_that_are_known_are_completed() {
    // The other shells' scripts hold the help as well, which names them.
    let script = text("completions bash");
    for values in [
        "operator-set hyperspace quantizer",
        "auto cpu cuda",
        "fp32 tf32 bf16",
        "none slurm ray",
        "onnx tflite all",
        "study data compute cluster",
    ] {
        assert!(script.contains(values), "{values}");
    }
    let is_in_word = |letter: char| letter.is_alphanumeric() || letter == '-';
    assert!(script.split(|letter| !is_in_word(letter)).all(|word| word != "task"));
}

#[test]
fn every_command_has_a_page_of_the_manual() {
    let folder = tempfile::tempdir().unwrap();
    let said = text(&format!("man {}", folder.path().display()));
    assert!(said.starts_with("wrote "), "{said}");
    let page = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    assert!(page("spacewright.1").contains("spacewright"));
    assert!(page("spacewright-bench-plain.1").contains("seeds"));
    assert!(page("spacewright-model-quantize.1").contains("calibration"));
}
