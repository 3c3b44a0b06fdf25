//! Studies that take the shared steps of another.

mod common;

use std::{fs, sync::Arc};

use common::{Bench, Controls, Fake, STUDY, Teach};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use spacewright_core::study::{
    AnyStep, Method, Reference, Referred, Section, Step, StepContext, StepError, StepNeeds,
};
use spacewright_engine::StepState;

const OTHER: &str = "\nname = \"other\"\nmethod = \"fake\"\ntarget = \"fake-target\"\n\
                     from = \"base.toml\"\n";

fn bench() -> Bench {
    let bench = Bench::new();
    fs::write(bench.folder.path().join("base.toml"), STUDY).unwrap();
    bench
}

#[test]
fn shared_steps_run_in_the_study_that_is_named() {
    let bench = bench();
    let other = bench.engine(OTHER);
    other.run_all().unwrap();
    assert_eq!(bench.controls.take_ran(), ["report", "t0", "t1", "t2", "t3"]);
    let base = bench.engine(STUDY);
    let states: Vec<StepState> = base.status().unwrap().iter().map(|step| step.state).collect();
    assert_eq!(states, [StepState::Missing, StepState::Current, StepState::Missing]);
    assert_eq!(other.file(&Teach::of(0)).unwrap(), base.file(&Teach::of(0)).unwrap());
    assert!(!other.tasks("teach").unwrap().is_empty());
    let skipped: Vec<bool> = other.run_all().unwrap().iter().map(|step| step.skipped).collect();
    assert_eq!(skipped, [true; 3]);
    assert_eq!(other.study().data, base.study().data);
}

#[test]
fn a_change_of_the_other_study_reaches_this_one() {
    let bench = bench();
    bench.engine(OTHER).run_all().unwrap();
    let changed = format!("{STUDY}[teach]\nrate = 0.2");
    fs::write(bench.folder.path().join("base.toml"), changed).unwrap();
    let states = bench.engine(OTHER).status().unwrap();
    let states: Vec<StepState> = states.iter().map(|step| step.state).collect();
    assert_eq!(states, [StepState::Current, StepState::Stale, StepState::Stale]);
}

#[test]
fn what_is_the_other_studys_is_refused() {
    let bench = bench();
    for (text, message) in [
        ("seed = 1", "`seed` is that of the study that `from` names"),
        ("hyperspace = \"tiny\"", "`hyperspace` is that of the study that `from` names"),
        (
            "[teach]\nrate = 0.3",
            "with [teach] of its own, a study takes no step of the one that `from` names",
        ),
        (
            "seed = 1\n[data]\nheld_out = 28\n[teach]\nrate = 0.3",
            "`seed`, [data] are those of the study that `from` names",
        ),
    ] {
        let error = bench.study(&format!("{OTHER}{text}")).unwrap_err();
        assert!(error.to_string().ends_with(message), "{error}");
        assert!(error.to_string().starts_with("study.toml:6: "), "{error}");
    }
    fs::write(bench.folder.path().join("base.toml"), OTHER).unwrap();
    let error = bench.study(OTHER).unwrap_err();
    let message = "it is taken from, and takes from another study itself";
    assert!(
        error.to_string().contains("base.toml:5") && error.to_string().ends_with(message),
        "{error}"
    );
}

#[test]
fn paths_of_the_other_study_are_relative_to_its_folder() {
    let bench = Bench::new();
    let folder = bench.folder.path().join("sub");
    fs::create_dir(&folder).unwrap();
    let images = "path = \"images\"\ntransforms = [{ normalize = {} }]\naugment = [{ flip = {} }]";
    fs::write(folder.join("base.toml"), STUDY.replace("set = \"synthetic\"", images)).unwrap();
    let whole = |name: &str| folder.join(name).display().to_string();
    for (from, path) in [
        ("sub/base.toml", "sub/images"),
        ("./sub/./base.toml", "sub/images"),
        ("sub/../sub/base.toml", "sub/../sub/images"),
        (&*whole("base.toml"), &*whole("images")),
    ] {
        let other = bench.study(&OTHER.replace("base.toml", from)).unwrap();
        assert_eq!(other.data.path, path);
    }
}

#[test]
fn two_studies_do_not_share_a_run() {
    let bench = bench();
    let error = bench.study(&OTHER.replace("other", "test")).unwrap_err();
    assert!(error.to_string().starts_with("study.toml:2: the study that `from` names"), "{error}");
}

