//! What has to be set up before anything runs: logs, the built-in plugins, the trainer.

use std::{
    env,
    io::{IsTerminal, stderr},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use spacewright_core::train::Device;
#[cfg(unix)]
use spacewright_core::train::{Compute, Trainer};
#[cfg(unix)]
use spacewright_measure::library::site_packages;
#[cfg(unix)]
use spacewright_worker::{Launched, WorkerProgram, WorkerTrainer};
use tracing_subscriber::EnvFilter;

use crate::{launch::Launch, render::Failure};

/// Prepares the process.
pub fn prepare(verbose: bool) {
    let level = if verbose { "debug" } else { "warn" };
    let filter = env::var("SPACEWRIGHT_LOG").unwrap_or_else(|_| level.into());
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal() && has_colours())
        .without_time()
        .with_target(false)
        .init();
}

/// Whether colours are wanted (no-color.org).
fn has_colours() -> bool {
    env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) && !is_dumb()
}

/// Whether the terminal only knows lines.
pub fn is_dumb() -> bool {
    env::var_os("TERM").is_some_and(|terminal| terminal == "dumb")
}

/// Names one item of each built-in crate: the linker drops crates that nothing refers to, with
/// their registrations.
pub fn link_plugins() {
    std::hint::black_box((
        spacewright_operators_cnn::operator_sets as fn() -> _,
        spacewright_quantizers::quantizers as fn() -> _,
        spacewright_q_t_score::scorers as fn() -> _,
        spacewright_spaceevo::methods as fn() -> _,
        spacewright_host_litert::targets as fn() -> _,
        spacewright_host_ort::targets as fn() -> _,
        spacewright_published_networks::readers as fn() -> _,
    ));
}

/// The name that the second program's trainer has for keys.
#[cfg(unix)]
const TRAINER: &str = "torch-trainer/5";

/// The trainer of the second program, which lies beside this one: computing needs a library that would slow
/// every command down, and may end its process.
#[cfg(unix)]
fn trainers(compute: &Compute) -> Vec<Arc<dyn Trainer>> {
    // What is wrong about it was said by who has asked before.
    let launch = Launch::of_this_process().ok().flatten();
    let launched = |launch: Launch| {
        let Launch { processes, on_this_machine, local_rank, host, port, listens, .. } = launch;
        let cancelled = cancelled_by_signal();
        Launched { processes, on_this_machine, local_rank, host, port, listens, cancelled }
    };
    let launched = launch.map(launched).filter(|launched| launched.processes == compute.processes);
    vec![Arc::new(WorkerTrainer::new(TRAINER, trainer(), *compute, launched))]
}

#[cfg(unix)]
fn trainer() -> WorkerProgram {
    let packages = site_packages(&env::current_exe().unwrap_or_default());
    let libraries = packages.into_iter().map(|folder| folder.join("torch"));
    WorkerProgram::beside("spacewright-torch").with_libraries(libraries)
}

/// Becomes the program that trains, for the first of the processes that were started together; why it cannot.
#[cfg(unix)]
pub fn train_for_the_first(launch: &Launch, device: Device) -> Failure {
    let mut command = trainer().command(device);
    let numbers = [launch.port.into(), launch.rank, launch.local_rank];
    command.args(["join", &launch.host]).args(numbers.map(|number: usize| number.to_string()));
    let error = std::os::unix::process::CommandExt::exec(&mut command);
    Failure::failed(format!("cannot start {}: {error}", trainer().path().display()))
}

#[cfg(not(unix))]
pub fn train_for_the_first(_: &Launch, _: Device) -> Failure {
    Failure::failed("several processes can train together on Unix only")
}

#[cfg(unix)]
spacewright_sdk::register!("torch-trainer", Trainers, trainers);

/// The flag that Ctrl-C sets, for what has nothing to bring to a safe point.
#[cfg(feature = "serve")]
pub fn ended_by_signal() -> Arc<AtomicBool> {
    let flag = Arc::new(AtomicBool::new(false));
    let set = flag.clone();
    if let Err(error) = ctrlc::set_handler(move || set.store(true, Ordering::Relaxed)) {
        tracing::warn!("cannot listen for Ctrl-C: {error}");
    }
    flag
}

/// The flag that Ctrl-C sets, the same one for all that ask; a second Ctrl-C ends the process at
/// once.
pub fn cancelled_by_signal() -> Arc<AtomicBool> {
    static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    Arc::clone(FLAG.get_or_init(|| {
        let flag = Arc::new(AtomicBool::new(false));
        listen(Arc::clone(&flag));
        flag
    }))
}

fn listen(cancel: Arc<AtomicBool>) {
    const INTERRUPTED: i32 = 130;
    let handler = move || {
        if cancel.swap(true, Ordering::Relaxed) {
            std::process::exit(INTERRUPTED);
        }
        tracing::warn!("stopping at the next safe point; once more to stop at once");
    };
    if let Err(error) = ctrlc::set_handler(handler) {
        tracing::warn!("cannot listen for Ctrl-C: {error}");
    }
}
