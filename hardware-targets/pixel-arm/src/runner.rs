//! Measures `.tflite` files on a phone.

use std::{
    io::Write as _,
    path::Path,
    process,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use spacewright_sdk::prelude::*;
use thiserror::Error;

use crate::{
    Settings,
    adb::{Adb, AdbError, last_lines, quote},
    benchmark::{self, OutputError, Round},
    devices::{self, DeviceError},
    phone,
    settings::{BENCHMARK, CORES, FOLDER},
    summary,
    target::{NAME, target_error},
};

/// Two measurements at once would disturb each other.
static CLOCK: Mutex<()> = Mutex::new(());

/// Where every `.tflite` file has these letters, by its FlatBuffers schema.
const LETTERS: (std::ops::Range<usize>, &[u8]) = (4..8, b"TFL3");

/// Measures `.tflite` files on a phone with TensorFlow Lite's `benchmark_model`. It computes
/// nothing with them.
#[derive(Debug, Clone)]
pub struct TfliteRunner {
    settings: Settings,
}

/// Why a file was not measured.
#[derive(Debug, Error)]
enum RunnerError {
    #[error("the model is no .tflite file")]
    NotTflite,
    #[error(transparent)]
    Device(#[from] DeviceError),
    #[error(transparent)]
    Adb(#[from] AdbError),
    #[error(transparent)]
    Output(#[from] OutputError),
    #[error("the model cannot be kept in a temporary file: {0}")]
    Temporary(#[from] std::io::Error),
    #[error("{CORES} is `{0}`, not a hexadecimal mask of cores such as 80 or f0")]
    Mask(String),
    #[error(
        "the phone does not tell how fast its cores are: name some in {CORES}, such as 80 for \
         core 7"
    )]
    NoCore,
    #[error(
        "`{0}` is not on the phone, or may not be executed. TensorFlow's page \
         https://www.tensorflow.org/lite/performance/measurement has nightly builds of the native \
         benchmark binary for android_aarch64; name the downloaded file in {BENCHMARK}, or copy \
         it there with `adb push` and `adb shell chmod 755`"
    )]
    NoBenchmark(String),
    #[error("benchmark_model failed with exit status {status}: {output}")]
    Benchmark { status: i32, output: String },
}

impl TfliteRunner {
    /// A runner with these settings. The phone is looked for when a file is measured.
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }

    fn measure_file(&self, model: &[u8]) -> Result<Measurement, RunnerError> {
        if model.get(LETTERS.0) != Some(LETTERS.1) {
            return Err(RunnerError::NotTflite);
        }
        let _alone = CLOCK.lock().unwrap_or_else(PoisonError::into_inner);
        let adb = self.connect()?;
        let mut file = tempfile::NamedTempFile::new()?;
        file.write_all(model)?;
        let mut files = TemporaryFiles { adb: &adb, paths: Vec::new() };
        let measured = self.measure_on(&adb, file.path(), &mut files);
        let removed = files.remove();
        let mut measurement = measured?;
        measurement.warnings.extend(removed.err());
        Ok(measurement)
    }

    /// adb for the one device that is meant.
    fn connect(&self) -> Result<Adb, RunnerError> {
        let Settings { adb: program, serial, timeout, .. } = &self.settings;
        let adb = Adb { program: program.clone(), serial: None, timeout: *timeout };
        let serial = Some(devices::choose(&adb.devices()?, serial.as_deref())?);
        Ok(Adb { serial, ..adb })
    }

    fn measure_on(
        &self,
        adb: &Adb,
        model: &Path,
        files: &mut TemporaryFiles<'_>,
    ) -> Result<Measurement, RunnerError> {
        let (core, mask) = self.cores(adb)?;
        let program = self.program(adb, files)?;
        let model = files.push(model, ".tflite")?;
        let mut machine = phone::describe(adb, core, &program)?;
        let before = phone::temperature(adb)?;
        let rounds = self.rounds(adb, &benchmark::command(&program, &model, &mask))?;
        let (battery, hot) = summary::heat(before, phone::temperature(adb)?);
        let (figures, mut warnings) = summary::summarize(&rounds);
        warnings.extend(hot);
        for (key, value) in [("battery", battery), ("cores", mask), ("threads", "1".into())] {
            machine.insert(key.into(), value);
        }
        let summary::Figures { min_ms, p10_ms, median_ms, runs, drift } = figures;
        let inputs = Vec::new();
        Ok(Measurement { min_ms, p10_ms, median_ms, runs, drift, warnings, machine, inputs })
    }

    /// A core and the mask of all cores to run on.
    fn cores(&self, adb: &Adb) -> Result<(u32, String), RunnerError> {
        match &self.settings.cores {
            Some(mask) => {
                let core = phone::core_of(mask).ok_or_else(|| RunnerError::Mask(mask.clone()))?;
                Ok((core, mask.clone()))
            }
            None => {
                let core = phone::fastest_core(adb)?.ok_or(RunnerError::NoCore)?;
                Ok((core, phone::mask(core)))
            }
        }
    }

    /// Path of `benchmark_model` on the phone.
    fn program(&self, adb: &Adb, files: &mut TemporaryFiles<'_>) -> Result<String, RunnerError> {
        let named = &self.settings.benchmark_model;
        if named.is_file() {
            let path = files.push(named, "-benchmark_model")?;
            adb.shell(&format!("chmod 755 {}", quote(&path)))?;
            return Ok(path);
        }
        let path = named.to_string_lossy().into_owned();
        let found = adb.shell(&format!("[ -f {0} ] && [ -x {0} ]", quote(&path)))?;
        if found.status == 0 { Ok(path) } else { Err(RunnerError::NoBenchmark(path)) }
    }

    fn rounds(&self, adb: &Adb, command: &str) -> Result<Vec<Round>, RunnerError> {
        let mut rounds = Vec::new();
        for round in 0..self.settings.rounds.max(1) {
            if round > 0 {
                thread::sleep(self.settings.pause);
            }
            let finished = adb.shell(command)?;
            if finished.status != 0 {
                let output = last_lines(&finished.output);
                return Err(RunnerError::Benchmark { status: finished.status, output });
            }
            rounds.push(benchmark::parse(&finished.output)?);
        }
        Ok(rounds)
    }
}

