//! Instances of a component, and calls of them within limits.

use std::{
    sync::{Arc, Mutex, OnceLock, PoisonError, atomic::AtomicUsize},
    time::{Duration, Instant},
};

use spacewright_core::call::{CallError, Fault};
use spacewright_plugin::Kind;
use thiserror::Error;
use wasmtime::{
    Engine, Store, Trap, UpdateDeadline,
    component::{Component, Instance, InstancePre, Linker},
};

use super::{
    super::{Loader, PluginFile, error::LoadError, limits::Allowance, said::Said},
    HOST, Meter,
    bounds::Bounds,
    clock::{self, Running},
    compile, exported_kinds, shown,
};

/// Messages that one call may log.
const MOST_MESSAGES: usize = 100;

/// What a function of `wit/plugin.wit` gives: its own errors are sentences.
type GuestAnswer<T> = Result<T, String>;

/// What an instance may reach.
pub(super) struct State {
    bounds: Bounds,
    /// When the running call is stopped.
    deadline: Instant,
    messages: usize,
    last_message: Option<String>,
}

/// A component's file, which is compiled when something of it is first called.
pub(super) struct Host {
    file: Arc<PluginFile>,
    loader: Loader,
    meter: Arc<Meter>,
    /// What it has said of itself.
    pub said: Arc<Said>,
    /// For all that it is asked about itself.
    starting: Allowance,
    /// When all of its calls are stopped.
    until: Option<Instant>,
    /// Bytes of all of its instances.
    memory: Arc<AtomicUsize>,
    ready: OnceLock<Result<Ready, LoadError>>,
}

/// A component that can be instantiated.
struct Ready {
    engine: Engine,
    component: InstancePre<State>,
    kinds: Vec<Kind>,
}

impl Host {
    /// Compiles nothing yet.
    pub fn new(
        loader: &Loader,
        file: Arc<PluginFile>,
        said: Arc<Said>,
        meter: Arc<Meter>,
    ) -> Arc<Self> {
        Arc::new(Self {
            file,
            loader: loader.clone(),
            meter,
            said,
            starting: loader.limits.start(),
            until: loader.limits.total_time.map(|time| Instant::now() + time),
            memory: Arc::new(AtomicUsize::new(0)),
            ready: OnceLock::new(),
        })
    }

    /// The kinds that the component exports.
    pub fn kinds(&self) -> Result<Vec<Kind>, LoadError> {
        Ok(self.ready()?.kinds.clone())
    }

    fn ready(&self) -> Result<&Ready, LoadError> {
        self.ready.get_or_init(|| self.prepare()).as_ref().map_err(Clone::clone)
    }

    fn prepare(&self) -> Result<Ready, LoadError> {
        let limits = &self.loader.limits;
        let engine = compile::engine(limits)?;
        let time = self.until.map_or(Duration::MAX, |until| until - Instant::now());
        let time = time.min(limits.compile_time);
        let component = compile::component(&engine, &self.loader, &self.file, time)?;
        let kinds = exported_kinds(&engine, &component)?;
        let component = link(&engine, &component)?;
        clock::add(&engine);
        Ok(Ready { engine, component, kinds })
    }

    fn instantiate(
        &self,
        ready: &Ready,
        allowance: &Allowance,
    ) -> Result<(Store<State>, Instance), CallError> {
        let limits = &self.loader.limits;
        let bounds = Bounds::new(self.memory.clone(), limits.memory);
        let deadline = Instant::now();
        let state = State { bounds, deadline, messages: 0, last_message: None };
        let mut store = Store::new(&ready.engine, state);
        store.limiter(|state| &mut state.bounds);
        store.epoch_deadline_callback(|store| match store.data().deadline > Instant::now() {
            true => Ok(UpdateDeadline::Continue(1)),
            false => Err(OutOfTime.into()),
        });
        let instance = self.run(INSTANCE, allowance, &mut store, |store| {
            ready.component.instantiate(store).map(Ok)
        });
        instance.map(|instance| (store, instance))
    }

