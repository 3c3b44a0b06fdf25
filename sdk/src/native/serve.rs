//! From questions to answers, over a plugin.

use std::{
    any::Any,
    cell::RefCell,
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use spacewright_core::{
    latency::LatencySource,
    score::PreparedScorer,
    target::{LoadedModel, Runtime, TargetError},
};

use spacewright_plugin::native::protocol::{Answer, Handle, MessageError, Request, decode, encode};
use thiserror::Error;

use crate::{Kind, NoSource, Plugin};

/// A plugin, and what it keeps between questions.
pub(super) struct Server {
    plugin: Plugin,
    source: Mutex<Option<Arc<dyn LatencySource>>>,
    runtime: Mutex<Option<Arc<dyn Runtime>>>,
    scorers: Mutex<HashMap<Handle, Arc<dyn PreparedScorer>>>,
}

thread_local! {
    /// Models may be used on the thread that has loaded them only.
    static MODELS: RefCell<HashMap<Handle, Box<dyn LoadedModel>>> = RefCell::default();
    /// Where the last panic of this thread was.
    static PANICKED_AT: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Lets panics of this library go to its log instead of standard error.
#[cfg(feature = "native")]
pub(super) fn keep_panics() {
    std::panic::set_hook(Box::new(|panic| {
        crate::log(&panic.to_string());
        PANICKED_AT.set(panic.location().map(ToString::to_string));
    }));
}

/// Why a library does not answer a request. Crosses as text, but for panics.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum ServeError {
    /// The request cannot be read, or the answer not be written.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// The plugin does not offer the kind of thing that is asked.
    #[error("the plugin offers no {0}")]
    NotOffered(Kind),
    /// It has no latency source.
    #[error(transparent)]
    Source(#[from] NoSource),
    /// No problem of a scorer is kept under this number.
    #[error("no problem {0}")]
    NoProblem(Handle),
    /// No model is kept under this number by this thread.
    #[error("no model {0} on this thread")]
    NoModel(Handle),
    /// Options of a scorer that are no JSON.
    #[error("options: {0}")]
    Options(String),
    /// What was asked says why it has no answer.
    #[error("{0}")]
    Refused(String),
}

/// The error of something that the plugin offers.
fn refused(error: impl ToString) -> ServeError {
    ServeError::Refused(error.to_string())
}

/// The answer to one request, both as bytes. A panic that reached the caller would end the
/// program: it is an answer.
pub(super) fn answer<'s>(
    request: &[u8],
    server: impl FnOnce() -> &'s Server,
) -> Result<Vec<u8>, ServeError> {
    PANICKED_AT.take();
    let answer = catch_unwind(AssertUnwindSafe(|| server().ask(decode(request)?)));
    let answer = answer.unwrap_or_else(|panic| {
        Ok(Answer::Panicked(PANICKED_AT.take(), message(panic.as_ref()).to_owned()))
    });
    Ok(encode(&answer?)?)
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

impl Server {
    pub fn new(plugin: Plugin) -> Self {
        let scorers = Mutex::default();
        Self { plugin, source: Mutex::default(), runtime: Mutex::default(), scorers }
    }

    fn ask(&self, request: Request<'_>) -> Result<Answer, ServeError> {
        let plugin = &self.plugin;
        Ok(match request {
            Request::About => Answer::About(plugin.about.clone()),
            Request::Kinds => Answer::Kinds(plugin.kinds()),
            Request::OperatorSet => {
                let set = offered(&plugin.operator_set, Kind::OperatorSet)?;
                Answer::OperatorSet(set.name().to_owned(), set.block_types())
            }
            Request::Graphs(requests) => {
                let set = offered(&plugin.operator_set, Kind::OperatorSet)?;
                let graphs = set.graphs(&requests).map_err(refused)?;
                Answer::Graphs(graphs.iter().map(ToString::to_string).collect())
            }
            Request::Hyperspaces => Answer::Hyperspaces(plugin.hyperspaces.clone()),
            Request::Quantizer => {
                let quantizer = offered(&plugin.quantizer, Kind::Quantizer)?;
                Answer::Quantizer(quantizer.name().to_owned(), quantizer.learnable())
            }
            Request::Activations(items) => {
                let quantizer = offered(&plugin.quantizer, Kind::Quantizer)?;
                Answer::Affine(quantizer.activations(&items).map_err(|e| refused(e.reason))?)
            }
            Request::Weights(channels, range) => {
                let quantizer = offered(&plugin.quantizer, Kind::Quantizer)?;
                Answer::Scales(quantizer.weights(&channels, range).map_err(|e| refused(e.reason))?)
            }
            Request::Source => {
                let source = self.source()?;
                let name = source.name().to_owned();
                Answer::Source(name, source.fingerprint(), source.precisions())
            }
            Request::Latencies(graphs) => {
                let answers = self.source()?.latencies_of(&graphs);
                Answer::Latencies(answers.map_err(refused)?)
            }
            Request::Scorer => {
                Answer::Scorer(offered(&plugin.scorer, Kind::Scorer)?.name().to_owned())
            }
            Request::Prepare(problem, options) => {
                let scorer = offered(&plugin.scorer, Kind::Scorer)?;
                let options = serde_json::from_str(&options)
                    .map_err(|error| ServeError::Options(error.to_string()))?;
                let prepared = scorer.prepare(*problem, &options).map_err(refused)?;
                let handle = next_handle();
                lock(&self.scorers).insert(handle, prepared.into());
                Answer::Handle(handle)
            }
            Request::Score(handle, spaces, seed) => {
                let scorer = lock(&self.scorers).get(&handle).cloned();
                let scorer = scorer.ok_or(ServeError::NoProblem(handle))?;
                Answer::Scores(scorer.score(&spaces, seed).map_err(refused)?)
            }
            Request::Target => {
                let target = offered(&plugin.target, Kind::Target)?;
                Answer::Target(Box::new(target.description()), target.has_runtime())
            }
            Request::Release(handle) => {
                let scorer = lock(&self.scorers).remove(&handle);
                let model = MODELS.with_borrow_mut(|models| models.remove(&handle));
                drop((scorer, model));
                Answer::Done
            }
            Request::Measures => Answer::Measures(self.source()?.measures()),
            Request::Runtime => self.runtime().map(|_| Answer::Done)?,
            Request::RuntimeFingerprint => {
                Answer::RuntimeFingerprint(self.runtime()?.fingerprint())
            }
            Request::WriteFloat(network, info) => {
                let model = self.runtime()?.write_float(&network, &info);
                Answer::Model(model.map_err(refused_runtime)?)
            }
            Request::WriteInteger(network, info, outputs) => {
                let model = self.runtime()?.write_integer(&network, &info, outputs);
                Answer::Model(model.map_err(refused_runtime)?)
            }
            Request::Load(model) => {
                let model = self.runtime()?.load(&model).map_err(refused_runtime)?;
                let handle = next_handle();
                MODELS.with_borrow_mut(|models| models.insert(handle, model));
                Answer::Handle(handle)
            }
            Request::Run(handle, image) => {
                Answer::Output(with_model(handle, |model| model.run(&image))?)
            }
            Request::RunIntegers(handle, image) => {
                Answer::Integers(with_model(handle, |model| model.run_integers(&image))?)
            }
            Request::FloatOperators(handle) => {
                Answer::Operators(with_model(handle, |model| model.float_operators())?)
            }
            Request::Measure(model) => {
                let measured = self.runtime()?.measure(&model);
                Answer::Measured(measured.map_err(refused_runtime)?)
            }
        })
    }

    fn source(&self) -> Result<Arc<dyn LatencySource>, ServeError> {
        kept(&self.source, || Ok(self.plugin.source()?))
    }

    fn runtime(&self) -> Result<Arc<dyn Runtime>, ServeError> {
        kept(&self.runtime, || {
            offered(&self.plugin.target, Kind::Target)?.runtime().map_err(refused_runtime)
        })
    }
}

/// The program names the target itself.
fn refused_runtime(error: TargetError) -> ServeError {
    refused(error.reason)
}

/// Made at the first question that needs it, and again where that failed.
fn kept<T: ?Sized, E>(
    place: &Mutex<Option<Arc<T>>>,
    make: impl FnOnce() -> Result<Arc<T>, E>,
) -> Result<Arc<T>, E> {
    let mut place = lock(place);
    match place.as_ref() {
        Some(item) => Ok(item.clone()),
        None => Ok(place.insert(make()?).clone()),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn next_handle() -> Handle {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn with_model<T>(
    handle: Handle,
    use_it: impl FnOnce(&mut dyn LoadedModel) -> Result<T, TargetError>,
) -> Result<T, ServeError> {
    MODELS.with_borrow_mut(|models| {
        let model = models.get_mut(&handle).ok_or(ServeError::NoModel(handle))?;
        use_it(model.as_mut()).map_err(refused_runtime)
    })
}

fn offered<T: ?Sized>(item: &Option<Arc<T>>, kind: Kind) -> Result<&T, ServeError> {
    item.as_deref().ok_or(ServeError::NotOffered(kind))
}

#[cfg(test)]
mod tests {
    use std::{borrow::Cow, thread};

    use spacewright_core::{
        latency::{Latency, LatencyError, LatencyQuery},
        quant::{FloatNetwork, IntegerNetwork},
        target::{ModelInfo, ModelOutputs, Target, TargetDescription},
    };

    use super::*;
    use crate::About;

    /// A source and a runtime that fail the first time they are asked for.
    #[derive(Default)]
    struct Shy(AtomicU64);

    impl Shy {
        fn refuse_once(&self) -> Result<(), TargetError> {
            match self.0.fetch_add(1, Ordering::Relaxed) {
                0 => Err(TargetError::new("", "not yet")),
                _ => Ok(()),
            }
        }
    }

    impl Target for Shy {
        fn description(&self) -> TargetDescription {
            TargetDescription::modelled("shy", "", "onnx")
        }
        fn latency_source(&self) -> Result<Arc<dyn LatencySource>, TargetError> {
            self.refuse_once().map(|()| Arc::new(Echo) as _)
        }
        fn runtime(&self) -> Result<Arc<dyn Runtime>, TargetError> {
            self.refuse_once().map(|()| Arc::new(Echo) as _)
        }
        fn has_runtime(&self) -> bool {
            true
        }
    }

    struct Echo;

    impl LatencySource for Echo {
        fn name(&self) -> &str {
            "echo"
        }
        fn fingerprint(&self) -> String {
            String::new()
        }
        fn latencies(&self, _: &[LatencyQuery]) -> Result<Vec<Latency>, LatencyError> {
            Ok(vec![Latency::predicted(1.0)])
        }
    }

    impl Runtime for Echo {
        fn write_float(&self, _: &FloatNetwork, _: &ModelInfo) -> Result<Vec<u8>, TargetError> {
            panic!("no paper")
        }
        fn write_integer(
            &self,
            _: &IntegerNetwork,
            _: &ModelInfo,
            _: ModelOutputs,
        ) -> Result<Vec<u8>, TargetError> {
            Ok(Vec::new())
        }
        fn load(&self, _: &[u8]) -> Result<Box<dyn LoadedModel>, TargetError> {
            Ok(Box::new(Self))
        }
    }

    impl LoadedModel for Echo {
        fn run(&mut self, image: &[f32]) -> Result<Vec<f32>, TargetError> {
            Ok(image.to_vec())
        }
        fn run_integers(
            &mut self,
            _: &[f32],
        ) -> Result<std::collections::BTreeMap<String, Vec<u8>>, TargetError> {
            Err(TargetError::new("", "no integers"))
        }
        fn float_operators(&mut self) -> Result<Vec<String>, TargetError> {
            Ok(vec!["Conv (c)".into()])
        }
    }

    fn server() -> Server {
        Server::new(Plugin::new(About::default()).target(Shy::default()))
    }

    fn ask(server: &Server, request: Request<'_>) -> Result<Answer, ServeError> {
        Ok(decode(&answer(&encode(&request)?, || server)?)?)
    }

    #[test]
    fn what_failed_is_made_again() {
        let server = server();
        let graphs = || Request::Latencies(Box::default());
        assert_eq!(ask(&server, graphs()).unwrap_err().to_string(), "not yet");
        assert_eq!(ask(&server, graphs()), Ok(Answer::Latencies(vec![Latency::predicted(1.0)])));
        assert_eq!(ask(&server, Request::Runtime), Ok(Answer::Done));
    }

    #[test]
    fn a_model_answers_on_its_own_thread_until_it_is_released() {
        let server = server();
        let _ = ask(&server, Request::Runtime);
        let load = Request::Load(Cow::Borrowed(&[1, 2]));
        let Ok(Answer::Handle(model)) = ask(&server, load) else { panic!("nothing is kept") };
        let run = || ask(&server, Request::Run(model, Cow::Borrowed(&[0.5])));
        assert_eq!(run(), Ok(Answer::Output(vec![0.5])));
        let integers = ask(&server, Request::RunIntegers(model, Cow::Borrowed(&[])));
        assert_eq!(integers.unwrap_err().to_string(), "no integers");
        let elsewhere = thread::scope(|scope| scope.spawn(run).join().unwrap());
        assert_eq!(elsewhere, Err(ServeError::NoModel(model)));
        assert_eq!(ask(&server, Request::Release(model)), Ok(Answer::Done));
        assert!(run().is_err());
    }

    #[test]
    fn a_panic_is_an_error_and_the_next_question_is_answered() {
        let server = server();
        let _ = ask(&server, Request::Runtime);
        let network = FloatNetwork {
            graph: spacewright_core::graph::Graph::identity(
                spacewright_core::graph::Shape::square(1, 1),
            ),
            weights: Default::default(),
        };
        let info = ModelInfo::default();
        let write = Request::WriteFloat(Cow::Borrowed(&network), Cow::Borrowed(&info));
        assert_eq!(ask(&server, write), Ok(Answer::Panicked(None, "no paper".into())));
        assert_eq!(ask(&server, Request::Kinds), Ok(Answer::Kinds(vec![Kind::Target])));
    }

    #[test]
    fn what_is_not_offered_is_named() {
        let server = server();
        assert_eq!(ask(&server, Request::Scorer), Err(ServeError::NotOffered(Kind::Scorer)));
        let score = Request::Score(3, Cow::Borrowed(&[]), 0);
        assert_eq!(ask(&server, score), Err(ServeError::NoProblem(3)));
        assert!(matches!(answer(b"?", || &server), Err(ServeError::Message(_))));
    }
}
