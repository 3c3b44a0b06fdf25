//! The process that opens a file, within limits, and tells what it finds.

use std::{
    cell::Cell,
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
    process,
    sync::Arc,
    time::{Duration, Instant},
};

use spacewright_core::{
    data::{Preprocessing, check_judging},
    foreign::{Escaped, MeasureMonitor, MeasuredInput, ModelFile, shortened},
    random,
    target::{Runtime, Target},
};
use spacewright_data::{ImageProblem, LARGEST_FILE, Pipeline, decode_image};
use spacewright_engine::{
    EngineError, Registry,
    import::{Import, write_structure},
};

use super::{
    memory_hint,
    messages::{Message, Problem, Request, Task},
};
use crate::{catalog, commands, render::Failure};

/// Largest side of a network's input, in pixels, that images are prepared for.
const LARGEST_SIDE: usize = 4096;

/// Runs go on: how often that is said.
const HEARTBEAT: Duration = Duration::from_millis(100);

/// Answers the request on standard input.
pub fn serve() -> ! {
    let code = match answer() {
        Ok(()) => 0,
        Err(error) => {
            tracing::error!("{error}");
            1
        }
    };
    // Without what runtimes do when they are unloaded: nobody needs it any more.
    process::exit(code);
}

fn answer() -> io::Result<()> {
    let request: Request = serde_json::from_reader(io::stdin())?;
    let answers = Answers(answers()?);
    match work(&request, &answers) {
        Ok(()) => answers.tell(&Message::Done),
        Err(failure) => answers.tell(&Message::Failed(Problem {
            message: failure.to_string(),
            hint: failure.hint_text().map(str::to_owned),
            is_input: failure.is_input(),
        })),
    }
    Ok(())
}

/// Standard output as it was; from now on, what runtimes write there goes to standard error.
#[cfg(unix)]
fn answers() -> io::Result<File> {
    use std::os::fd::AsFd;
    let answers = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    rustix::stdio::dup2_stdout(io::stderr().as_fd())?;
    Ok(answers)
}

#[cfg(target_os = "linux")]
fn limit(memory_gib: u64) -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};
    let most = |bytes| Rlimit { current: Some(bytes), maximum: Some(bytes) };
    let memory = memory_gib.saturating_mul(1 << 30);
    setrlimit(Resource::Data, most(memory))?;
    // Of files that it writes.
    setrlimit(Resource::Fsize, most(memory))?;
    setrlimit(Resource::Core, most(0))?;
    // Where the process that asked is killed, nobody is left to end this one.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn limit(_: u64) -> io::Result<()> {
    Ok(())
}

/// Where answers go.
struct Answers(File);

impl Answers {
    fn tell(&self, message: &Message) {
        let told = serde_json::to_vec(message).map_err(io::Error::from).and_then(|mut line| {
            line.push(b'\n');
            (&self.0).write_all(&line)
        });
        if let Err(error) = told {
            tracing::debug!("nobody listens: {error}");
        }
    }
}

/// Tells how far measuring has come.
struct Told<'a> {
    answers: &'a Answers,
    last: Cell<Instant>,
    /// Whether the first run is over: what fails then is not the file's fault.
    measures: Cell<bool>,
}

impl MeasureMonitor for Told<'_> {
    fn opened(&self, inputs: &[MeasuredInput]) {
        self.answers.tell(&Message::Opened(inputs.to_vec()));
    }

    fn measuring(&self) {
        self.measures.set(true);
        self.answers.tell(&Message::Measuring);
    }

    fn unwatched(&self) {
        self.measures.set(true);
        self.answers.tell(&Message::Unwatched);
    }

    fn ran(&self) {
        if self.last.get().elapsed() > HEARTBEAT {
            self.last.set(Instant::now());
            self.answers.tell(&Message::Running);
        }
    }
}

fn work(request: &Request, answers: &Answers) -> Result<(), Failure> {
    let registry = catalog::registry()?;
    match &request.task {
        Task::Import { folder, compares } => {
            let import = |file: &ModelFile<'_>| {
                let import = Import::read(&registry, file, &request.sizes, *compares)?;
                import.write(folder)?;
                answers.tell(&Message::Imported(Box::new(import.report)));
                Ok(())
            };
            read(&registry, request, answers, import)
        }
        Task::Structure { folder } => read(&registry, request, answers, |file| {
            write_structure(&registry, file, &request.sizes, folder)
        }),
        task => open(task, &registry, request, answers),
    }
}

