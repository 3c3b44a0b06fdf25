//! A study that is put together: parts, data, latencies and artifacts.

use std::{
    collections::HashMap,
    env,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
};

use serde_json::Value;
use spacewright_core::{
    latency::{Latency, LatencyQuery, LatencySource},
    method::{Method, Parts, StepSpec},
    target::Target,
    train::{Monitor, TrainContext},
};

use crate::{
    context::missing,
    data_set::LoadedData,
    error::{EngineError, ErrorKind, Result},
    events::{Observer, Silent},
    keys::{Identities, Ingredients},
    latency_cache::LatencyCache,
    registry::Registry,
    store::Store,
    study::Study,
    suggest::unknown,
    supported,
};

/// How and where a study runs; nothing of it changes results, except for the number of threads.
#[derive(Clone)]
pub struct EngineOptions {
    /// Folder of all runs.
    pub runs: PathBuf,
    /// Threads that a step may use.
    pub threads: usize,
    /// Folder of what all studies share, such as the latency cache.
    pub home: PathBuf,
    /// Hears what happens.
    pub observer: Arc<dyn Observer>,
    /// Set it to stop at the next safe point.
    pub cancel: Arc<AtomicBool>,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            runs: "runs".into(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            home: default_home(),
            observer: Arc::new(Silent),
            cancel: Arc::default(),
        }
    }
}

/// `$SPACEWRIGHT_HOME`, or the user's data folder.
pub fn default_home() -> PathBuf {
    let folder = |name: &str| env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from);
    folder("SPACEWRIGHT_HOME")
        .or_else(|| Some(folder("XDG_DATA_HOME")?.join("spacewright")))
        .or_else(|| Some(folder("HOME")?.join(".local/share/spacewright")))
        .unwrap_or_else(|| ".spacewright".into())
}

/// Runs one study and gives access to what it has made.
pub struct Engine {
    study: Study,
    /// Runs the study whose shared steps this one takes.
    base: Option<Box<Engine>>,
    parts: Parts,
    method: Arc<dyn Method>,
    steps: Vec<StepSpec>,
    options: EngineOptions,
    keys: Mutex<HashMap<String, String>>,
    data_fingerprint: Once<String>,
    data: Once<LoadedData>,
    source: Once<Arc<dyn LatencySource>>,
    /// Sources of other targets by name.
    others: Mutex<HashMap<String, Arc<dyn LatencySource>>>,
    loaded: Identities,
    lender: Option<String>,
    cache: Once<Arc<LatencyCache>>,
}

impl Engine {
    /// Puts a study together. Reads no data, makes no file.
    pub fn open(study: Study, registry: &Registry, options: EngineOptions) -> Result<Self> {
        let base = study.from.as_deref().cloned();
        let base = base.map(|base| Self::open(base, registry, options.clone())).transpose()?;
        let method = registry.method(&study.method)?;
        registry.quantizer(&study.quantizer)?;
        let steps = method.steps();
        check_steps(method.name(), &steps)?;
        let target = Arc::new(registry.deployable(&study.target, &study.latency)?);
        if let Err(error) = target.runtime() {
            tracing::warn!("{}: models cannot be exported", error.reason.replace('\n', "; "));
        }
        let parts = Parts {
            study: study.name.clone(),
            labels: study.data.labels(),
            operators: registry.operators(),
            hyperspace: study.hyperspace.clone(),
            target: target.clone(),
            targets: registry.targets.clone(),
            trainer: registry.trainer(options.threads),
            quantizers: registry.quantizers.clone(),
            scorers: registry.scorers.clone(),
            strategies: registry.strategies.clone(),
            seed: study.seed,
            threads: options.threads,
        };
        let settings = |section: &str| study.sections.get(section).cloned().unwrap_or_default();
        method.check(&parts, &settings).map_err(EngineError::in_study)?;
        let named = study.named_texts();
        let others = parts.targets.keys().map(String::as_str).filter(|name| named.contains(name));
        let others: Vec<&str> = others.filter(|name| *name != study.target).collect();
        supported::check(&study.hyperspace, &parts, &others)?;
        Ok(Self {
            study,
            base: base.map(Box::new),
            parts,
            method,
            steps,
            options,
            keys: Mutex::default(),
            data_fingerprint: Once::default(),
            data: Once::default(),
            source: Once::default(),
            others: Mutex::default(),
            loaded: registry.identities(),
            lender: target.lender(),
            cache: Once::default(),
        })
    }

    /// The study.
    pub fn study(&self) -> &Study {
        &self.study
    }

    /// What the engine has put together.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// The study's method.
    pub fn method(&self) -> &dyn Method {
        self.method.as_ref()
    }

