//! Study files.

use std::{fs, path::Path};

use spacewright_core::graph::{ActivationKind, ConvSpec, GraphBuilder, Shape};

use super::{json, refusal, run, text};

fn examples() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let studies = entries.filter(|path| path.extension().is_some_and(|e| e == "toml"));
    studies.map(|path| path.to_str().unwrap().to_owned()).collect()
}

/// A network for grey images in a thousand classes, whose maps have the sizes of stages for photographs.
fn write_network(folder: &Path) {
    let mut b = GraphBuilder::new(Shape::square(1, 128));
    let strides = [2, 2, 2, 2, 1, 2].into_iter().enumerate();
    let x = strides.fold(b.input(), |x, (stage, stride)| {
        let spec = ConvSpec::new(8 + 8 * stage, 3).stride(stride);
        b.conv_bn_act(&format!("stage{stage}"), x, spec, ActivationKind::Relu)
    });
    let x = b.global_avg_pool("pool", x);
    let x = b.linear("logits", x, 1000);
    fs::create_dir(folder).unwrap();
    let graph = serde_json::to_string(&b.finish(x)).unwrap();
    fs::write(folder.join("graph.json"), graph).unwrap();
    fs::write(folder.join("weights.safetensors"), "").unwrap();
}

#[test]
fn all_examples_are_valid_studies() {
    let runs = tempfile::tempdir().unwrap();
    let examples = examples();
    assert!(examples.len() >= 3);
    write_idx(runs.path(), 40, 2);
    write_network(&runs.path().join("efficientnet-lite2"));
    for example in examples {
        // Instead of images and networks that each user gets for himself, some others.
        let text = fs::read_to_string(&example).unwrap();
        let path = text.lines().find(|line| line.starts_with("path = "));
        let file = match path {
            Some(path) => {
                let file = runs.path().join("example.toml");
                fs::write(&file, text.replace(path, "path = \".\"")).unwrap();
                file.display().to_string()
            }
            None => example.clone(),
        };
        let study = json(&format!("study show {file} --runs {}", runs.path().display()));
        let steps = study["steps"].as_array().unwrap();
        let of_a_run = steps.iter().filter(|step| step["extra"] == false).count();
        assert_eq!((of_a_run, steps.len()), (12, 18), "{example}");
    }
}

#[test]
fn every_field_is_explained() {
    let sections = json("study schema")["sections"].as_array().unwrap().clone();
    assert!(sections.len() >= 9);
    for section in &sections {
        for field in section["fields"].as_array().unwrap() {
            assert!(!field["summary"].as_str().unwrap().is_empty(), "{section}");
        }
    }
    assert!(text("study explain train").contains("teacher_share"));
    assert!(refusal("study explain trian").contains("no section `trian`"));
}