/// Files that are on the phone for the time of a measurement.
struct TemporaryFiles<'a> {
    adb: &'a Adb,
    paths: Vec<String>,
}

impl TemporaryFiles<'_> {
    /// Copies a file to the phone under a name of its own.
    fn push(&mut self, local: &Path, ending: &str) -> Result<String, AdbError> {
        let path = format!("{FOLDER}/spacewright-{}{ending}", unique());
        // Also half a file is to be removed.
        self.paths.push(path.clone());
        self.adb.push(local, &path)?;
        Ok(path)
    }

    /// Removes them; an error is a sentence.
    fn remove(self) -> Result<(), String> {
        if self.paths.is_empty() {
            return Ok(());
        }
        let paths = self.paths.iter().map(|path| quote(path)).collect::<Vec<_>>().join(" ");
        match self.adb.shell(&format!("rm -f {paths}")) {
            Ok(finished) if finished.status == 0 => Ok(()),
            Ok(finished) => Err(last_lines(&finished.output)),
            Err(error) => Err(error.to_string()),
        }
        .map_err(|reason| format!("{paths} was left on the phone: {reason}"))
    }
}

/// A name that no other measurement has, on this machine or another.
fn unique() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    format!("{}-{time:x}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

impl Runtime for TfliteRunner {
    /// `benchmark_model` does not say its version: the writer's version, and where the tool is.
    fn fingerprint(&self) -> String {
        let tool = self.settings.benchmark_model.display();
        format!("{NAME} {} with {tool}", env!("CARGO_PKG_VERSION"))
    }

    fn write_float(
        &self,
        network: &FloatNetwork,
        info: &ModelInfo,
    ) -> Result<Vec<u8>, TargetError> {
        spacewright_tflite::write_float(network, info).map_err(target_error)
    }

    fn write_integer(
        &self,
        network: &IntegerNetwork,
        info: &ModelInfo,
        outputs: ModelOutputs,
    ) -> Result<Vec<u8>, TargetError> {
        spacewright_tflite::write_integer(network, info, outputs).map_err(target_error)
    }

    fn load(&self, _: &[u8]) -> Result<Box<dyn LoadedModel>, TargetError> {
        Err(target_error("it measures .tflite files on a phone and computes none here"))
    }

    fn measure(&self, model: &[u8]) -> Result<Measurement, TargetError> {
        self.measure_file(model).map_err(target_error)
    }
}