    /// Runs code of an instance within what is left of an allowance.
    fn run<T>(
        &self,
        call: &'static str,
        allowance: &Allowance,
        store: &mut Store<State>,
        ask: impl FnOnce(&mut Store<State>) -> wasmtime::Result<GuestAnswer<T>>,
    ) -> Result<T, CallError> {
        let (fuel, time) = allowance.left();
        let start = Instant::now();
        let deadline = start.checked_add(time).or(self.until).unwrap_or(start);
        let deadline = self.until.map_or(deadline, |until| until.min(deadline));
        let state = store.data_mut();
        state.deadline = deadline;
        state.messages = 0;
        store.set_fuel(fuel).map_err(|error| unfit(call, &error))?;
        store.set_epoch_deadline(1);
        store.set_hostcall_fuel(allowance.answer);
        let running = Running::now();
        let answer = ask(store);
        drop(running);
        let used = fuel - store.get_fuel().unwrap_or(0).min(fuel);
        allowance.spend(used, start);
        if call != INSTANCE {
            self.meter.count(call, start.elapsed(), used);
        }
        match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(reason)) => Err(CallError::new(call, Fault::Refused(shown(&reason)))),
            Err(error) => Err(CallError::new(call, self.explain(&error, store, allowance))),
        }
    }

    /// Why a call was broken off.
    fn explain(
        &self,
        error: &wasmtime::Error,
        store: &Store<State>,
        allowance: &Allowance,
    ) -> Fault {
        // The library has no type for it.
        const TOO_LARGE: &str = "fuel allocated for hostcalls has been exhausted";
        let fault = match error.downcast_ref::<Trap>() {
            Some(Trap::OutOfFuel) => {
                let most = allowance.fuel;
                Fault::Stopped(format!("stopped after {most} instructions, the most it may use"))
            }
            Some(Trap::StackOverflow) => Fault::Stopped("its calls are nested too deeply".into()),
            Some(Trap::UnreachableCodeReached) => Fault::Panicked { place: None, message: None },
            Some(trap) => Fault::Stopped(trap.to_string()),
            None if error.is::<OutOfTime>() => Fault::Stopped(self.out_of_time(allowance)),
            None => {
                let cause = error.root_cause().to_string();
                if cause.contains(TOO_LARGE) {
                    let most = allowance.answer;
                    let reason =
                        format!("an answer of more than {most} bytes, the most it may give");
                    Fault::Unreadable(reason)
                } else {
                    Fault::Stopped(shown(&cause))
                }
            }
        };
        match store.data().last_message.clone() {
            Some(message) => Fault::WithLog { fault: Box::new(fault), message },
            None => fault,
        }
    }

    fn out_of_time(&self, allowance: &Allowance) -> String {
        let (time, whose) = match (self.until, self.loader.limits.total_time) {
            (Some(until), Some(total)) if until <= Instant::now() => (total, "all its calls"),
            _ => (allowance.time, "it"),
        };
        format!("stopped after {} s, the most {whose} may take", time.as_secs_f64())
    }
}

/// The error that ends a call whose time is over.
#[derive(Debug, Error)]
#[error("its time is over")]
struct OutOfTime;

/// Gives a component all that it may import: `log`.
fn link(engine: &Engine, component: &Component) -> Result<InstancePre<State>, LoadError> {
    let mut linker: Linker<State> = Linker::new(engine);
    let version = spacewright_plugin::INTERFACE;
    let log = |mut store: wasmtime::StoreContextMut<'_, State>, (message,): (String,)| {
        store.data_mut().log(&message)
    };
    linker
        .instance(&format!("{HOST}@{version}"))
        .and_then(|mut host| host.func_wrap("log", log))
        .map_err(|error| LoadError::File(format!("{error:#}")))?;
    linker.instantiate_pre(component).map_err(|error| LoadError::File(shown(&format!("{error:#}"))))
}

impl State {
    /// Shows a message; an error stops a plugin that says too much, as the work of showing it
    /// costs no instructions of its own.
    fn log(&mut self, message: &str) -> wasmtime::Result<()> {
        self.messages += 1;
        if self.messages > MOST_MESSAGES {
            wasmtime::bail!("it logs more than {MOST_MESSAGES} messages in one call");
        }
        let message = shown(message);
        tracing::debug!("plugin: {message}");
        self.last_message = Some(message);
        Ok(())
    }
}

/// One interface of an instance, made anew after it has been stopped.
pub(super) struct Guest<I: Indices> {
    host: Arc<Host>,
    indices: fn(&InstancePre<State>) -> wasmtime::Result<I>,
    instance: Mutex<Option<(Store<State>, I::Guest)>>,
}

/// The positions of an interface's functions within a component.
pub(super) trait Indices: Sized {
    /// The functions of an instance.
    type Guest;
    /// Finds them, and checks their types.
    fn load(&self, store: &mut Store<State>, instance: &Instance) -> wasmtime::Result<Self::Guest>;
}

macro_rules! indices {
    ($($interface:ident)*) => {
        $(impl Indices for super::wit::exports::spacewright::plugin::$interface::GuestIndices {
            type Guest = super::wit::exports::spacewright::plugin::$interface::Guest;

            fn load(
                &self,
                store: &mut Store<State>,
                instance: &Instance,
            ) -> wasmtime::Result<Self::Guest> {
                Self::load(self, store, instance)
            }
        })*
    };
}

indices!(about operator_set hyperspace quantizer latency_source scorer target);

/// What has to be called of a fresh instance before anything else.
type Preparation<G> = fn(&mut Store<State>, &G) -> Result<(), CallError>;

