//! Networks from outside: read by who knows their format, compared with what another program computes of them,
//! and kept as a folder.

mod folder;

use std::{collections::BTreeMap, path::Path};

use rand::Rng;
use serde::{Deserialize, Serialize};
use spacewright_core::{
    foreign::{ModelFile, OpenSizes},
    graph::Shape,
    import::{ImportError, ImportedNetwork, NetworkReader},
    quant::fold_float,
    random,
    target::{ModelInfo, Runtime},
};

pub use folder::read_graph;

use crate::{
    error::{EngineError, ErrorKind, Result},
    registry::Registry,
};

/// Images of noise that both programs compute.
const IMAGES: usize = 4;
/// How far results may lie apart, as a share of the largest number of what the file gives.
pub const TOLERANCE: f64 = 1e-4;
const SEED: u64 = 0;

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImportReport {
    /// Name of the file's format.
    pub format: String,
    /// What the file calls the network; may be empty.
    pub name: String,
    /// Shape of an image.
    pub input: Shape,
    /// Shape of what comes out; classes are its channels.
    pub output: Shape,
    /// How often each operator occurs.
    pub operators: BTreeMap<String, usize>,
    /// Trained scalars.
    pub params: u64,
    /// Multiply-adds of one image.
    pub macs: u64,
    /// Whether the file ends with a softmax, which is left out.
    pub softmax: bool,
    /// What is computed otherwise than the file says it, with the same result.
    pub notes: Vec<String>,
    /// How near the file's own results are; `None` where no program runs such files.
    pub agreement: Option<Agreement>,
}

/// How near the results of two programs are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// Name and version of the program that runs both the file and what was made of it.
    pub runtime: String,
    /// Images of noise that were compared.
    pub images: usize,
    /// The largest difference over the largest number that the file gives, of the worst image.
    pub relative_error: f64,
}

/// A network that was read, and compared where that is possible.
#[derive(Debug)]
pub struct Import {
    /// The network.
    pub network: ImportedNetwork,
    /// About it.
    pub report: ImportReport,
}

impl Import {
    /// Reads a network out of a file, and compares its results where a program runs such files.
    ///
    /// # Errors
    ///
    /// Files of unknown formats, damaged files, nodes that are not known (all of them), and results that
    /// differ by more than [`TOLERANCE`].
    pub fn read(registry: &Registry, file: &ModelFile<'_>, sizes: &OpenSizes) -> Result<Self> {
        let reader = reader(registry, file)?;
        let network = reader.read(file, sizes).map_err(refused)?;
        let graph = &network.graph;
        let unfit = |error: &dyn std::error::Error| EngineError::study(error.to_string());
        let output = graph.output_shape().map_err(|error| unfit(&error))?;
        let (params, macs) = (graph.params(), graph.macs());
        let mut operators = BTreeMap::new();
        for node in &graph.nodes {
            *operators.entry(node.op.kind().name().to_owned()).or_default() += 1;
        }
        let agreement = compare(registry, reader, &network, file, sizes)?;
        let report = ImportReport {
            format: reader.format().to_owned(),
            name: network.name.clone(),
            input: graph.input,
            output,
            operators,
            params: params.map_err(|error| unfit(&error))?,
            macs: macs.map_err(|error| unfit(&error))?,
            softmax: network.softmax,
            notes: network.notes.clone(),
            agreement,
        };
        Ok(Self { network, report })
    }

    /// Writes graph and weights into a folder that is there.
    pub fn write(&self, folder: &Path) -> Result<()> {
        folder::write(&self.network.graph, &self.network.weights, folder)
    }
}

/// The graph of the network in a file, which may be one in integers: what predictions of its latency need. It is
/// written into a folder that is there, from which [`read_graph`] takes it.
///
/// # Errors
///
/// Files of unknown formats, damaged files, and nodes that are not known (all of them).
pub fn write_structure(
    registry: &Registry,
    file: &ModelFile<'_>,
    sizes: &OpenSizes,
    folder: &Path,
) -> Result<()> {
    let graph = reader(registry, file)?.structure(file, sizes).map_err(refused)?;
    folder::write_graph(&graph, folder)
}

fn reader<'r>(registry: &'r Registry, file: &ModelFile<'_>) -> Result<&'r dyn NetworkReader> {
    let readers = &registry.network_readers;
    let found = readers.iter().find(|reader| reader.recognizes(file));
    found.map(|reader| reader.as_ref()).ok_or_else(|| {
        let mut known: Vec<&str> = readers.iter().map(|reader| reader.format()).collect();
        known.sort_unstable();
        EngineError::study(format!("no format that is known: {}", known.join(", ")))
    })
}

fn refused(error: ImportError) -> EngineError {
    let text = error.to_string();
    // Some reasons bring what to do with them.
    let (reason, hint) = match text.split_once("\nhint: ") {
        Some((reason, hint)) => (reason.to_owned(), Some(hint.to_owned())),
        None => (text, None),
    };
    let kind = match error {
        ImportError::Run(_) => ErrorKind::Step,
        _ => ErrorKind::Study,
    };
    let refused = EngineError::new(kind, reason).with_source(error);
    match hint {
        Some(hint) => refused.with_hint(hint),
        None => refused,
    }
}