    /// The steps in order.
    pub fn steps(&self) -> &[StepSpec] {
        &self.steps
    }

    /// The options it was opened with.
    pub fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// The run's folder, whether it exists or not.
    pub fn folder(&self) -> PathBuf {
        self.options.runs.join(&self.study.name)
    }

    /// The engine that runs a step: this one, or that of the study that it takes the step from.
    pub(crate) fn owner(&self, step: &StepSpec) -> &Engine {
        match &self.base {
            Some(base) if step.shared => base,
            _ => self,
        }
    }

    /// The run's store, if it exists.
    pub(crate) fn existing_store(&self) -> Result<Option<Store>> {
        Store::existing(&self.folder())
    }

    /// The step of this name.
    pub fn step(&self, name: &str) -> Result<&StepSpec> {
        let known = self.steps.iter().map(|step| step.name.as_str());
        self.steps.iter().find(|step| step.name == name).ok_or_else(|| unknown("step", name, known))
    }

    /// The JSON result of `<step>/<task>` under the present settings.
    pub fn result(&self, artifact: &str) -> Result<Value> {
        Ok(self.finished(artifact)?.result)
    }

    /// The file or folder of `<step>/<task>` under the present settings.
    pub fn path(&self, artifact: &str) -> Result<PathBuf> {
        self.finished(artifact)?.object.ok_or_else(|| {
            EngineError::study(format!("`{artifact}` has a result, but wrote no file"))
        })
    }

    /// Names of the finished tasks of a step under the present settings.
    pub fn artifacts(&self, step: &str) -> Result<Vec<String>> {
        let key = self.key(step)?;
        let store = self.owner(self.step(step)?).existing_store()?;
        store.map_or(Ok(Vec::new()), |store| store.task_names(&key))
    }

    /// Latencies from the target's source, through the cache on disk.
    pub fn latencies(
        &self,
        queries: &[LatencyQuery],
        monitor: &dyn Monitor,
    ) -> Result<Vec<Latency>> {
        let cache = self.cache.get(|| LatencyCache::open(&self.options.home).map(Arc::new))?;
        cache.latencies(self.source()?.as_ref(), queries, monitor)
    }

    /// Latencies from another target's own source, through the cache on disk.
    pub fn latencies_on(
        &self,
        target: &str,
        queries: &[LatencyQuery],
        monitor: &dyn Monitor,
    ) -> Result<Vec<Latency>> {
        let cache = self.cache.get(|| LatencyCache::open(&self.options.home).map(Arc::new))?;
        cache.latencies(self.source_of(target)?.as_ref(), queries, monitor)
    }

    fn source_of(&self, target: &str) -> Result<Arc<dyn LatencySource>> {
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(source) = others.get(target) {
            return Ok(source.clone());
        }
        let targets = &self.parts.targets;
        let found = targets
            .get(target)
            .ok_or_else(|| unknown("target", target, targets.keys().map(String::as_str)))?;
        let source = found.latency_source();
        let source = source.map_err(|e| EngineError::new(ErrorKind::Step, e.to_string()))?;
        others.insert(target.to_owned(), source.clone());
        Ok(source)
    }

    /// Data, operators and scheme for the trainer; reads the data set when first asked.
    pub fn train_context(&self) -> Result<TrainContext> {
        let Study { data, folder, seed, hyperspace, quantizer, .. } = &self.study;
        let loaded = self.data.get(|| {
            let loaded = data.load(folder, *seed)?;
            fits(&loaded, hyperspace.input_channels, hyperspace.classes)?;
            Ok(loaded)
        })?;
        let known = self.parts.quantizers.keys().map(String::as_str);
        let quantizer = self.parts.quantizers.get(quantizer);
        Ok(TrainContext {
            operators: self.parts.operators.clone(),
            data: loaded.data,
            held_out: loaded.held_out,
            canvas: data.canvas,
            hyperspace: hyperspace.clone(),
            scheme: self.parts.target.description().scheme,
            quantizer: quantizer
                .cloned()
                .ok_or_else(|| unknown("quantizer", &self.study.quantizer, known))?,
            seed: *seed,
        })
    }

