//! A runtime that lies in one way at a time.

use spacewright_core::{
    call::Fault,
    graph::{ConvSpec, GraphBuilder, Shape},
    quant::{QParams, Rounding},
    target::{Target, TargetDescription},
};

use super::*;
use crate::{checked::CheckedTarget, origin::Origin};

/// Every answer of the runtime, right until a test changes it.
#[derive(Clone)]
struct Answers {
    file: Vec<u8>,
    output: Vec<f32>,
    /// What is given from the second image on.
    later: Vec<f32>,
    integers: BTreeMap<String, Vec<u8>>,
    measured: Measurement,
}

/// A channel of 2x2 pixels in, three of them out.
fn network() -> IntegerNetwork {
    let mut b = GraphBuilder::new(Shape::square(1, 2));
    let x = b.conv("conv", b.input(), ConvSpec::new(3, 1));
    let values = vec![Some(QParams { scale: 1.0, zero_point: 0 }); 2];
    IntegerNetwork {
        graph: b.finish(x),
        values,
        weights: BTreeMap::new(),
        rounding: Rounding::Float,
    }
}

fn honest() -> Answers {
    let integers = [("input", 4), ("conv", 12), ("made-by-the-runtime", 5)];
    Answers {
        file: b"model".into(),
        output: vec![0.5; 12],
        later: vec![0.5; 12],
        integers: integers.map(|(name, count)| (name.into(), vec![7; count])).into(),
        measured: Measurement {
            min_ms: 1.0,
            p10_ms: 1.0,
            median_ms: 1.5,
            runs: 9,
            drift: 1.0,
            ..Measurement::default()
        },
    }
}

struct Liar(Answers);

impl Target for Liar {
    fn description(&self) -> TargetDescription {
        TargetDescription::modelled("liar", "", "bytes")
    }
    fn latency_source(
        &self,
    ) -> Result<Arc<dyn spacewright_core::latency::LatencySource>, TargetError> {
        Err(TargetError::new("liar", "no latencies"))
    }
    fn runtime(&self) -> Result<Arc<dyn Runtime>, TargetError> {
        Ok(Arc::new(Self(self.0.clone())))
    }
    fn has_runtime(&self) -> bool {
        true
    }
}

impl Runtime for Liar {
    fn fingerprint(&self) -> String {
        "Liar 1.0".into()
    }
    fn write_float(&self, _: &FloatNetwork, _: &ModelInfo) -> Result<Vec<u8>, TargetError> {
        Err(TargetError::new("", "no paper"))
    }
    fn write_integer(
        &self,
        _: &IntegerNetwork,
        _: &ModelInfo,
        _: ModelOutputs,
    ) -> Result<Vec<u8>, TargetError> {
        Ok(self.0.file.clone())
    }
    fn load(&self, _: &[u8]) -> Result<Box<dyn LoadedModel>, TargetError> {
        Ok(Box::new(Self(self.0.clone())))
    }
    fn measure(&self, _: &[u8]) -> Result<Measurement, TargetError> {
        Ok(self.0.measured.clone())
    }
}

impl LoadedModel for Liar {
    fn run(&mut self, _: &[f32]) -> Result<Vec<f32>, TargetError> {
        let later = self.0.later.clone();
        Ok(std::mem::replace(&mut self.0.output, later))
    }
    fn run_integers(&mut self, _: &[f32]) -> Result<BTreeMap<String, Vec<u8>>, TargetError> {
        Ok(self.0.integers.clone())
    }
    fn float_operators(&mut self) -> Result<Vec<String>, TargetError> {
        Ok(Vec::new())
    }
}

/// The runtime of a built-in plugin `liars`, as the engine uses it.
fn runtime(answers: Answers) -> Arc<dyn Runtime> {
    CheckedTarget::wrap(&Origin::built_in("liars"), Arc::new(Liar(answers))).runtime().unwrap()
}

/// Everything that is asked of a runtime, up to the first error.
fn ask(lie: impl FnOnce(&mut Answers)) -> Result<(), TargetError> {
    let mut answers = honest();
    lie(&mut answers);
    let runtime = runtime(answers);
    let info = ModelInfo { name: "net".into(), ..ModelInfo::default() };
    let file = runtime.write_integer(&network(), &info, ModelOutputs::Integers)?;
    runtime.load(&file)?.run_integers(&[0.0; 4])?;
    let file = runtime.write_integer(&network(), &info, ModelOutputs::Result)?;
    let mut model = runtime.load(&file)?;
    model.run(&[0.0; 4])?;
    model.run(&[0.0; 4])?;
    let mut foreign = runtime.load(b"of somebody else")?;
    foreign.run(&[0.0; 4])?;
    foreign.run(&[0.0; 4])?;
    runtime.measure(&file).map(drop)
}

#[test]
fn an_honest_runtime_passes() {
    assert_eq!(ask(|_| ()), Ok(()));
    assert_eq!(runtime(honest()).fingerprint(), "Liar 1.0");
}

#[test]
fn lies_are_errors_that_name_plugin_version_and_call() {
    let check = |lie: fn(&mut Answers), call: &str, reason: &str| {
        let error = ask(lie).unwrap_err();
        let plugin = format!("target `liar`: plugin `liars` {}, ", env!("CARGO_PKG_VERSION"));
        let text = error.to_string();
        assert!(text.starts_with(&plugin), "{text}");
        assert!(text.contains(reason), "{text}");
        let fault = error.reason.call().unwrap();
        assert_eq!(fault.call, call, "{text}");
        assert!(matches!(fault.fault, Fault::Bad(_)), "{fault:?}");
    };
    check(|a| a.file.clear(), "write-integer", "network `net`: an empty file");
    check(|a| a.output.truncate(11), "run", "output: 11 numbers, expected are 12");
    check(|a| a.later.clear(), "run", "output: 0 numbers, expected are 12");
    check(|a| a.output[3] = f32::NAN, "run", "output 3: NaN");
    check(|a| a.later[0] = f32::INFINITY, "run", "output 0: inf");
    let short = |a: &mut Answers| drop(a.integers.insert("conv".into(), vec![7; 11]));
    check(short, "run-integers", "value `conv`: 11 numbers, expected are 12");
    check(|a| a.measured.min_ms = 0.0, "measure", "minimum 0 ms");
    check(|a| a.measured.p10_ms = f64::NAN, "measure", "p10 NaN ms");
    check(|a| a.measured.median_ms = 0.9, "measure", "median 0.9 ms");
    check(|a| a.measured.runs = 0, "measure", "0 runs with a drift of 1");
    check(|a| a.measured.drift = f64::INFINITY, "measure", "a drift of inf");
}

#[test]
fn a_file_from_elsewhere_gives_what_it_gave_first() {
    let answers = Answers { output: vec![0.5; 3], later: vec![0.5; 4], ..honest() };
    let mut model = runtime(answers).load(b"of somebody else").unwrap();
    assert_eq!(model.run(&[]).unwrap().len(), 3);
    let error = model.run(&[]).unwrap_err().to_string();
    assert!(error.ends_with("`run`: output: 4 numbers, expected are 3"), "{error}");
}

#[test]
fn a_built_in_runtimes_own_words_stay() {
    let runtime = runtime(honest());
    let network = FloatNetwork { graph: network().graph, weights: BTreeMap::new() };
    let error = runtime.write_float(&network, &ModelInfo::default()).unwrap_err();
    assert_eq!(error, TargetError::new("liar", "no paper"));
}
