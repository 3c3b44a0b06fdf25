//! The clock that interrupts components: it makes the epochs of engines pass while calls run.
//! Counted instructions alone do not bound time, as some of them take long.

use std::{
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread::{self, Thread},
    time::Duration,
};

use wasmtime::{Engine, EngineWeak};

/// How often calls are interrupted to look at the time.
const TICK: Duration = Duration::from_millis(10);
/// Ticks without a call, after which the clock sleeps until there is one.
const IDLE_TICKS: usize = 100;

/// A clock for all engines of the process.
struct Clock {
    engines: Mutex<Vec<EngineWeak>>,
    running: AtomicUsize,
    sleeps: AtomicBool,
    thread: OnceLock<Thread>,
}

static CLOCK: Clock = Clock {
    engines: Mutex::new(Vec::new()),
    running: AtomicUsize::new(0),
    sleeps: AtomicBool::new(false),
    thread: OnceLock::new(),
};

/// A running call; epochs pass until it is dropped.
pub(super) struct Running;

/// Lets the epochs of an engine pass whenever a call is running.
pub(super) fn add(engine: &Engine) {
    CLOCK.engines.lock().unwrap_or_else(PoisonError::into_inner).push(engine.weak());
    CLOCK.thread.get_or_init(|| thread::spawn(tick_forever).thread().clone());
}

impl Running {
    /// From now on a call is running.
    pub fn now() -> Self {
        CLOCK.running.fetch_add(1, SeqCst);
        if CLOCK.sleeps.load(SeqCst)
            && let Some(thread) = CLOCK.thread.get()
        {
            thread.unpark();
        }
        Self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        CLOCK.running.fetch_sub(1, SeqCst);
    }
}

fn tick_forever() {
    let mut idle = 0;
    loop {
        thread::sleep(TICK);
        idle = if CLOCK.running.load(SeqCst) == 0 { idle + 1 } else { 0 };
        if idle > IDLE_TICKS {
            CLOCK.sleeps.store(true, SeqCst);
            // A call that began before it could see that the clock sleeps is seen here.
            while CLOCK.running.load(SeqCst) == 0 {
                thread::park();
            }
            CLOCK.sleeps.store(false, SeqCst);
            idle = 0;
        }
        let mut engines = CLOCK.engines.lock().unwrap_or_else(PoisonError::into_inner);
        engines.retain(|engine| engine.upgrade().map(|engine| engine.increment_epoch()).is_some());
    }
}