#[test]
fn mistakes_in_a_study_are_refused_before_anything_runs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("study.toml");
    let check = |from: &str, to: &str, part: &str| {
        let example = include_str!("../../examples/smoke.toml");
        fs::write(&path, example.replace(from, to)).unwrap();
        let error = refusal(&format!("study show {}", path.display()));
        assert!(error.contains(part), "{error}");
    };
    check("population = 6", "poplation = 6", "poplation");
    check("name = \"smoke\"", "name = \"führen\"", "use letters a to z, digits, ");
    let long = format!("name = \"{}\"", "a".repeat(101));
    check("name = \"smoke\"", &long, "`name`: a name of 101 characters is too long");
    check("[teach]", "[taech]", "taech");
    check("target = \"host-ort\"", "target = \"host-otr\"", "did you mean `host-ort`?");
    check("evaluations = 100", "evaluations = 100\nstrategy = \"luck\"", "[evolve] strategy");
    check(
        "score = { draws",
        "score = { drows",
        "[evolve] score: options of `q-t`: unknown field `drows`",
    );
    check(
        "score = { draws",
        "strategy = \"exact\"\nscore = { mode = \"monte-carlo\", draws",
        "[evolve] strategy: the scorer has no bounds",
    );
    check("check_images = 2", "post_training = \"magic\"", "[export] post_training");
    check(
        "phase = { steps = 40 }",
        "phase = { steps = 0 }",
        "[teach] phase.steps: must be at least 1, not 0",
    );
    check("phase = { steps = 40 }", "block = \"resnte\"", "resnte");
    check(
        "[search]",
        "[rivals]\nrandom = \"mini-99-00\"\n[search]",
        "[rivals] random: `mini-99-00`",
    );
    check(
        "[search]",
        "[rivals]\nmanual = [\"resnte\"]\n[search]",
        "[rivals] manual: no block type",
    );
    check("held_out = 200", "held_out = 0", "[data] held_out: must be at least 1, not 0");
    check(
        "[search]",
        "[compute]\ndevice = \"gpu\"\n[search]",
        "[compute] device: `gpu` is no device",
    );
    check(
        "[search]",
        "[compute]\ndevice = \"cpu\"\nprecision = \"tf32\"\n[search]",
        "[compute] precision: `tf32` is a format of GPUs",
    );
    let cluster = |lines: &str, part: &str| {
        check("[search]", &format!("[cluster]\n{lines}\n[search]"), part);
    };
    cluster("engine = \"slurn\"", "[cluster] engine: unknown variant `slurn`");
    cluster("jobs = 0", "[cluster] jobs: must be at least 1, not 0");
    cluster("options = [\"--wrap=id\"]", "[cluster] options: `--wrap=id` would change what is run");
    check("[search]", "[search]\nslack = 2", "[search] slack: 2 is not between 0 and 1");
    check(
        "[train]",
        "[train]\nteacher_share = -1",
        "[train] teacher_share: -1 is not between 0 and 1",
    );
    check(
        "[train]",
        "[train]\naugment = [{ normalize = {} }]",
        "[train] augment: transform 0, normalize: belongs to `transforms` of [data]",
    );
    let budgets = |budgets: &str, part: &str| {
        let example = include_str!("../../examples/smoke.toml");
        let line = example.lines().find(|line| line.starts_with("budgets = ")).unwrap();
        check(line, &format!("budgets = {budgets}"), part);
    };
    budgets("[]", "[measure] budgets: ");
    budgets("[{ quantile = 2 }]", "[measure] budgets[0]: quantile = 2 is not between 0 and 1");
    budgets("[{ ms = -1 }]", "[measure] budgets[0]: ms = -1 is not positive");
    check("[measure]", "[measure]\nthreads = 0", "[measure] threads: 0 is not between 1 and 256");
    let also = |also: &str, part: &str| {
        check("[measure]", &format!("[measure]\nalso = {also}"), part);
    };
    also("[\"host-litert\", \"host-litert\"]", "[measure] also: `host-litert` is there twice");
    also("[\"host-ort\"]", "[measure] also: `host-ort` is the study's own target");
    also("[\"host-otr\"]", "[measure] also: ");
}

/// Whether the schema of study files accepts a study.
fn accepted(text: &str) -> bool {
    let schema = json("study schema --json-schema");
    let study: serde_json::Value = toml::from_str(text).unwrap();
    jsonschema::draft7::new(&schema).unwrap().is_valid(&study)
}

#[test]
fn the_schema_accepts_every_example_and_refuses_misspelt_fields() {
    let mut all = examples();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/two-runtimes");
    all.extend(
        ["host-ort", "host-litert", "both"]
            .map(|name| folder.join(format!("{name}.toml")).to_str().unwrap().to_owned()),
    );
    for example in all {
        assert!(accepted(&fs::read_to_string(&example).unwrap()), "{example}");
    }
    let smoke = include_str!("../../examples/smoke.toml");
    let elsewhere = "[compute]\ndevice = \"cuda:1\"\nprecision = \"bf16\"\n[search]";
    assert!(accepted(&smoke.replacen("[search]", elsewhere, 1)));
    let cluster = "[cluster]\nengine = \"slurm\"\noptions = [\"--time=5\"]\n[search]";
    assert!(accepted(&smoke.replacen("[search]", cluster, 1)));
    for (right, wrong) in [
        ("population = 6", "poplation = 6"),
        ("[teach]", "[taech]"),
        ("steps = 40", "stepps = 40"),
        ("steps = 40", "steps = 0"),
        ("seed = 0", "sead = 0"),
        ("[search]", "[compute]\ndevice = \"gpu\"\n[search]"),
        ("[search]", "[cluster]\nengine = \"slurn\"\n[search]"),
        ("hyperspace = \"mini\"", ""),
    ] {
        assert!(smoke.contains(right));
        assert!(!accepted(&smoke.replacen(right, wrong, 1)), "{wrong}");
    }
}

