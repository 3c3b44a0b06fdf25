//! What has to be set up before anything runs: threads that sleep while they wait, logs, and the
//! built-in plugins.

use std::{
    env,
    io::{IsTerminal, stderr},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use tracing_subscriber::EnvFilter;

/// OpenMP reads this when it is loaded, which is before `main`: the program starts itself again.
#[cfg(all(unix, feature = "torch"))]
fn wait_passively() {
    use std::os::unix::process::CommandExt;
    const POLICY: &str = "OMP_WAIT_POLICY";
    if env::var_os(POLICY).is_some() {
        return;
    }
    let Ok(program) = env::current_exe() else { return };
    // Spinning threads slow training down several times where cores are few.
    let error = std::process::Command::new(program)
        .args(env::args_os().skip(1))
        .env(POLICY, "passive")
        .env("KMP_BLOCKTIME", "0")
        .exec();
    tracing::debug!("cannot restart with passive waiting: {error}");
}

#[cfg(not(all(unix, feature = "torch")))]
fn wait_passively() {}

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
    wait_passively();
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
        #[cfg(feature = "torch")]
        (spacewright_torch_trainer::trainers as fn(usize) -> _),
    ));
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