#[test]
fn what_is_done_is_taken_while_the_other_study_runs() {
    let bench = bench();
    let base = bench.engine(STUDY);
    base.run_all().unwrap();
    let lock = fs::File::create(base.folder().join("lock")).unwrap();
    lock.lock().unwrap();
    assert!(bench.engine(OTHER).run_all().is_ok());
}

#[test]
fn a_study_that_is_not_there_is_named() {
    let bench = Bench::new();
    let error = bench.study(OTHER).unwrap_err();
    assert!(error.to_string().contains("base.toml: cannot read the study"), "{error}");
}

/// Where published tables lie.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct CopySettings {
    /// Their folder.
    tables: String,
}

impl Section for CopySettings {
    const NAME: &'static str = "copy";

    fn references(&self) -> Vec<Reference> {
        vec![Reference::new("tables", Referred::Tables(self.tables.clone()))]
    }
}

/// A shared step that reads another shared one, and files.
struct CopyTables(Arc<Controls>);

impl Step for CopyTables {
    const NAME: &'static str = "copy";
    const SUMMARY: &'static str = "The step copy";
    const READS: &'static [&'static str] = &[Teach::NAME];
    const NEEDS: StepNeeds = StepNeeds::NOTHING;
    const SHARED: bool = true;

    type Settings = CopySettings;
    type Output = ();

    fn run(&self, context: &dyn StepContext, settings: CopySettings) -> Result<(), StepError> {
        assert!(context.study().folder.join(settings.tables).is_dir());
        self.0.ran.lock().unwrap().push("copy".into());
        Ok(())
    }
}

/// A shared step that reads no other one.
struct Draw(Arc<Controls>);

impl Step for Draw {
    const NAME: &'static str = "draw";
    const SUMMARY: &'static str = "The step draw";
    const READS: &'static [&'static str] = &[];
    const NEEDS: StepNeeds = StepNeeds::NOTHING;
    const SHARED: bool = true;

    type Settings = ();
    type Output = ();

    fn run(&self, _: &dyn StepContext, (): ()) -> Result<(), StepError> {
        self.0.ran.lock().unwrap().push("draw".into());
        Ok(())
    }
}

/// The small method with more shared steps.
struct Wide(Arc<Controls>);

impl Method for Wide {
    fn name(&self) -> &str {
        "wide"
    }

    fn steps(&self) -> Vec<Arc<dyn AnyStep>> {
        let controls = || self.0.clone();
        let mut steps = Fake(controls()).steps();
        steps.insert(0, Arc::new(Draw(controls())));
        steps.insert(3, Arc::new(CopyTables(controls())));
        steps
    }
}

/// A base in a folder of its own, beside the tables that it names, and a study with a teacher of its own.
#[test]
fn shared_steps_of_its_own_sections_are_its_own_with_those_that_read_them() {
    let mut bench = Bench::new();
    bench.registry.add_method("wide", Arc::new(Wide(bench.controls.clone())));
    let folder = bench.folder.path();
    fs::create_dir_all(folder.join("sub/tables")).unwrap();
    fs::write(folder.join("sub/tables/a.csv"), "1").unwrap();
    let wide = |text: &str| text.replace("\"fake\"", "\"wide\"");
    let base = format!("{}[copy]\ntables = \"tables\"\n", wide(STUDY));
    fs::write(folder.join("sub/base.toml"), base).unwrap();

    let other = wide(OTHER).replace("base.toml", "sub/base.toml");
    let taking = bench.engine(&other);
    taking.run_all().unwrap();
    let all = ["copy", "draw", "report", "t0", "t1", "t2", "t3"];
    assert_eq!(bench.controls.take_ran(), all);

    let own = other.replace("other", "own") + "[teach]\ntasks = 1";
    let own = bench.engine(&own);
    own.run_all().unwrap();
    assert_eq!(bench.controls.take_ran(), ["copy", "report", "t0"]);
    let states = bench.engine(&other).status().unwrap();
    assert!(states.iter().all(|step| step.state == StepState::Current));
    assert_ne!(own.file(&Teach::of(0)).unwrap(), taking.file(&Teach::of(0)).unwrap());
    assert_eq!(own.study().folder, std::path::absolute(folder).unwrap());
    let skipped: Vec<bool> = own.run_all().unwrap().iter().map(|step| step.skipped).collect();
    assert_eq!(skipped, [true; 5]);
}