/// A red pixel.
const BMP: &[u8] = b"BM\x3a\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\x18\0\
    \0\0\0\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xff\0";

/// The four files of a set of square grey images, as many for training as for tests.
fn write_idx(folder: &Path, count: u8, side: u8) {
    let header = |kind: u8, sizes: &[u8]| -> Vec<u8> {
        let sizes = sizes.iter().flat_map(|size| [0, 0, 0, *size]);
        [0, 0, 8, kind].into_iter().chain(sizes).collect()
    };
    for part in ["train", "t10k"] {
        let mut images = header(3, &[count, side, side]);
        images.extend((0..u32::from(count) * u32::from(side).pow(2)).map(|pixel| pixel as u8));
        let mut labels = header(1, &[count]);
        labels.extend((0..count).map(|index| index % 10));
        fs::write(folder.join(format!("{part}-images-idx3-ubyte")), images).unwrap();
        fs::write(folder.join(format!("{part}-labels-idx1-ubyte")), labels).unwrap();
    }
}

#[test]
fn a_study_to_see_that_all_runs_has_a_twentieth_of_the_steps() {
    let folder = tempfile::tempdir().unwrap();
    let run = |command: &str, name: &str, arguments: &[&str]| {
        let mut command = super::command(command);
        command.arg(folder.path().join(name)).args(arguments);
        let output = command.env("SPACEWRIGHT_HOME", folder.path().join("home")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let steps = |text: &str| -> Vec<usize> {
        let numbers = text.split("steps = ").skip(1);
        numbers.map(|rest| rest.split([',', ' ']).next().unwrap().parse().unwrap()).collect()
    };
    run("study new", "long.toml", &["--data", "synthetic"]);
    run("study new", "short.toml", &["--data", "synthetic", "--short"]);
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let twentieths: Vec<usize> =
        steps(&read("long.toml")).iter().map(|steps| (steps / 20).max(4)).collect();
    assert!(twentieths.len() >= 3, "{twentieths:?}");
    assert_eq!(steps(&read("short.toml")), twentieths);
    assert!(accepted(&read("short.toml")));
    run("study new", "seeded.toml", &["--data", "synthetic", "--seed", "5"]);
    assert!(read("seeded.toml").contains("\nseed = 5\n"));

    let runs = folder.path().join("runs");
    let history = run("study history", "short.toml", &["--runs", runs.to_str().unwrap()]);
    assert!(history.starts_with("nothing has run yet of this study in "), "{history}");
    let arguments = ["--runs", runs.to_str().unwrap(), "--step", "teach"];
    let history = run("study history", "short.toml", &arguments);
    assert!(history.starts_with("step `teach` of this study has not run yet in "), "{history}");
}

#[test]
fn the_layout_of_a_folder_that_looks_like_two_can_be_named() {
    let folder = tempfile::tempdir().unwrap();
    let (file, set) = (folder.path().join("mine.toml"), folder.path().join("set"));
    for class in ["cat", "dog"] {
        fs::create_dir_all(set.join(class)).unwrap();
        for index in 0..4 {
            fs::write(set.join(class).join(format!("{index}.bmp")), BMP).unwrap();
        }
    }
    fs::write(set.join("papers.tar"), "").unwrap();
    let new = |data: &str, more: &[&str]| {
        let mut command = super::command("study new");
        command.arg(&file).args(["--data", data]).args(more);
        let output = command.env("SPACEWRIGHT_HOME", folder.path().join("home")).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let set = set.to_str().unwrap();
    let (code, said) = new(set, &[]);
    assert!(code == Some(2) && said.contains("say which it is: --layout"), "{said}");
    let (code, said) = new("synthetic", &["--layout", "idx"]);
    assert!(code == Some(2) && said.contains("--layout idx: `synthetic` is a known set"), "{said}");
    let (code, said) = new(set, &["--layout", "image-folder"]);
    assert_eq!(code, Some(0), "{said}");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("\nlayout = \"image-folder\"\n") && accepted(&text), "{text}");
}

#[test]
fn a_study_whose_file_no_run_can_be_called_after_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let long = format!("{}.toml", "a".repeat(101));
    for (name, said) in [
        ("my study.toml", "`my study` cannot be the name of a run\nhint: use letters a to z, "),
        ("führen.toml", "`führen` cannot be the name of a run\nhint: use letters a to z, "),
        (long.as_str(), "a name of 101 characters is too long\nhint: use 100 at most; "),
    ] {
        let path = folder.path().join(name);
        let mut command = super::command("study new");
        let output = command.arg(&path).args(["--data", "synthetic"]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let start = format!("error: {}: the run gets its name from the file, ", path.display());
        assert!(stderr.starts_with(&start) && stderr.contains(said), "{stderr}");
        assert!(!path.exists());
    }
}

#[test]
fn a_damaged_run_that_is_looked_at_stays_as_it_is() {
    let runs = tempfile::tempdir().unwrap();
    let folder = runs.path().join("smoke");
    let (file, aside) = (folder.join("run.sqlite"), folder.join("run.sqlite.damaged-1"));
    fs::create_dir(&folder).unwrap();
    fs::write(&file, "this is no data base, and long enough to be sure").unwrap();
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/smoke.toml");
    let ran = run(&format!("study show {example} --runs {}", runs.path().display()));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let said = format!(" {}: damaged (", file.display());
    assert!(ran.stderr.contains(&said) && !ran.stderr.contains("set aside"), "{}", ran.stderr);
    assert!(ran.stderr.contains("), and left as it is; 0 of its rows are sound"), "{}", ran.stderr);
    assert!(ran.stderr.contains(", the next run makes anew what is lacking"), "{}", ran.stderr);
    assert!(fs::read(&file).unwrap().starts_with(b"this is no data base") && !aside.exists());
    // A run that lacks a file is no less a run.
    let ran = run(&format!("study list --runs {}", runs.path().display()));
    let said = format!("the run {} is left out: ", folder.display());
    assert!(ran.code == 0 && ran.stderr.contains(&said), "{}", ran.stderr);
}

#[test]
fn what_is_kept_of_runs_that_are_not_there_is_not_listed() {
    for command in ["list", "clear"] {
        let said = refusal(&format!("cache {command} --runs not-there"));
        assert!(said.starts_with("error: there is no folder not-there\n"), "{said}");
    }
}

#[test]
fn a_run_of_another_study_of_the_same_name_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/smoke.toml");
    let [one, other] = ["one", "other"].map(|name| {
        let path = folder.path().join(name).join("smoke.toml");
        fs::create_dir(path.parent().unwrap()).unwrap();
        fs::copy(example, &path).unwrap();
        path.display().to_string()
    });
    let runs = folder.path().join("runs").display().to_string();
    assert_eq!(run(&format!("--quiet tables {one} --runs {runs}")).code, 0);
    assert_eq!(run(&format!("--quiet study show {one} --runs {runs}")).stderr, "");
    let said = format!("is the run of {one}, which has the same name");
    let shown = run(&format!("study show {other} --runs {runs}"));
    assert!(shown.code == 0 && shown.stderr.contains(&said), "{}", shown.stderr);
    assert!(refusal(&format!("--quiet tables {other} --runs {runs}")).contains(&said));
}

#[test]
fn a_new_study_is_short_says_where_its_schema_is_and_can_be_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.toml");
    let home = folder.path().join("home");
    let new = |arguments: &[&str]| {
        super::command("study new")
            .arg(&path)
            .args(arguments)
            .env("SPACEWRIGHT_HOME", &home)
            .output()
            .unwrap()
    };
    let output = new(&["--data", "synthetic", "--budget", "0.5", "--budget", "2ms"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.lines().count() <= 40, "{} lines", text.lines().count());
    assert!(text.contains("budgets = [{ ms = 0.5 }, { ms = 2 }]"), "{text}");
    let twice = super::command("study compare").args([&path, &path]).output().unwrap();
    let said = String::from_utf8_lossy(&twice.stderr).into_owned();
    assert!(twice.status.code() == Some(2) && said.contains("mine.toml is named twice"), "{said}");
    fs::remove_file(&path).unwrap();
    let output = new(&["--data", "synthetic", "--budget", "1e300"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let schema = text.lines().next().unwrap().strip_prefix("#:schema ").unwrap();
    let schema = fs::read_to_string(schema).unwrap();
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&schema).unwrap()["title"],
        "Spacewright study"
    );
    assert!(accepted(&text));
    let status = json(&format!("study show {} --runs {}", path.display(), folder.path().display()));
    assert_eq!(status["study"], "mine");

    // Of few images a tenth is held out.
    fs::remove_file(&path).unwrap();
    write_idx(folder.path(), 40, 2);
    let output = new(&["--data", folder.path().to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("layout = \"idx\"\nchannels = 1\n"), "{text}");
    assert!(text.contains("hyperspace = \"mini\"") && text.contains("held_out = 4\n"), "{text}");
    assert!(text.contains("transforms = [{ pad = { to = 32 } }]") && accepted(&text), "{text}");

    // Nothing of larger images is cut off without the study saying so.
    for (side, hyperspace) in [(40, "cifar"), (90, "photographs")] {
        fs::remove_file(&path).unwrap();
        write_idx(folder.path(), 40, side);
        assert!(new(&["--data", folder.path().to_str().unwrap()]).status.success());
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(&format!("hyperspace = {hyperspace:?}")), "{text}");
        assert!(text.contains("{ center-crop = {} }") && accepted(&text), "{text}");
        let status =
            json(&format!("study show {} --runs {}", path.display(), folder.path().display()));
        assert_eq!(status["study"], "mine");
    }

    // Those to test on fit, too.
    fs::remove_file(&path).unwrap();
    let larger = folder.path().join("larger");
    fs::create_dir(&larger).unwrap();
    write_idx(&larger, 40, 40);
    write_idx(folder.path(), 40, 28);
    let images = "t10k-images-idx3-ubyte";
    fs::copy(larger.join(images), folder.path().join(images)).unwrap();
    fs::remove_dir_all(&larger).unwrap();
    assert!(new(&["--data", folder.path().to_str().unwrap()]).status.success());
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("{ center-crop = {} }") && !text.contains("pad"), "{text}");

    // Whatever the folder is called; of one class nothing can be learned.
    let (many, one) = (folder.path().join("a\u{a0}\u{301}\"b"), folder.path().join("one"));
    for (place, class) in [(&many, "cat"), (&many, "dog"), (&one, "cat")] {
        fs::create_dir_all(place.join(class)).unwrap();
        for index in 0..4 {
            fs::write(place.join(class).join(format!("{index}.bmp")), BMP).unwrap();
        }
    }
    fs::remove_file(&path).unwrap();
    let refused = new(&["--data", one.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(2));
    let stderr = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(stderr.contains("all training images are of class cat"), "{stderr}");
    let output = new(&["--data", many.to_str().unwrap(), "--budget", "50%"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    json(&format!("study show {} --runs {}", path.display(), folder.path().display()));

    let again = new(&[]);
    assert_eq!(again.status.code(), Some(2), "nothing is overwritten");
    fs::remove_file(&path).unwrap();
    for (arguments, said) in [
        (["--data", "nowhere"], "there is no such folder or file"),
        (["--target", "host-otr"], "no target `host-otr`"),
        (["--budget", "fast"], "`fast` is no latency budget"),
    ] {
        let output = new(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(stderr.contains(said), "{stderr}");
        assert!(!path.exists());
    }
}

#[test]
fn targets_say_what_they_are() {
    let targets = json("target list")["targets"].as_array().unwrap().clone();
    let names: Vec<&str> = targets.iter().map(|target| target["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["host-litert", "host-ort", "host-ort-pairs"]);
    let target = json("target inspect host-ort");
    assert_eq!(target["target"]["scheme"]["dense_weights"], "bits7");
    let said = text("target inspect host-ort");
    assert!(said.contains("dense weights in 7 bits, depth-wise weights in 8 bits\n"), "{said}");
    assert!(said.contains("fused: conv2d with relu, conv2d with relu6, linear with"), "{said}");
    assert!(said.contains("\ndecomposed: swish\n"), "{said}");
}
