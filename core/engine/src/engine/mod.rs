//! A study that is put together: plugins, data, latencies and artifacts.

mod checks;
mod known_keys;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
};

use serde::de::DeserializeOwned;
use spacewright_core::{
    data::Transform,
    latency::{Latency, LatencyQuery, LatencySource},
    space::Hyperspace,
    study::{AnyStep, Artifact, ArtifactName, Method, Section, Step, StudyContext, sections_of},
    target::Target,
    train::{Monitor, TrainContext},
};

use crate::{
    cluster::ClusterEngine,
    compute::{Chosen, ComputeSettings, DeviceChoice, Threads},
    context::{file_of, missing},
    data::{Described, StudyData},
    error::{EngineError, ErrorKind, Result},
    events::{Observer, Silent},
    keys::Identities,
    latency_cache::LatencyCache,
    registry::Registry,
    store::{Finished, Store},
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
    pub threads: Threads,
    /// Folder of what all studies share, such as the latency cache.
    pub home: PathBuf,
    /// Hears what happens.
    pub observer: Arc<dyn Observer>,
    /// Set it to stop at the next safe point.
    pub cancel: Arc<AtomicBool>,
    /// The command with which a machine of a cluster runs a task, before the folder of the step's
    /// description and the name of the task; see [`NodeTask`](crate::NodeTask). Without it there are no other
    /// machines.
    pub task_command: Option<Vec<String>>,
}

impl EngineOptions {
    /// The usual options, with what all studies share in the folder `home`.
    pub fn new(home: PathBuf) -> Self {
        Self {
            runs: "runs".into(),
            threads: Threads::InAll(available_threads()),
            home,
            observer: Arc::new(Silent),
            cancel: Arc::default(),
            task_command: None,
        }
    }
}

/// Threads that this process may use by the system's leave.
pub fn available_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Runs one study and gives access to what it has made.
pub struct Engine {
    study: Study,
    /// Runs the study whose shared steps this one takes.
    base: Option<Box<Engine>>,
    /// What trainings are computed with.
    chosen: Chosen,
    context: StudyContext,
    method: Arc<dyn Method>,
    steps: Vec<Arc<dyn AnyStep>>,
    options: EngineOptions,
    keys: known_keys::KnownKeys,
    data: StudyData,
    source: Once<Arc<dyn LatencySource>>,
    /// Sources of other targets by name.
    others: Mutex<HashMap<String, Arc<dyn LatencySource>>>,
    loaded: Identities,
    lender: Option<String>,
    cache: Once<Arc<LatencyCache>>,
    cluster: Option<Arc<dyn ClusterEngine>>,
    store: Mutex<Option<Arc<Store>>>,
}

impl Engine {
    /// Puts a study together. Its images are listed, to know their classes, and none is decoded; no file
    /// stays that was made.
    pub fn open(mut study: Study, registry: &Registry, options: EngineOptions) -> Result<Self> {
        let base = study.from.as_deref().cloned();
        let base = base.map(|base| Self::open(base, registry, options.clone())).transpose()?;
        let registry = &registry.for_study(&study)?;
        let method = registry.method(&study.method)?;
        let steps = method.steps();
        checks::check_steps(method.name(), &steps)?;
        let target = Arc::new(registry.deployable(&study.target, &study.latency)?);
        if let Err(error) = target.runtime() {
            tracing::warn!(
                "{}: models cannot be exported",
                error.reason.to_string().replace('\n', "; ")
            );
        }
        let data =
            StudyData::new(study.data.clone(), study.folder.clone(), &options.home, study.seed)
                .with_threads(options.threads.here());
        let Described { channels, classes } = data.described()?;
        study.hyperspace = for_images(study.hyperspace, channels, classes.len())?;
        let chosen = match &base {
            // Its workers serve both.
            Some(base) if base.study.compute == study.compute => base.chosen.clone(),
            _ => {
                let chosen = study.compute.choose(registry, options.threads);
                chosen.map_err(|error| study.refuse(error))?
            }
        };
        let context = StudyContext {
            name: study.name.clone(),
            folder: study.folder.clone(),
            labels: classes,
            operators: registry.operators(),
            hyperspace: study.hyperspace.clone(),
            target: target.clone(),
            targets: registry.targets.clone(),
            trainer: chosen.trainer.clone(),
            quantizers: registry.quantizers.clone(),
            scorers: registry.scorers.clone(),
            strategies: registry.strategies.clone(),
            seed: study.seed,
            threads: options.threads.here(),
            processes: chosen.compute.processes,
            device: chosen.compute.device,
            precision: chosen.compute.precision,
        };
        let others = checks::check_study(&study, &context, &steps)?;
        supported::check(&study.hyperspace, &context, &others)?;
        let cluster = options.task_command.as_ref().and_then(|_| study.cluster.open());
        Ok(Self {
            cluster,
            study,
            base: base.map(Box::new),
            chosen,
            context,
            method,
            steps,
            options,
            keys: known_keys::KnownKeys::default(),
            data,
            source: Once::default(),
            others: Mutex::default(),
            loaded: registry.identities(),
            lender: target.lender(),
            cache: Once::default(),
            store: Mutex::default(),
        })
    }