/// Opens a file with a target's runtime.
fn open(
    task: &Task,
    registry: &Registry,
    request: &Request,
    answers: &Answers,
) -> Result<(), Failure> {
    let path = request.model.as_path();
    let Chosen { target, reader } = choose(registry, request)?;
    let name = target.description().name;
    let target = match request.threads {
        1 => target,
        threads => target.with_threads(threads).map_err(|e| Failure::input(e.reason))?,
    };
    // Loads the library before time is taken.
    let runtime = target.runtime();
    limit(request.memory_gib).map_err(Failure::failed)?;
    answers.tell(&Message::Ready { target: name });
    let wrong = |reason: String| Failure::input(format!("{}: {reason}", path.display()));
    let content = fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let file = ModelFile { content: &content, path: Some(path) };
    let summary = reader.inspect(&file);
    match task {
        Task::Measure => {
            let runtime = runtime.map_err(|error| {
                Failure::failed(format!("{}: {}", path.display(), error.reason))
            })?;
            // Where it cannot be read, whoever measures it says so.
            if let Ok(summary) = summary {
                let saturates = !summary.saturating_operators.is_empty();
                answers.tell(&Message::Summary(Box::new(summary)));
                if saturates {
                    look(&*runtime, &file, answers);
                }
            }
            measure(&*runtime, &file, request, answers)
        }
        Task::Inspect { measures } => {
            let summary = summary.map_err(|error| wrong(error.reason.to_string()))?;
            let predicted = commands::predict(&*target, &summary);
            let predicted = predicted.map_err(|failure| failure.in_one_line());
            answers.tell(&Message::Predicted(predicted));
            answers.tell(&Message::Summary(Box::new(summary)));
            let runtime = match runtime {
                Ok(runtime) => runtime,
                Err(error) => {
                    answers.tell(&Message::NotMeasured(error.reason.to_string()));
                    return Ok(());
                }
            };
            look(&*runtime, &file, answers);
            if *measures && let Err(failure) = measure(&*runtime, &file, request, answers) {
                answers.tell(&Message::NotMeasured(failure.in_one_line()));
            }
            Ok(())
        }
        Task::Run { images } => {
            let summary = summary.map_err(|error| wrong(error.reason.to_string()))?;
            let runtime = runtime.map_err(|error| {
                Failure::failed(format!("{}: {}", path.display(), error.reason))
            })?;
            let prepared = Prepared::of(&summary.metadata).map_err(&wrong)?;
            answers.tell(&Message::Summary(Box::new(summary)));
            let loaded = runtime.load_file(&file, &request.sizes);
            let mut loaded = loaded.map_err(|error| wrong(error.reason.to_string()))?;
            answers.tell(&Message::Loaded);
            for image in images {
                let logits = prepared.input(image).and_then(|input| {
                    let logits = loaded.run(&input).map_err(|error| error.reason.to_string())?;
                    let are_numbers = logits.iter().all(|logit| logit.is_finite());
                    are_numbers.then_some(logits).ok_or_else(|| "gives what is no number".into())
                });
                answers.tell(&Message::Ran(logits));
            }
            Ok(())
        }
        // Needs no target.
        Task::Import { .. } | Task::Structure { .. } => Ok(()),
    }
}

