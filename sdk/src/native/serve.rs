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

use super::protocol::{Answer, Handle, Request, decode, encode};
use crate::{Kind, Plugin};

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
    static LAST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Lets panics of this library go to its log instead of standard error.
pub(super) fn keep_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let text = panic.to_string();
        crate::log(&text);
        LAST_PANIC.set(Some(text));
    }));
}

/// The result of something, or that it panicked, and with which message.
pub(super) fn without_panic<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    LAST_PANIC.take();
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        Err(match LAST_PANIC.take() {
            Some(text) => format!("it {text}"),
            None => format!("it panicked: {}", message(panic.as_ref())),
        })
    })
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

    /// The answer to one request, both as bytes.
    pub fn answer(&self, request: &[u8]) -> Result<Vec<u8>, String> {
        encode(&self.ask(decode(request)?)?)
    }

    fn ask(&self, request: Request<'_>) -> Result<Answer, String> {
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
                let graphs = set.graphs(&requests).map_err(|error| error.to_string())?;
                Answer::Graphs(graphs.iter().map(ToString::to_string).collect())
            }
            Request::Hyperspaces => Answer::Hyperspaces(plugin.hyperspaces.clone()),
            Request::Quantizer => {
                let quantizer = offered(&plugin.quantizer, Kind::Quantizer)?;
                Answer::Quantizer(quantizer.name().to_owned(), quantizer.learnable())
            }
            Request::Activations(items) => {
                let quantizer = offered(&plugin.quantizer, Kind::Quantizer)?;
                Answer::Affine(quantizer.activations(&items).map_err(|error| error.reason)?)
            }
            Request::Weights(channels, range) => {
                let quantizer = offered(&plugin.quantizer, Kind::Quantizer)?;
                Answer::Scales(quantizer.weights(&channels, range).map_err(|error| error.reason)?)
            }
            Request::Source => {
                let source = self.source()?;
                let name = source.name().to_owned();
                Answer::Source(name, source.fingerprint(), source.precisions())
            }
            Request::Latencies(graphs) => {
                let answers = self.source()?.latencies_of(&graphs);
                Answer::Latencies(answers.map_err(|error| error.reason)?)
            }
            Request::Scorer => {
                Answer::Scorer(offered(&plugin.scorer, Kind::Scorer)?.name().to_owned())
            }
            Request::Prepare(problem, options) => {
                let scorer = offered(&plugin.scorer, Kind::Scorer)?;
                let options =
                    serde_json::from_str(&options).map_err(|error| format!("options: {error}"))?;
                let prepared = scorer.prepare(*problem, &options).map_err(|error| error.reason)?;
                let handle = next_handle();
                lock(&self.scorers).insert(handle, prepared.into());
                Answer::Handle(handle)
            }
            Request::Score(handle, spaces, seed) => {
                let scorer = lock(&self.scorers).get(&handle).cloned();
                let scorer = scorer.ok_or_else(|| format!("no problem {handle}"))?;
                Answer::Scores(scorer.score(&spaces, seed).map_err(|error| error.reason)?)
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
            request => self.ask_runtime(request).map_err(|error| error.reason)?,
        })
    }

    fn ask_runtime(&self, request: Request<'_>) -> Result<Answer, TargetError> {
        let runtime = self.runtime()?;
        Ok(match request {
            Request::WriteFloat(network, info) => {
                Answer::Model(runtime.write_float(&network, &info)?)
            }
            Request::WriteInteger(network, info, outputs) => {
                Answer::Model(runtime.write_integer(&network, &info, outputs)?)
            }
            Request::Load(model) => {
                let model = runtime.load(&model)?;
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
            Request::Measure(model) => Answer::Measured(runtime.measure(&model)?),
            _ => Answer::Done,
        })
    }

    fn source(&self) -> Result<Arc<dyn LatencySource>, String> {
        kept(&self.source, || self.plugin.source())
    }

    fn runtime(&self) -> Result<Arc<dyn Runtime>, TargetError> {
        kept(&self.runtime, || {
            let target = offered(&self.plugin.target, Kind::Target);
            target.map_err(wrong)?.runtime()
        })
    }
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
) -> Result<T, TargetError> {
    MODELS.with_borrow_mut(|models| {
        let model = models.get_mut(&handle);
        let model = model.ok_or_else(|| wrong(format!("no model {handle} on this thread")))?;
        use_it(model.as_mut())
    })
}

fn wrong(reason: String) -> TargetError {
    TargetError { target: String::new(), reason }
}

fn offered<T: ?Sized>(item: &Option<Arc<T>>, kind: Kind) -> Result<&T, String> {
    item.as_deref().ok_or_else(|| format!("the plugin offers no {kind}"))
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
                0 => Err(wrong("not yet".into())),
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
            Err(wrong("no integers".into()))
        }
        fn float_operators(&mut self) -> Result<Vec<String>, TargetError> {
            Ok(vec!["Conv (c)".into()])
        }
    }

    fn server() -> Server {
        Server::new(Plugin::new(About::default()).target(Shy::default()))
    }

    fn ask(server: &Server, request: Request<'_>) -> Result<Answer, String> {
        decode(&without_panic(|| server.answer(&encode(&request)?))?)
    }

    #[test]
    fn what_failed_is_made_again() {
        let server = server();
        let graphs = || Request::Latencies(Box::default());
        assert_eq!(ask(&server, graphs()).unwrap_err(), "not yet");
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
        assert_eq!(integers.unwrap_err(), "no integers");
        let elsewhere = thread::scope(|scope| scope.spawn(run).join().unwrap());
        assert_eq!(elsewhere.unwrap_err(), format!("no model {model} on this thread"));
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
        assert_eq!(ask(&server, write).unwrap_err(), "it panicked: no paper");
        assert_eq!(ask(&server, Request::Kinds), Ok(Answer::Kinds(vec![Kind::Target])));
    }

    #[test]
    fn what_is_not_offered_is_named() {
        let server = server();
        assert_eq!(ask(&server, Request::Scorer).unwrap_err(), "the plugin offers no scorer");
        let score = Request::Score(3, Cow::Borrowed(&[]), 0);
        assert_eq!(ask(&server, score).unwrap_err(), "no problem 3");
        assert!(server.answer(b"?").unwrap_err().starts_with("bytes that are no message"));
    }
}