    /// The same engine with another cluster than the study names, for all of its steps.
    pub fn with_cluster(mut self, cluster: Arc<dyn ClusterEngine>) -> Self {
        self.base = self.base.map(|base| Box::new(base.with_cluster(cluster.clone())));
        Self { cluster: Some(cluster), ..self }
    }

    /// Who hands tasks to other machines, where there are some.
    pub(crate) fn cluster(&self) -> Option<&dyn ClusterEngine> {
        self.cluster.as_deref()
    }

    /// The study with the device that it has come to on this machine.
    pub(crate) fn study_as_run(&self) -> Study {
        let device = DeviceChoice::On(self.context.device);
        let base = self.base.as_ref().map(|base| Box::new(base.study_as_run()));
        let compute = ComputeSettings { device, ..self.study.compute };
        Study { compute, from: base, ..self.study.clone() }
    }

    /// The study.
    pub fn study(&self) -> &Study {
        &self.study
    }

    /// Where its images come from.
    pub fn data(&self) -> &StudyData {
        &self.data
    }

    /// What the engine has put together.
    pub fn context(&self) -> &StudyContext {
        &self.context
    }

    /// The study's method.
    pub fn method(&self) -> &dyn Method {
        self.method.as_ref()
    }

    /// The steps in order.
    pub fn steps(&self) -> &[Arc<dyn AnyStep>] {
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
    pub(crate) fn owner(&self, step: &dyn AnyStep) -> &Engine {
        match &self.base {
            Some(base) if step.is_shared() && !self.study.runs(step.name()) => base,
            _ => self,
        }
    }

    /// The run's store, if it exists. It is opened once, and so checked once.
    pub(crate) fn existing_store(&self) -> Result<Option<Arc<Store>>> {
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        if store.is_none() {
            *store = Store::existing(&self.folder())?.map(Arc::new);
        }
        Ok(store.clone())
    }

    /// The run's store, to work with it: for whoever has the run's lock.
    pub(crate) fn working_store(&self) -> Result<Arc<Store>> {
        let working = Arc::new(Store::create(&self.folder())?);
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        *store = Some(working.clone());
        Ok(working)
    }

    /// The step of this name.
    pub fn step(&self, name: &str) -> Result<&Arc<dyn AnyStep>> {
        let known = self.steps.iter().map(|step| step.name());
        self.steps
            .iter()
            .find(|step| step.name() == name)
            .ok_or_else(|| unknown("step", name, known))
    }

    /// The output of a step under the present settings.
    pub fn output<S: Step>(&self) -> Result<S::Output> {
        self.get(&S::OUTPUT)
    }

    /// The result of a task under the present settings.
    pub fn get<T: DeserializeOwned>(&self, artifact: &Artifact<T>) -> Result<T> {
        let name = artifact.name();
        serde_json::from_value(self.finished(name)?.result).map_err(|error| {
            EngineError::artifact(ErrorKind::Storage, name, format!("cannot be read: {error}"))
                .with_source(error)
        })
    }

    /// The file or folder of a task under the present settings.
    pub fn file<T>(&self, artifact: &Artifact<T>) -> Result<PathBuf> {
        file_of(artifact.name(), self.finished(artifact.name())?)
    }

    /// Names of the finished tasks of a step under the present settings.
    pub fn tasks(&self, step: &str) -> Result<Vec<String>> {
        let key = self.key(step)?;
        let store = self.owner(self.step(step)?.as_ref()).existing_store()?;
        store.map_or(Ok(Vec::new()), |store| store.task_names(&key))
    }

    /// Paths of the files that a step has written for people, under the present settings.
    pub fn published(&self, step: &str) -> Result<Vec<PathBuf>> {
        let key = self.key(step)?;
        let owner = self.owner(self.step(step)?.as_ref());
        let names = match owner.existing_store()? {
            Some(store) => store.published_names(&key)?,
            None => Vec::new(),
        };
        Ok(names.into_iter().map(|name| owner.folder().join(name)).collect())
    }

    /// Latencies from the target's source: measurements through the cache on disk.
    pub fn latencies(
        &self,
        queries: &[LatencyQuery],
        monitor: &dyn Monitor,
    ) -> Result<Vec<Latency>> {
        let cache = self.latency_cache()?;
        cache.latencies(self.source()?.as_ref(), queries, monitor)
    }

    /// Latencies from another target's own source: measurements through the cache on disk.
    pub fn latencies_on(
        &self,
        target: &str,
        queries: &[LatencyQuery],
        monitor: &dyn Monitor,
    ) -> Result<Vec<Latency>> {
        let cache = self.latency_cache()?;
        cache.latencies(self.source_of(target)?.as_ref(), queries, monitor)
    }

    fn latency_cache(&self) -> Result<Arc<LatencyCache>> {
        self.cache.get(|| LatencyCache::open(&self.options.home).map(Arc::new))
    }

    fn source_of(&self, target: &str) -> Result<Arc<dyn LatencySource>> {
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(source) = others.get(target) {
            return Ok(source.clone());
        }
        let targets = &self.context.targets;
        let found = targets
            .get(target)
            .ok_or_else(|| unknown("target", target, targets.keys().map(String::as_str)))?;
        let source = source_of(found.as_ref())?;
        others.insert(target.to_owned(), source.clone());
        Ok(source)
    }

    /// A section of the study, with what it leaves out.
    pub fn settings<S: Section>(&self) -> Result<S> {
        S::from_value(self.study.section(S::NAME)).map_err(|error| self.study.refuse(error))
    }

    /// What sections have as `augment` of their own.
    fn augments(&self) -> Result<Vec<(&'static str, Vec<Transform>)>> {
        let mut augments = Vec::new();
        for section in sections_of(&self.steps) {
            let augment = section.augment(&self.study.section(section.name));
            let augment = augment.map_err(|error| self.study.refuse(error))?;
            if !augment.is_empty() {
                augments.push((section.name, augment));
            }
        }
        Ok(augments)
    }

    /// Images, operators and scheme for the trainer. Images are looked through when first asked for;
    /// `progress` is told how many of how many were, and says whether to go on.
    pub fn train_context(
        &self,
        progress: impl Fn(usize, usize) -> bool + Sync,
    ) -> Result<TrainContext> {
        let Study { seed, hyperspace, quantizer, .. } = &self.study;
        let known = self.context.quantizers.keys().map(String::as_str);
        Ok(TrainContext {
            operators: self.context.operators.clone(),
            images: self.data.images(&self.sides(), &self.augments()?, progress)?,
            hyperspace: hyperspace.clone(),
            scheme: self.context.target.description().scheme,
            quantizer: self
                .context
                .quantizers
                .get(quantizer)
                .cloned()
                .ok_or_else(|| unknown("quantizer", quantizer, known))?,
            seed: *seed,
        })
    }

    /// The sides of all inputs of its networks, in pixels.
    fn sides(&self) -> Vec<usize> {
        let Hyperspace { resolutions, table_resolutions, .. } = &self.study.hyperspace;
        let mut sides = [&resolutions[..], table_resolutions].concat();
        sides.sort_unstable();
        sides.dedup();
        sides
    }

    /// Whether `step` reads the step `name`, directly or through other steps.
    pub(crate) fn reads(&self, step: &dyn AnyStep, name: &str) -> bool {
        step.reads().iter().any(|input| {
            *input == name || self.step(input).is_ok_and(|input| self.reads(input.as_ref(), name))
        })
    }

    /// Whether the images are part of the step's key.
    pub(crate) fn knows_images(&self, step: &dyn AnyStep) -> bool {
        let trains = |other: &Arc<dyn AnyStep>| other.needs().training;
        step.needs().training
            || self.steps.iter().any(|other| trains(other) && self.reads(step, other.name()))
    }

    fn source(&self) -> Result<Arc<dyn LatencySource>> {
        self.source.get(|| source_of(self.context.target.as_ref()))
    }

    /// What is kept of an artifact under the present settings.
    pub(crate) fn finished(&self, artifact: &ArtifactName) -> Result<Finished> {
        let step = &artifact.step;
        let key = self.key(step)?;
        let owner = self.owner(self.step(step)?.as_ref());
        let Some(store) = owner.existing_store()? else {
            let message = format!("the run `{}` has not been started", owner.study.name);
            return Err(EngineError::new(ErrorKind::Missing, message)
                .with_hint(format!("run the step `{step}` first")));
        };
        store.task(&key, &artifact.task)?.ok_or_else(|| missing(&store, artifact, &key))
    }
}

fn source_of(target: &dyn Target) -> Result<Arc<dyn LatencySource>> {
    target
        .latency_source()
        .map_err(|error| EngineError::new(ErrorKind::Step, error.to_string()).with_source(error))
}

/// Something that is made when first asked for; a failure is tried again.
pub(crate) struct Once<T>(Mutex<Option<T>>);

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T: Clone> Once<T> {
    pub fn get(&self, make: impl FnOnce() -> Result<T>) -> Result<T> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.is_none() {
            *slot = Some(make()?);
        }
        slot.clone().ok_or_else(|| EngineError::study("nothing was made"))
    }
}

/// The hyperspace for images of so many channels and classes.
fn for_images(hyperspace: Hyperspace, channels: usize, classes: usize) -> Result<Hyperspace> {
    let Hyperspace { input_channels, classes: features, .. } = hyperspace;
    let name = hyperspace.name.clone();
    hyperspace.for_images(channels, classes).ok_or_else(|| {
        let message = format!(
            "the images have {channels} channels and {classes} classes, the hyperspace `{name}` is for \
             {input_channels} and {features}"
        );
        EngineError::study(message)
            .with_hint("take another hyperspace, or leave out its `fixed_input`")
    })
}
