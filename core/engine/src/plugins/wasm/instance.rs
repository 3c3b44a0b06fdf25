//! Instances of a component, and calls of them within limits.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use wasmtime::{
    Engine, Store, Trap,
    component::{Component, Instance, InstancePre, Linker},
};

use spacewright_core::call::{CallError, Fault};

use super::{
    super::{Limits, error::LoadError},
    HOST, Meter,
    bounds::Bounds,
    shown,
};

/// Messages that one call may log.
const MOST_MESSAGES: usize = 100;

/// What a function of `wit/plugin.wit` gives: its own errors are sentences.
type GuestAnswer<T> = Result<T, String>;

/// What an instance may reach.
pub(super) struct State {
    bounds: Bounds,
    messages: usize,
    last_message: Option<String>,
}

/// A component that is ready to be instantiated.
pub(super) struct Host {
    engine: Engine,
    component: InstancePre<State>,
    limits: Limits,
    meter: Arc<Meter>,
}

impl Host {
    pub fn new(
        engine: Engine,
        component: &Component,
        limits: Limits,
        meter: Arc<Meter>,
    ) -> Result<Arc<Self>, LoadError> {
        let mut linker: Linker<State> = Linker::new(&engine);
        let version = spacewright_plugin::INTERFACE;
        let log = |mut store: wasmtime::StoreContextMut<'_, State>, (message,): (String,)| {
            store.data_mut().log(&message)
        };
        linker
            .instance(&format!("{HOST}@{version}"))
            .and_then(|mut host| host.func_wrap("log", log))
            .map_err(|error| LoadError::File(format!("{error:#}")))?;
        let component = linker
            .instantiate_pre(component)
            .map_err(|error| LoadError::File(shown(&format!("{error:#}"))))?;
        Ok(Arc::new(Self { engine, component, limits, meter }))
    }

    fn instantiate(&self) -> Result<(Store<State>, Instance), CallError> {
        let bounds = Bounds::new(self.limits.memory);
        let state = State { bounds, messages: 0, last_message: None };
        let mut store = Store::new(&self.engine, state);
        store.limiter(|state| &mut state.bounds);
        store.set_hostcall_fuel(self.limits.answer);
        let fuel = self.limits.start_fuel;
        store.set_fuel(fuel).map_err(|error| unfit(INSTANCE, &error))?;
        match self.component.instantiate(&mut store) {
            Ok(instance) => Ok((store, instance)),
            Err(error) => {
                Err(CallError::new(INSTANCE, explain(&error, &store, &self.limits, fuel)))
            }
        }
    }
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
pub(super) struct Guest<I, G> {
    host: Arc<Host>,
    indices: I,
    load: fn(&I, &mut Store<State>, &Instance) -> wasmtime::Result<G>,
    instance: Mutex<Option<(Store<State>, G)>>,
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
type Preparation<G> = fn(&mut Store<State>, &G) -> wasmtime::Result<GuestAnswer<()>>;

impl<I: Indices> Guest<I, I::Guest> {
    /// No preparation.
    const AS_IT_IS: Option<Preparation<I::Guest>> = None;

    /// An interface of the component; an error names what does not fit.
    pub fn new(
        host: &Arc<Host>,
        indices: fn(&InstancePre<State>) -> wasmtime::Result<I>,
    ) -> Result<Self, CallError> {
        let indices = indices(&host.component).map_err(|error| unfit(INSTANCE, &error))?;
        Ok(Self { host: host.clone(), indices, load: I::load, instance: Mutex::new(None) })
    }

    /// A call that says who the plugin is, within the limits of its start.
    pub fn start<T>(
        &self,
        call: &'static str,
        ask: impl FnOnce(&mut Store<State>, &I::Guest) -> wasmtime::Result<T>,
    ) -> Result<T, CallError> {
        self.ask(call, self.host.limits.start_fuel, Self::AS_IT_IS, |store, guest| {
            ask(store, guest).map(Ok)
        })
    }