/// Opens a file as a network from outside.
fn read(
    registry: &Registry,
    request: &Request,
    answers: &Answers,
    use_it: impl FnOnce(&ModelFile<'_>) -> Result<(), EngineError>,
) -> Result<(), Failure> {
    let path = request.model.as_path();
    // Loads the libraries of runtimes before time is taken.
    registry.targets.values().for_each(|target| drop(target.runtime()));
    limit(request.memory_gib).map_err(Failure::failed)?;
    answers.tell(&Message::Ready { target: String::new() });
    let wrong = |reason: String| Failure::input(format!("{}: {reason}", path.display()));
    let content = fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let file = ModelFile { content: &content, path: Some(path) };
    Ok(use_it(&file).map_err(|error| error.about_file(path, None))?)
}

/// How a file's images are prepared.
struct Prepared {
    preprocessing: Preprocessing,
    pipeline: Pipeline,
}

impl Prepared {
    /// As its metadata say.
    fn of(metadata: &BTreeMap<String, String>) -> Result<Self, String> {
        let key = Preprocessing::KEY;
        let text = metadata.get(key).ok_or_else(|| {
            format!("it does not say how images are prepared: its metadata have no `{key}`")
        })?;
        let preprocessing: Preprocessing = serde_json::from_str(text).map_err(|error| {
            format!("its `{key}`: {}", Escaped(shortened(&error.to_string(), 200)))
        })?;
        let Preprocessing { channels, side, .. } = preprocessing;
        if ![1, 3].contains(&channels) || !(1..=LARGEST_SIDE).contains(&side) {
            return Err(format!("its `{key}`: no image has {channels} channels of {side} pixels"));
        }
        let transforms = &preprocessing.transforms;
        let pipeline = check_judging(transforms)
            .and_then(|()| Pipeline::new(transforms, channels))
            .map_err(|error| format!("its `{key}`: {error}"))?;
        Ok(Self { preprocessing, pipeline })
    }

    /// An image file as the network's input.
    fn input(&self, image: &Path) -> Result<Vec<f32>, String> {
        let Preprocessing { channels, side, .. } = self.preprocessing;
        let about = fs::metadata(image).map_err(|error| error.to_string())?;
        if !about.is_file() {
            return Err("is no file".into());
        }
        if about.len() > LARGEST_FILE {
            return Err(ImageProblem::TooLong { bytes: about.len() }.to_string());
        }
        let content = fs::read(image).map_err(|error| error.to_string())?;
        let pixels = decode_image(&content).map_err(|problem| problem.to_string())?;
        let mut rng = random::generator(0, &[]);
        let pixels = self.pipeline.image(pixels, side, &mut rng).map_err(|p| p.to_string())?;
        let mut input = vec![0.0; channels * side * side];
        self.pipeline.normalized(&pixels, &mut input);
        Ok(input)
    }
}

/// Whose runtime measures a file, and who reads it: the same target where it can.
struct Chosen {
    target: Arc<dyn Target>,
    reader: Arc<dyn Target>,
}

fn choose(registry: &Registry, request: &Request) -> Result<Chosen, Failure> {
    let Some(name) = &request.target else {
        let target = by_format(registry, &request.model)?;
        return Ok(Chosen { reader: target.clone(), target });
    };
    let target = catalog::target(registry, name)?;
    let format = target.description().model_format;
    let reads = |other: &&Arc<dyn Target>| {
        other.has_runtime() && other.description().model_format == format
    };
    // Targets that are plugins read no files.
    let reader = registry.targets.values().find(reads).unwrap_or(&target).clone();
    Ok(Chosen { target, reader })
}

/// The first target that runs files of this format.
fn by_format(registry: &Registry, model: &Path) -> Result<Arc<dyn Target>, Failure> {
    let extension = model.extension().and_then(|extension| extension.to_str());
    let format = extension.unwrap_or_default().to_lowercase();
    let runs = |target: &&Arc<dyn Target>| {
        target.has_runtime() && target.description().model_format == format
    };
    registry.targets.values().find(runs).cloned().ok_or_else(|| {
        Failure::input(format!("{}: no target runs `{format}` files", model.display()))
            .hint("name a target with --target")
    })
}

/// Asks the runtime what it computes in real numbers; where it cannot say, the file's types tell.
fn look(runtime: &dyn Runtime, file: &ModelFile<'_>, answers: &Answers) {
    match runtime.float_operators(file) {
        Ok(Some(operators)) => {
            answers.tell(&Message::FloatOperators { by: runtime.fingerprint(), operators });
        }
        Ok(None) => {}
        Err(error) => tracing::debug!("{}", error.reason),
    }
}

fn measure(
    runtime: &dyn Runtime,
    file: &ModelFile<'_>,
    request: &Request,
    answers: &Answers,
) -> Result<(), Failure> {
    let told = Told { answers, last: Cell::new(Instant::now()), measures: Cell::new(false) };
    let measured = runtime.measure_file(file, &request.sizes, &told).map_err(|error| {
        let message = format!("{}: {}", request.model.display(), error.reason);
        let memory = ["Failed to allocate", "bad_alloc"].iter().any(|sign| message.contains(sign));
        let failure = match told.measures.get() {
            true => Failure::failed(message),
            false => Failure::input(message),
        };
        match memory {
            true => failure.hint(memory_hint(request.memory_gib)),
            false => failure,
        }
    })?;
    answers.tell(&Message::Measured(Box::new(measured)));
    Ok(())
}
