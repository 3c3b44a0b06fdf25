//! The published measurements as sums of kernels.

use std::{collections::HashMap, error::Error, fs, path::Path};

use spacewright_core::{
    graph::Shape,
    kernel::{FusionRules, Kernel, KernelReader},
    latency::Position,
    operators::{BlockRequest, Operators},
    space::{BlockChoice, Hyperspace},
};
use spacewright_latency_model::{KernelSums, kernel_sums_of_blocks, read_blocks};
use spacewright_operators_cnn::operator_sets;
use spacewright_spaceevo::{
    hyperspaces::built_in,
    tables::published::{PublishedRow, read_rows},
};

/// Rows, with what is told apart when they are held out.
pub struct Published {
    pub rows: KernelSums,
    /// Widths of each row's blocks, that of its input included.
    pub widths: Vec<Vec<u64>>,
    /// The block type of each row.
    pub blocks: Vec<String>,
}

/// Widths that are fixed in every network, and so are never new: image, head.
const FIXED_WIDTHS: [usize; 3] = [3, 1280, 1920];

/// `vnni-block-latency.csv`.
pub fn intel_vnni(folder: &Path) -> Result<Published, Box<dyn Error>> {
    let file = "vnni-block-latency.csv";
    let operators = Operators::new(operator_sets()).unwrap();
    let blocks = read_blocks(file, &fs::read_to_string(folder.join(file))?, &operators)?;
    let rows = kernel_sums_of_blocks(file, &blocks, &operators, &FusionRules::common())?;
    let widths = |request: &BlockRequest| {
        let widths = [request.input.channels, request.out_channels];
        let free = widths.into_iter().filter(|width| !FIXED_WIDTHS.contains(width));
        free.map(|width| width as u64).collect()
    };
    Ok(Published {
        rows,
        widths: blocks.iter().map(|block| widths(&block.request)).collect(),
        blocks: blocks.into_iter().map(|block| block.request.block).collect(),
    })
}

/// The tables of a hyperspace.
pub fn tables(folder: &Path, hyperspace: &str) -> Result<Published, Box<dyn Error>> {
    let hyperspace = built_in(hyperspace).ok_or("no such hyperspace")?;
    let folder = folder.join("spaceevo-block-lut");
    let mut blocks = Blocks::new(&hyperspace);
    let mut published =
        Published { rows: KernelSums::default(), widths: Vec::new(), blocks: Vec::new() };
    let mut kernels = Vec::new();
    for PublishedRow { row, latency_ms, .. } in read_rows(&folder, &hyperspace)? {
        let size = hyperspace.input_side(row.stage, row.resolution);
        let mut shape = Shape::square(row.input_width, size);
        let mut widths = vec![row.input_width as u64];
        let mut stride = hyperspace.choice_stage(row.stage, row.block, None).stride;
        kernels.clear();
        for choice in &row.sub_stage.blocks {
            shape = blocks.append(row.block, shape, stride, choice, &mut kernels)?;
            widths.push(choice.width as u64);
            stride = 1;
        }
        published.rows.push(&kernels, latency_ms, 1.0);
        published.widths.push(widths);
        published.blocks.push(hyperspace.candidates[row.block].block.clone());
    }
    Ok(published)
}

type BlockKey = (usize, Shape, usize, usize, Vec<u64>);

/// Kernels of blocks, each built once.
struct Blocks<'a> {
    hyperspace: &'a Hyperspace,
    operators: Operators,
    reader: KernelReader,
    known: HashMap<BlockKey, (Vec<Kernel>, Shape)>,
}

impl<'a> Blocks<'a> {
    fn new(hyperspace: &'a Hyperspace) -> Self {
        Self {
            hyperspace,
            operators: Operators::new(operator_sets()).unwrap(),
            reader: KernelReader::new(&FusionRules::common()),
            known: HashMap::new(),
        }
    }

    fn append(
        &mut self,
        block: usize,
        input: Shape,
        stride: usize,
        choice: &BlockChoice,
        kernels: &mut Vec<Kernel>,
    ) -> Result<Shape, Box<dyn Error>> {
        let candidate = &self.hyperspace.candidates[block];
        let config = choice.config.0.values().map(|value| value.to_bits()).collect();
        let key = (block, input, stride, choice.width, config);
        if !self.known.contains_key(&key) {
            let graph = self.operators.graph(&BlockRequest {
                block: candidate.block.clone(),
                input,
                out_channels: choice.width,
                stride,
                activation: candidate.activation,
                config: choice.config.clone(),
            })?;
            let known = (self.reader.kernels(&graph, Position::Inside)?, graph.output_shape()?);
            self.known.insert(key.clone(), known);
        }
        let (of, output) = &self.known[&key];
        kernels.extend(of);
        Ok(*output)
    }
}