/// Runs both on images of noise.
fn compare(
    registry: &Registry,
    reader: &dyn NetworkReader,
    network: &ImportedNetwork,
    file: &ModelFile<'_>,
    sizes: &OpenSizes,
) -> Result<Option<Agreement>> {
    let mut rng = random::generator(SEED, &["import"]);
    let mut image = || -> Vec<f32> {
        (0..network.graph.input.elements()).map(|_| rng.random_range(-2.0..2.0)).collect()
    };
    let images: Vec<Vec<f32>> = (0..IMAGES).map(|_| image()).collect();
    let Some(theirs) = reader.run(file, sizes, &images).map_err(refused)? else { return Ok(None) };
    let failed = |reason: String| EngineError::new(ErrorKind::Step, reason);
    if let Some(number) = theirs.iter().flatten().find(|number| !number.is_finite()) {
        let hint = "look for weights that are no numbers, and for variances below 0";
        let reason = format!("the network itself gives {number} for images of noise");
        return Err(EngineError::study(reason).with_hint(hint));
    }
    // That of the file's own format, if there is one.
    let mut runs: Vec<_> =
        registry.targets.values().filter(|target| target.has_runtime()).collect();
    runs.retain(|target| target.description().executes);
    let is_other = |format: &str| !format.eq_ignore_ascii_case(reader.format());
    runs.sort_by_key(|target| is_other(&target.description().model_format));
    let runtime = runs.iter().find_map(|target| target.runtime().ok());
    let runtime = runtime.ok_or_else(|| failed("there is no runtime to compare with".into()))?;
    let ours = results(&*runtime, network, &images)?;
    let mut relative_error = 0.0f64;
    for (mut ours, theirs) in ours.into_iter().zip(theirs) {
        if network.softmax {
            softmax(&mut ours);
        }
        let error = relative(&ours, &theirs).ok_or_else(|| {
            let (ours, theirs) = (ours.len(), theirs.len());
            failed(format!("it gives {theirs} numbers, what was made of it {ours}, or no numbers"))
        })?;
        relative_error = relative_error.max(error);
    }
    if relative_error > TOLERANCE {
        let hint = "this is a mistake in Spacewright: please report it with the file";
        let reason = format!(
            "what was made of it gives other results: they differ by {relative_error:.1e} of the largest \
             number, and {TOLERANCE:.0e} is allowed"
        );
        return Err(failed(reason).with_hint(hint));
    }
    Ok(Some(Agreement { runtime: runtime.fingerprint(), images: IMAGES, relative_error }))
}

fn results(
    runtime: &dyn Runtime,
    network: &ImportedNetwork,
    images: &[Vec<f32>],
) -> Result<Vec<Vec<f32>>> {
    let failed = |reason: &dyn ToString| EngineError::new(ErrorKind::Step, reason.to_string());
    let folded = fold_float(&network.graph, &network.weights).map_err(|error| failed(&error))?;
    let written = runtime.write_float(&folded, &ModelInfo::default());
    let written = written.map_err(|error| failed(&error.reason))?;
    let mut loaded = runtime.load(&written).map_err(|error| failed(&error.reason))?;
    images.iter().map(|image| loaded.run(image).map_err(|error| failed(&error.reason))).collect()
}

fn softmax(numbers: &mut [f32]) {
    let largest = numbers.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    numbers.iter_mut().for_each(|number| *number = (*number - largest).exp());
    let sum: f32 = numbers.iter().sum();
    numbers.iter_mut().for_each(|number| *number /= sum);
}

/// The largest difference over the largest number of the second; `None` where there is no such number.
fn relative(ours: &[f32], theirs: &[f32]) -> Option<f64> {
    let finite = ours.iter().chain(theirs).all(|number| number.is_finite());
    if ours.len() != theirs.len() || !finite {
        return None;
    }
    let largest = theirs.iter().fold(0.0f64, |most, number| most.max(f64::from(number.abs())));
    let differences = ours.iter().zip(theirs).map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs());
    let difference = differences.fold(0.0, f64::max);
    Some(if difference == 0.0 { 0.0 } else { difference / largest })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_relative_to_the_largest_number() {
        assert_eq!(relative(&[1.0, -4.0], &[1.0, -4.0]), Some(0.0));
        assert_eq!(relative(&[1.5, -4.0], &[1.0, -4.0]), Some(0.125));
        assert_eq!(relative(&[0.0], &[0.0]), Some(0.0));
        assert_eq!(relative(&[1.0], &[0.0]), Some(f64::INFINITY));
        assert_eq!(relative(&[f32::NAN], &[0.0]), None);
        assert_eq!(relative(&[1.0], &[1.0, 2.0]), None);
    }

    #[test]
    fn shares_of_a_softmax_add_up() {
        let mut numbers = [1000.0, 1000.0 + 3.0f32.ln()];
        softmax(&mut numbers);
        assert!((numbers[0] - 0.25).abs() < 1e-4 && (numbers[1] - 0.75).abs() < 1e-4);
    }
}
