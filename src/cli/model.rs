//! `model`, and what all commands share that open model files.

use std::path::PathBuf;

use super::ComputeArgs;
use clap::{Args, Subcommand, value_parser};
use spacewright_core::foreign::OpenSizes;

#[derive(Debug, Subcommand)]
pub enum ModelCommand {
    /// Show the operators, shapes, scales and size of a model file, and how long it takes.
    Inspect(InspectArgs),
    /// Say which class images have: they are prepared as the model file says.
    Run(ModelRunArgs),
    /// Read a trained network of another program into a folder: its graph, its weights, and a page about it.
    Import(ImportArgs),
    /// Quantize a trained network of another program, and say what it gains and loses.
    Quantize(QuantizeArgs),
}

#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The file of a trained image classifier: ONNX, whose weights may lie beside it, TFLite, safetensors by timm's
    /// names, or an old file of PyTorch with EfficientNet-Lite.
    pub model: PathBuf,
    /// The folder that is made: `graph.json`, `weights.safetensors` and `README.md`.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    #[command(flatten)]
    pub opening: OpeningArgs,
}

#[derive(Debug, Args)]
pub struct QuantizeArgs {
    /// The file of a trained image classifier, as `model import` reads it, or the folder that it makes.
    pub model: PathBuf,
    /// Images, in any layout that `data check` knows: those to train on choose the scales, on those to test on both
    /// files are run.
    #[arg(long, value_name = "PATH")]
    pub data: PathBuf,
    /// The folder that is made: the model files in floating point and in integers.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Whose integers, and whose runtime.
    #[arg(long, default_value = "host-ort")]
    pub target: String,
    /// What chooses the scales.
    #[arg(long, default_value = "min-max")]
    pub quantizer: String,
    /// Images from which they are chosen.
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = value_parser!(u32).range(1..))]
    pub calibration_images: u32,
    /// Steps in which scales and weights learn to answer as in floating point; 0: scales are only chosen.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub steps: usize,
    /// Images of such a step.
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = value_parser!(u32).range(1..))]
    pub batch: u32,
    /// Peak learning rate of such steps, by Adam.
    #[arg(long, value_name = "RATE", default_value_t = 3e-5, value_parser = super::positive)]
    pub learning_rate: f64,
    /// Images on which both files are run, of each class its share; 0: all to test on.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub test_images: usize,
    /// Leave out images that cannot be used, and count them.
    #[arg(long)]
    pub skip_bad_images: bool,
    /// Mean of red, green and blue in 0…1 with which the network was trained. Where neither it nor the next two are
    /// given, images are prepared as the file says, if it is one of Spacewright's; else by default that of
    /// ImageNet, 0.485,0.456,0.406.
    #[arg(long, value_delimiter = ',')]
    pub mean: Option<Vec<f64>>,
    /// Standard deviation, likewise; by default that of ImageNet, 0.229,0.224,0.225.
    #[arg(long, value_delimiter = ',')]
    pub std: Option<Vec<f64>>,
    /// Share of an image's shorter side that the network sees, in its middle; by default 0.875.
    #[arg(long, value_name = "SHARE")]
    pub crop_share: Option<f64>,
    #[command(flatten)]
    pub opening: OpeningArgs,
    #[command(flatten)]
    pub compute: ComputeArgs,
}

#[derive(Debug, Args)]
pub struct ModelRunArgs {
    #[command(flatten)]
    pub file: ModelFileArgs,
    /// Image files: JPEG, PNG, WebP or BMP.
    #[arg(required = true)]
    pub images: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub struct InspectArgs {
    #[command(flatten)]
    pub file: ModelFileArgs,
    /// Do not measure it.
    #[arg(long)]
    pub no_measuring: bool,
}

/// A model file, and how it is opened.
#[derive(Debug, Args)]
pub struct ModelFileArgs {
    /// The file: ONNX or TFLite; it need not be one of Spacewright's.
    pub model: PathBuf,
    /// Whose runtime runs or measures it, whatever the file's extension; by default the first target's
    /// with this format.
    #[arg(long)]
    pub target: Option<String>,
    #[command(flatten)]
    pub opening: OpeningArgs,
}

/// Limits of the process that opens a file, and what the file leaves open.
#[derive(Debug, Args)]
pub struct OpeningArgs {
    /// A size that the file leaves open; may be given several times. Dimensions without a name are
    /// called INPUT:DIMENSION, counted from 0.
    #[arg(long = "size", value_name = "NAME=N", value_parser = size)]
    pub sizes: Vec<(String, u64)>,
    /// How long the file may take to be opened and run once, and each run after that.
    #[arg(long, value_name = "SECONDS", default_value_t = 15, value_parser = value_parser!(u64).range(1..=86_400))]
    pub limit: u64,
    /// How much memory the process may use that opens it.
    #[arg(long, value_name = "GIB", default_value_t = 4, value_parser = value_parser!(u64).range(1..=4096))]
    pub memory: u64,
}

impl OpeningArgs {
    /// The sizes by name; of a name that is given twice the last.
    pub fn open_sizes(&self) -> OpenSizes {
        self.sizes.iter().cloned().collect()
    }
}

fn size(text: &str) -> Result<(String, u64), String> {
    let (name, size) = text.rsplit_once('=').ok_or("write it as NAME=N, such as batch=8")?;
    match size.parse::<u64>() {
        Ok(size) if size > 0 && !name.is_empty() => Ok((name.to_owned(), size)),
        _ => Err("write it as NAME=N, with a whole number above 0".into()),
    }
}