    /// The key of a step: equal for equal inputs.
    pub(crate) fn key(&self, step: &str) -> Result<String> {
        let known = self.keys.lock().unwrap_or_else(PoisonError::into_inner).get(step).cloned();
        if let Some(key) = known {
            return Ok(key);
        }
        let spec = self.step(step)?;
        let owner = self.owner(spec);
        if !std::ptr::eq(owner, self) {
            return owner.key(step);
        }
        let inputs = spec.after.iter().map(|name| self.key(name)).collect::<Result<Vec<_>>>()?;
        let Self { study, parts, loaded, .. } = self;
        let lender = self.lender.as_deref();
        let data = || self.data_fingerprint.get(|| self.study.data.fingerprint(&self.study.folder));
        let latency =
            || self.source().map_or_else(|_| "unavailable".into(), |source| source.fingerprint());
        let others = |name: &str| {
            self.source_of(name).map_or_else(|_| "unavailable".into(), |s| s.fingerprint())
        };
        let (data, latency, others) = (&data, &latency, &others);
        let ingredients = Ingredients { study, parts, loaded, lender, data, latency, others };
        let key = ingredients.key(spec, &inputs)?;
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.insert(step.to_owned(), key.clone());
        Ok(key)
    }

    /// Whether `step` reads `name`, directly or through other steps.
    pub(crate) fn reads(&self, step: &StepSpec, name: &str) -> bool {
        step.after.iter().any(|input| {
            input == name || self.step(input).is_ok_and(|input| self.reads(input, name))
        })
    }

    /// Whether the images are part of the step's key.
    pub(crate) fn knows_data(&self, step: &StepSpec) -> bool {
        step.trains || self.steps.iter().any(|s| s.trains && self.reads(step, &s.name))
    }

    fn source(&self) -> Result<Arc<dyn LatencySource>> {
        self.source.get(|| {
            let source = self.parts.target.latency_source();
            source.map_err(|error| EngineError::new(ErrorKind::Step, error.to_string()))
        })
    }

    fn finished(&self, artifact: &str) -> Result<crate::store::Finished> {
        let (step, task) = artifact.split_once('/').ok_or_else(|| {
            EngineError::study(format!("`{artifact}` is not of the form `step/task`"))
        })?;
        let key = self.key(step)?;
        let owner = self.owner(self.step(step)?);
        let Some(store) = owner.existing_store()? else {
            let message = format!("the run `{}` has not been started", owner.study.name);
            return Err(EngineError::new(ErrorKind::Missing, message)
                .with_hint(format!("run the step `{step}` first")));
        };
        store.task(&key, task)?.ok_or_else(|| missing(&store, step, &key, task))
    }
}

/// Something that is made when first asked for; a failure is tried again.
struct Once<T>(Mutex<Option<T>>);

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T: Clone> Once<T> {
    fn get(&self, make: impl FnOnce() -> Result<T>) -> Result<T> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.is_none() {
            *slot = Some(make()?);
        }
        slot.clone().ok_or_else(|| EngineError::study("nothing was made"))
    }
}

fn check_steps(method: &str, steps: &[StepSpec]) -> Result<()> {
    for (index, step) in steps.iter().enumerate() {
        let before = |name: &String| steps[..index].iter().any(|earlier| earlier.name == *name);
        if let Some(name) = step.after.iter().find(|name| !before(name)) {
            let message = format!(
                "method `{method}`: step `{}` reads `{name}`, which is no earlier step",
                step.name
            );
            return Err(EngineError::study(message));
        }
        let shared = |name: &&String| steps[..index].iter().any(|s| s.shared && s.name == **name);
        if let Some(name) = step.after.iter().find(|name| step.shared && !shared(name)) {
            let message = format!(
                "method `{method}`: step `{}` is shared, but reads `{name}`, which is not",
                step.name
            );
            return Err(EngineError::study(message));
        }
        let extra = |name: &&String| steps[..index].iter().any(|s| s.extra && s.name == **name);
        if let Some(name) = step.after.iter().find(extra).filter(|_| !step.extra) {
            let message = format!(
                "method `{method}`: step `{}` reads `{name}`, which is no part of a run",
                step.name
            );
            return Err(EngineError::study(message));
        }
        if before(&step.name) {
            let message = format!("method `{method}`: two steps have the name `{}`", step.name);
            return Err(EngineError::study(message));
        }
    }
    Ok(())
}

fn fits(loaded: &LoadedData, channels: usize, classes: usize) -> Result<()> {
    for (name, set) in [("training", &loaded.data.train), ("test", &loaded.data.test)] {
        if set.channels != channels {
            let message = format!(
                "the {name} images have {} channels, the hyperspace takes {channels}",
                set.channels
            );
            return Err(EngineError::study(message).with_hint("set `input_channels`"));
        }
        let largest = set.labels.iter().max().copied().map_or(0, usize::from);
        if largest >= classes {
            let message =
                format!("a {name} image has class {largest}, the hyperspace has {classes} classes");
            return Err(EngineError::study(message).with_hint("set `classes`"));
        }
    }
    Ok(())
}
