//! `model`, and what all commands share that open model files.

use std::path::PathBuf;

use clap::{Args, Subcommand, value_parser};
use spacewright_core::foreign::OpenSizes;

#[derive(Debug, Subcommand)]
pub enum ModelCommand {
    /// Show the operators, shapes, scales and size of a model file, and how long it takes.
    Inspect(InspectArgs),
    /// Say which class images have: they are prepared as the model file says.
    Run(ModelRunArgs),
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

/// A model file, and the limits of the process that opens it.
#[derive(Debug, Args)]
pub struct ModelFileArgs {
    /// The file: ONNX or TFLite; it need not be one of Spacewright's.
    pub model: PathBuf,
    /// Whose runtime measures it, whatever the file's extension; by default the first target's
    /// with this format.
    #[arg(long)]
    pub target: Option<String>,
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

impl ModelFileArgs {
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