    /// A call whose own errors are passed on.
    pub fn call<T>(
        &self,
        call: &'static str,
        ask: impl FnOnce(&mut Store<State>, &I::Guest) -> wasmtime::Result<GuestAnswer<T>>,
    ) -> Result<T, CallError> {
        self.ask(call, self.host.limits.call_fuel, Self::AS_IT_IS, ask)
    }

    /// A call of an instance that `prepare` has been called on.
    pub fn call_prepared<T>(
        &self,
        call: &'static str,
        prepare: impl FnOnce(&mut Store<State>, &I::Guest) -> wasmtime::Result<GuestAnswer<()>>,
        ask: impl FnOnce(&mut Store<State>, &I::Guest) -> wasmtime::Result<GuestAnswer<T>>,
    ) -> Result<T, CallError> {
        self.ask(call, self.host.limits.call_fuel, Some(prepare), ask)
    }

    fn ask<T>(
        &self,
        call: &'static str,
        fuel: u64,
        prepare: Option<
            impl FnOnce(&mut Store<State>, &I::Guest) -> wasmtime::Result<GuestAnswer<()>>,
        >,
        ask: impl FnOnce(&mut Store<State>, &I::Guest) -> wasmtime::Result<GuestAnswer<T>>,
    ) -> Result<T, CallError> {
        let mut slot = self.instance.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut store, guest) = match slot.take() {
            Some(ready) => ready,
            None => {
                let (mut store, instance) = self.host.instantiate()?;
                let guest = (self.load)(&self.indices, &mut store, &instance)
                    .map_err(|error| unfit(INSTANCE, &error))?;
                if let Some(prepare) = prepare {
                    self.run("prepare", fuel, &mut store, |store| prepare(store, &guest))?;
                }
                (store, guest)
            }
        };
        // An instance that was stopped refuses every further call: it is dropped with the error.
        let answer = self.run(call, fuel, &mut store, |store| ask(store, &guest));
        let stopped = |error: &CallError| !matches!(error.fault, Fault::Refused(_));
        if !answer.as_ref().is_err_and(stopped) {
            *slot = Some((store, guest));
        }
        answer
    }

    fn run<T>(
        &self,
        call: &'static str,
        fuel: u64,
        store: &mut Store<State>,
        ask: impl FnOnce(&mut Store<State>) -> wasmtime::Result<GuestAnswer<T>>,
    ) -> Result<T, CallError> {
        store.data_mut().messages = 0;
        store.set_fuel(fuel).map_err(|error| unfit(call, &error))?;
        let start = Instant::now();
        let answer = ask(store);
        let used = fuel - store.get_fuel().unwrap_or(0).min(fuel);
        self.host.meter.count(call, start.elapsed(), used);
        match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(reason)) => Err(CallError::new(call, Fault::Refused(shown(&reason)))),
            Err(error) => {
                Err(CallError::new(call, explain(&error, store, &self.host.limits, fuel)))
            }
        }
    }
}

/// Name of what is done before any function is called.
const INSTANCE: &str = "instantiation";

/// What does not fit between a component and its interface.
fn unfit(call: &str, error: &wasmtime::Error) -> CallError {
    CallError::new(call, Fault::Unreadable(shown(&format!("{error:#}"))))
}

/// Why a call was broken off.
fn explain(error: &wasmtime::Error, store: &Store<State>, limits: &Limits, fuel: u64) -> Fault {
    // The library has no type for it.
    const TOO_LARGE: &str = "fuel allocated for hostcalls has been exhausted";
    let fault = match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => {
            Fault::Stopped(format!("stopped after {fuel} instructions, the most it may use"))
        }
        Some(Trap::StackOverflow) => Fault::Stopped("its calls are nested too deeply".into()),
        Some(Trap::UnreachableCodeReached) => Fault::Panicked { place: None, message: None },
        Some(trap) => Fault::Stopped(trap.to_string()),
        None => {
            let cause = error.root_cause().to_string();
            if cause.contains(TOO_LARGE) {
                let most = limits.answer;
                let reason = format!("an answer of more than {most} bytes, the most it may give");
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
