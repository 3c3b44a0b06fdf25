//! The process that opens a file, within limits, and tells what it finds.

use std::{
    cell::Cell,
    collections::BTreeMap,
    fmt::Display,
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    process,
    sync::Arc,
    time::{Duration, Instant},
};

use spacewright_core::{
    data::{Preprocessing, check_judging},
    foreign::{Escaped, MeasureMonitor, MeasuredInput, ModelFile, shortened},
    model::ModelSummary,
    random,
    target::{Runtime, Target, TargetError},
};
use spacewright_data::{ImageProblem, LARGEST_FILE, Pipeline, decode_image};
use spacewright_engine::{
    Registry,
    import::{Import, write_structure},
};

use super::{
    memory_hint,
    messages::{Message, OpenTask, Problem, ReadTask, Request, Task},
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
        Task::Read(task) => read(task, &registry, request, answers),
        Task::Open(task) => open(task, &registry, request, answers),
    }
}

/// Reads a file as a network from outside.
fn read(
    task: &ReadTask,
    registry: &Registry,
    request: &Request,
    answers: &Answers,
) -> Result<(), Failure> {
    let path = request.model.as_path();
    // Loads the libraries of runtimes before time is taken.
    registry.targets.values().for_each(|target| drop(target.runtime()));
    let content = content(request, String::new(), answers)?;
    let file = ModelFile { content: &content, path: Some(path) };
    let made = match task {
        ReadTask::Import { folder } => {
            Import::read(registry, &file, &request.sizes).and_then(|import| {
                import.write(folder)?;
                answers.tell(&Message::Imported(Box::new(import.report)));
                Ok(())
            })
        }
        ReadTask::Structure { folder } => write_structure(registry, &file, &request.sizes, folder),
    };
    Ok(made.map_err(|error| error.about_file(path, None))?)
}

/// Opens a file with a target's runtime.
fn open(
    task: &OpenTask,
    registry: &Registry,
    request: &Request,
    answers: &Answers,
) -> Result<(), Failure> {
    let Chosen { target, reader } = choose(registry, request)?;
    let name = target.description().name;
    let target = match request.threads {
        1 => target,
        threads => target.with_threads(threads).map_err(|e| Failure::input(e.reason))?,
    };
    // Loads the library before time is taken.
    let runtime = target.runtime();
    let content = content(request, name, answers)?;
    let file = ModelFile { content: &content, path: Some(request.model.as_path()) };
    let summary = reader.inspect(&file);
    let opened = OpenedFile { request, answers, target, runtime, file, summary };
    match task {
        OpenTask::Inspect { measures } => opened.inspect(*measures),
        OpenTask::Measure => opened.measure(),
        OpenTask::Run { images } => opened.run(images),
    }
}

/// What the file holds. From here on this process is limited, and whoever asked takes the time.
fn content(request: &Request, target: String, answers: &Answers) -> Result<Vec<u8>, Failure> {
    limit(request.memory_gib).map_err(Failure::failed)?;
    answers.tell(&Message::Ready { target });
    fs::read(&request.model).map_err(|error| wrong(request, error))
}

/// That the file is not what it should be.
fn wrong(request: &Request, reason: impl Display) -> Failure {
    Failure::input(format!("{}: {reason}", request.model.display()))
}

/// A file that is opened with a target's runtime, and what is known of it by then.
struct OpenedFile<'a> {
    request: &'a Request,
    answers: &'a Answers,
    target: Arc<dyn Target>,
    runtime: Result<Arc<dyn Runtime>, TargetError>,
    file: ModelFile<'a>,
    summary: Result<ModelSummary, TargetError>,
}

impl OpenedFile<'_> {
    /// Tells its summary and what its latency is predicted to be; measures it where that is wanted.
    fn inspect(self, measures: bool) -> Result<(), Failure> {
        let Self { request, answers, target, runtime, file, summary } = self;
        let summary = summary.map_err(|error| wrong(request, error.reason))?;
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
        if measures && let Err(failure) = measure(&*runtime, &file, request, answers) {
            answers.tell(&Message::NotMeasured(failure.in_one_line()));
        }
        Ok(())
    }

    /// Tells its latency.
    fn measure(self) -> Result<(), Failure> {
        let Self { request, answers, runtime, file, summary, .. } = self;
        let runtime = runtime.map_err(|error| runtime_failed(request, &error))?;
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

    /// Tells what the network says of each of these images.
    fn run(self, images: &[PathBuf]) -> Result<(), Failure> {
        let Self { request, answers, runtime, file, summary, .. } = self;
        let summary = summary.map_err(|error| wrong(request, error.reason))?;
        let runtime = runtime.map_err(|error| runtime_failed(request, &error))?;
        let prepared = Prepared::of(&summary.metadata).map_err(|reason| wrong(request, reason))?;
        answers.tell(&Message::Summary(Box::new(summary)));
        let loaded = runtime.load_file(&file, &request.sizes);
        let mut loaded = loaded.map_err(|error| wrong(request, error.reason))?;
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
}

/// That there is no runtime, which is not the file's fault.
fn runtime_failed(request: &Request, error: &TargetError) -> Failure {
    Failure::failed(format!("{}: {}", request.model.display(), error.reason))
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
        let reason = match format.as_str() {
            "" => "its name has no extension, such as `.onnx`, to say what runs it".to_owned(),
            format => format!("no target runs `{format}` files"),
        };
        Failure::input(format!("{}: {reason}", model.display())).hint("name a target with --target")
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
