//! What a stranger's file, or the folder that the program is started in, cannot do.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::{guest::Guest, place::Place};

/// A component in a file of the place.
fn file(place: &Place, name: &str, component: &[u8]) -> String {
    fs::write(place.path().join(name), component).unwrap();
    name.to_owned()
}

#[test]
fn a_plugin_that_calls_itself_like_something_built_in_is_refused() {
    let place = Place::new();
    for name in ["host-ort", "Host_ORT", "mini", "q-t", "Operators_CNN"] {
        let file = file(&place, "guest.wasm", &named(name));
        for command in ["inspect", "check", "install"] {
            let (code, error) = place.failure(&format!("plugin {command} {file}"));
            assert_eq!(code, 1, "{command} {name}: {error}");
            assert!(error.contains("the program itself has"), "{command} {name}: {error}");
        }
    }
    place.text(&format!("plugin inspect {}", file(&place, "good.wasm", &named("good"))));
    assert!(place.json("plugin list")["plugins"].as_array().unwrap().is_empty());
}

fn named(name: &str) -> Vec<u8> {
    Guest { name: name.into(), ..Guest::default() }.component()
}

/// Within all limits of what a component may consist of, but for the compiler's time and memory.
fn long_to_compile() -> Vec<u8> {
    let block = "(if (local.get 0) (then (local.set 0 (i64.ne (local.get 1) (local.get 2)))))";
    let locals = "(local i64)".repeat(1990);
    let uses: String = (0..1990)
        .map(|i| format!("(local.set {} (i64.add (local.get {}) (i64.const 1)))", i + 1, i + 1))
        .collect();
    let body = format!("(loop $again {uses} {} (br_if $again (local.get 0)))", block.repeat(3000));
    let function = format!("(func (param i32) {locals} {body})");
    let more = function.repeat(20);
    Guest { more, ..Guest::default() }.component()
}

#[test]
fn compiling_is_bounded_in_time_and_memory() {
    let place = Place::new();
    let file = file(&place, "long.wasm", &long_to_compile());
    let start = Instant::now();
    let (code, error) = place.failure(&format!("plugin inspect {file}"));
    assert_eq!(code, 1, "{error}");
    assert!(error.contains("compiling it takes "), "{error}");
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn compiled_code_that_was_changed_is_not_executed() {
    let place = Place::new();
    let file = file(&place, "good.wasm", &named("good"));
    place.text(&format!("plugin install {file}"));
    let cache = place.path().join("home/cache");
    let code: Vec<PathBuf> = fs::read_dir(&cache)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "cwasm"))
        .collect();
    let [code] = &code[..] else { panic!("{code:?}") };
    let good = fs::read(code).unwrap();
    let mut bad = good.clone();
    let middle = bad.len() / 2;
    bad[middle] ^= 1;
    fs::write(code, &bad).unwrap();
    let checked = place.run("plugin check good");
    assert!(checked.status.success());
    let said = String::from_utf8(checked.stderr).unwrap();
    assert!(said.contains("compiled code was changed"), "{said}");
    assert_eq!(fs::read(code).unwrap().len(), good.len(), "it was made anew");
    assert_eq!(String::from_utf8(place.run("plugin check good").stderr).unwrap(), "");
}

#[test]
fn without_a_home_nothing_is_put_into_the_current_folder() {
    let place = Place::new();
    for variables in [&[][..], &[("HOME", "."), ("XDG_DATA_HOME", "data")]] {
        let mut command = place.command("space count mini");
        for variable in ["SPACEWRIGHT_HOME", "XDG_DATA_HOME", "HOME"] {
            command.env_remove(variable);
        }
        let output = command.envs(variables.iter().copied()).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.starts_with("error: no home: none of HOME, "), "{error}");
        assert!(error.contains("hint: let SPACEWRIGHT_HOME name a folder"), "{error}");
    }
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
}

#[test]
fn a_home_that_others_can_write_in_is_refused() {
    let place = Place::new();
    let home = place.path().join("home");
    let file = file(&place, "good.wasm", &named("good"));
    place.text(&format!("plugin install {file}"));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&home), mode(&home.join("key"))), (0o700, 0o600));
    fs::set_permissions(&home, fs::Permissions::from_mode(0o777)).unwrap();
    let (code, error) = place.failure("plugin list");
    assert_eq!(code, 1);
    assert!(error.contains("others can write in the home of the program"), "{error}");
    assert!(error.contains("hint: look at what is in it, then `chmod 700 "), "{error}");
}

/// Neither libraries nor images are taken from the current folder; the program lies elsewhere.
#[test]
fn nothing_of_the_current_folder_is_loaded() {
    let place = Place::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let program = elsewhere.path().join("spacewright");
    let built = env!("CARGO_BIN_EXE_spacewright");
    fs::hard_link(built, &program).or_else(|_| fs::copy(built, &program).map(drop)).unwrap();
    for (folder, name) in [
        ("onnxruntime", "libonnxruntime.so.9"),
        ("litert", "libLiteRt.so.9"),
        ("fashion-mnist", "x"),
    ] {
        let folder = place.path().join(".deps").join(folder);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(name), "no library").unwrap();
    }
    let run = |arguments: &str| {
        let typed = place.command(arguments);
        let mut command = std::process::Command::new(&program);
        command.args(typed.get_args()).current_dir(place.path());
        for (variable, value) in typed.get_envs() {
            match value {
                Some(value) => command.env(variable, value),
                None => command.env_remove(variable),
            };
        }
        for variable in ["SPACEWRIGHT_ONNXRUNTIME", "SPACEWRIGHT_LITERT", "SPACEWRIGHT_DATA"] {
            command.env_remove(variable);
        }
        let output = command.output().unwrap();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    for target in ["host-ort", "host-litert"] {
        let said = run(&format!("target inspect {target}"));
        assert!(said.contains("beside or above this program"), "{said}");
    }
}

#[test]
fn all_that_a_component_makes_costly_is_refused_soon() {
    let place = Place::new();
    let slow = "(loop $slow (drop (memory.grow (i32.const 0))) (br $slow))";
    let describing = Guest { describe: slow.into(), ..Guest::default() }.component();
    let answering =
        Guest { latencies: format!("{slow} (unreachable)"), ..Guest::default() }.component();
    let start = Instant::now();
    let (_, error) = place.failure(&format!("plugin inspect {}", file(&place, "a", &describing)));
    assert!(error.contains("`about`: stopped after "), "{error}");
    // What it costs to ask is shown; that not all was asked is said.
    let inspected = place.text(&format!("plugin inspect {}", file(&place, "b", &answering)));
    assert!(inspected.contains("its time was over before all was asked"), "{inspected}");
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
}