/// How much is asked in a call, and how large answers may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    /// Items of the question, such as graphs or spaces.
    pub items: usize,
    /// Bytes of the answer to each.
    pub item_bytes: usize,
}

impl<I: Indices> Guest<I> {
    /// No preparation.
    const AS_IT_IS: Option<Preparation<I::Guest>> = None;

    /// An interface of the component.
    pub fn new(host: &Arc<Host>, indices: fn(&InstancePre<State>) -> wasmtime::Result<I>) -> Self {
        Self { host: host.clone(), indices, instance: Mutex::new(None) }
    }

    /// What the component has said of itself.
    pub fn said(&self) -> &Said {
        &self.host.said
    }

    /// A call that says who the plugin is: all of these share the limits of its start.
    pub fn start<T>(
        &self,
        call: &'static str,
        ask: impl FnOnce(&mut Store<State>, &I::Guest) -> wasmtime::Result<T>,
    ) -> Result<T, CallError> {
        let starting = &self.host.starting;
        self.ask(call, [starting; 2], Self::AS_IT_IS, |store, guest| ask(store, guest).map(Ok))
    }

    /// A call whose own errors are passed on.
    pub fn call<T>(
        &self,
        call: &'static str,
        size: Size,
        ask: impl FnOnce(&mut Store<State>, &I::Guest) -> wasmtime::Result<GuestAnswer<T>>,
    ) -> Result<T, CallError> {
        let limits = &self.host.loader.limits;
        let call_limits = limits.call(size.items, size.item_bytes);
        self.ask(call, [&limits.start(), &call_limits], Self::AS_IT_IS, ask)
    }

    /// A call of an instance that `prepare` has been called on, which is handed `prepared` items.
    pub fn call_prepared<T>(
        &self,
        call: &'static str,
        size: Size,
        prepared: usize,
        prepare: impl FnOnce(&mut Store<State>, &I::Guest) -> wasmtime::Result<GuestAnswer<()>>,
        ask: impl FnOnce(&mut Store<State>, &I::Guest) -> wasmtime::Result<GuestAnswer<T>>,
    ) -> Result<T, CallError> {
        let limits = &self.host.loader.limits;
        let prepare_limits = limits.call(prepared, 0);
        let prepare = |store: &mut Store<State>, guest: &I::Guest| {
            self.host.run("prepare", &prepare_limits, store, |store| prepare(store, guest))
        };
        let call_limits = limits.call(size.items, size.item_bytes);
        self.ask(call, [&limits.start(), &call_limits], Some(prepare), ask)
    }

    /// Asks an instance; a fresh one may use the first allowance to start, the call the second.
    fn ask<T>(
        &self,
        call: &'static str,
        [starting, calling]: [&Allowance; 2],
        prepare: Option<impl FnOnce(&mut Store<State>, &I::Guest) -> Result<(), CallError>>,
        ask: impl FnOnce(&mut Store<State>, &I::Guest) -> wasmtime::Result<GuestAnswer<T>>,
    ) -> Result<T, CallError> {
        // The clock would only look at the time after a tick, and a fresh instance costs some.
        if self.host.until.is_some_and(|until| until <= Instant::now()) {
            let fault = Fault::Stopped(self.host.out_of_time(calling));
            return Err(CallError::new(call, fault));
        }
        let mut slot = self.instance.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut store, guest) = match slot.take() {
            Some(ready) => ready,
            None => {
                let (mut store, guest) = self.fresh(starting)?;
                if let Some(prepare) = prepare {
                    prepare(&mut store, &guest)?;
                }
                (store, guest)
            }
        };
        // An instance that was stopped refuses every further call: it is dropped with the error.
        let answer = self.host.run(call, calling, &mut store, |store| ask(store, &guest));
        let stopped = |error: &CallError| !matches!(error.fault, Fault::Refused(_));
        if !answer.as_ref().is_err_and(stopped) {
            *slot = Some((store, guest));
        }
        answer
    }

    /// A fresh instance; an error names what does not fit.
    fn fresh(&self, starting: &Allowance) -> Result<(Store<State>, I::Guest), CallError> {
        let ready = self.host.ready().map_err(|error| match error {
            LoadError::Call(error) => *error,
            other => CallError::new(INSTANCE, Fault::Unreadable(other.to_string())),
        })?;
        let indices = (self.indices)(&ready.component).map_err(|error| unfit(INSTANCE, &error))?;
        let (mut store, instance) = self.host.instantiate(ready, starting)?;
        let guest = indices.load(&mut store, &instance).map_err(|error| unfit(INSTANCE, &error))?;
        Ok((store, guest))
    }
}

/// Name of what is done before any function is called.
const INSTANCE: &str = "instantiation";

/// What does not fit between a component and its interface.
fn unfit(call: &str, error: &wasmtime::Error) -> CallError {
    CallError::new(call, Fault::Unreadable(shown(&format!("{error:#}"))))
}
