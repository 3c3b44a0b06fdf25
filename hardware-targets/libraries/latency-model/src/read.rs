//! Reads published block latencies.

use spacewright_core::{
    graph::{ActivationKind, Shape},
    kernel::{FusionRules, KernelReader},
    latency::Position,
    operators::{BlockConfig, BlockRequest, Operators},
};
use thiserror::Error;

use crate::rows::Rows;

/// The columns, in their order.
const COLUMNS: [&str; 9] =
    ["block", "input_hw", "cin", "cout", "kernel", "expand", "stride", "activation", "latency_ms"];

/// Names of blocks in nn-Meter's history and of their block types.
const BLOCKS: [(&str, &str); 15] = [
    ("FirstConv", "conv"),
    ("FinalExpand", "conv"),
    ("FeatureMix", "feature-mix"),
    ("Logits", "logits"),
    ("MobileNetV1", "mobilenet-v1"),
    ("MobileNetV1Dual", "mobilenet-v1-dual"),
    ("MobileNetV2", "mobilenet-v2"),
    ("MobileNetV2Res", "mobilenet-v2-res"),
    ("MobileNetV3Res", "mobilenet-v3-res"),
    ("MobileNetV2K3Res", "mobilenet-v2-k3-res"),
    ("MobileNetV3K3Res", "mobilenet-v3-k3-res"),
    ("ResNet", "resnet"),
    ("ResNetSE", "resnet-se"),
    ("FusedMBConvRes", "fused-mbconv-res"),
    ("FusedMBConvSERes", "fused-mbconv-se-res"),
];

/// One measured block.
#[derive(Debug, Clone, PartialEq)]
pub struct BlockLatency {
    /// Line of the file, counted from 1.
    pub line: usize,
    /// The block as the file names it.
    pub name: String,
    /// The block.
    pub request: BlockRequest,
    /// Measured time.
    pub ms: f64,
}

/// What is wrong with a file of measurements, and where.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{file}, line {line}: {reason}")]
pub struct ReadError {
    /// The file.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// What is wrong and what is allowed.
    pub reason: String,
}

/// Reads block latencies from CSV with the columns block, input_hw, cin, cout, kernel, expand,
/// stride, activation, latency_ms (in ms). A block is named by its type or as in nn-Meter's
/// history; `None` stands for axes that it does not have. `file` names the file in errors.
pub fn read_blocks(
    file: &str,
    text: &str,
    operators: &Operators,
) -> Result<Vec<BlockLatency>, ReadError> {
    let wrong = |line, reason| ReadError { file: file.to_owned(), line, reason };
    let mut lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    let header = COLUMNS.join(",");
    match lines.next() {
        Some((_, line)) if line.split(',').map(str::trim).eq(COLUMNS) => {}
        Some((number, _)) => return Err(wrong(number, format!("the columns must be {header}"))),
        None => return Err(wrong(1, format!("empty; the columns must be {header}"))),
    }
    let block = |(line, text): (usize, &str)| {
        read_line(line, text.trim(), operators).map_err(|reason| wrong(line, reason))
    };
    lines.map(block).collect()
}

fn read_line(line: usize, text: &str, operators: &Operators) -> Result<BlockLatency, String> {
    let fields: Vec<&str> = text.split(',').map(str::trim).collect();
    let Ok(fields): Result<[&str; 9], _> = fields.try_into() else {
        return Err(format!("{} columns, needs 9", text.split(',').count()));
    };
    let name = fields[0];
    let known = BLOCKS.iter().find(|(published, _)| *published == name);
    let block = known.map_or(name, |(_, block)| block);
    let block = operators.block_type(block).map_err(|error| error.to_string())?;
    let count = |column: usize| {
        let value = fields[column].parse::<usize>().ok().filter(|value| *value > 0);
        value.ok_or_else(|| {
            format!("{} `{}` is not a positive whole number", COLUMNS[column], fields[column])
        })
    };
    let mut config = BlockConfig::default();
    for (column, axis) in [(4, "kernel"), (5, "expand")] {
        if fields[column] == "None" || !block.axes.iter().any(|known| known == axis) {
            continue;
        }
        let value = fields[column].parse::<f64>().ok().filter(|value| value.is_finite());
        let value = value.ok_or_else(|| format!("{axis} `{}` is not a number", fields[column]))?;
        config.0.insert(axis.to_owned(), value);
    }
    let activation = ActivationKind::ALL
        .into_iter()
        .find(|kind| kind.name().replace('_', "") == fields[7].replace('_', ""));
    let ms = fields[8].parse::<f64>().ok().filter(|ms| ms.is_finite() && *ms > 0.0);
    Ok(BlockLatency {
        line,
        name: name.to_owned(),
        request: BlockRequest {
            block: block.name.clone(),
            input: Shape::square(count(2)?, count(1)?),
            out_channels: count(3)?,
            stride: count(6)?,
            activation: activation
                .ok_or_else(|| format!("there is no activation `{}`", fields[7]))?,
            config,
        },
        ms: ms.ok_or_else(|| format!("latency_ms `{}` is not a positive number", fields[8]))?,
    })
}

/// The rows of measured blocks, in their order. `file` names the file in errors.
pub fn rows_of_blocks(
    file: &str,
    blocks: &[BlockLatency],
    operators: &Operators,
    rules: &FusionRules,
) -> Result<Rows, ReadError> {
    let mut reader = KernelReader::new(rules);
    let mut rows = Rows::default();
    let mut kernels = Vec::new();
    for block in blocks {
        let wrong = |reason: String| ReadError { file: file.to_owned(), line: block.line, reason };
        let graph = operators.graph(&block.request).map_err(|error| wrong(error.to_string()))?;
        kernels.clear();
        reader
            .append(&graph, Position::Inside, &mut kernels)
            .map_err(|error| wrong(error.to_string()))?;
        if !rows.push(&kernels, block.ms, 1.0) {
            return Err(wrong(format!("block `{}` has no kernel", block.name)));
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use spacewright_operators_cnn::operator_sets;

    use super::*;

    fn read(line: &str) -> Result<Vec<BlockLatency>, String> {
        let text = format!("{}\n{line}\n", COLUMNS.join(","));
        read_blocks("b.csv", &text, &Operators::new(operator_sets())).map_err(|e| e.to_string())
    }

    #[test]
    fn blocks_become_rows() {
        let blocks = read(
            "MobileNetV3Res,14,96,112,5,6.0,1,hswish,0.912\n\
             feature-mix,7,1280,1920,1,None,1,hswish,0.29",
        )
        .unwrap();
        assert_eq!((blocks[0].line, blocks[1].line), (2, 3));
        assert_eq!(blocks[0].request.config.to_string(), "kernel=5 expand=6");
        let operators = Operators::new(operator_sets());
        let rows = rows_of_blocks("b.csv", &blocks, &operators, &FusionRules::common()).unwrap();
        let kernels: Vec<String> = rows.kernels().iter().map(ToString::to_string).collect();
        assert_eq!(
            kernels,
            [
                "conv-k1s1 14x14 96->576",
                "act 14x14 576",
                "dwconv-k5s1 14x14 576",
                "se 14x14 576->144",
                "conv-k1s1 14x14 576->112",
                "conv-k1s1 14x14 96->112",
                "add 14x14 112",
                "gap 7x7 1280",
                "conv-k1s1 1x1 1280->1920",
                "act 1x1 1920",
            ]
        );
        assert_eq!(rows.row(0).counts[1], (1, 2.0), "both activations have one shape");
        assert_eq!(rows.ms(), [0.912, 0.29]);
    }

    #[test]
    fn faults_are_named_with_file_and_line() {
        for (line, fault) in [
            ("ResNet,7", "2 columns, needs 9"),
            ("ResNet,0,8,8,3,1.0,1,relu,1", "input_hw `0` is not a positive whole number"),
            ("ResNet,7,8,8,3,much,1,relu,1", "expand `much` is not a number"),
            ("ResNet,7,8,8,3,1.0,1,gelu,1", "there is no activation `gelu`"),
            ("ResNet,7,8,8,3,1.0,1,relu,-1", "latency_ms `-1` is not a positive number"),
        ] {
            assert_eq!(read(line).unwrap_err(), format!("b.csv, line 2: {fault}"));
        }
        let unknown = read("Inception,7,8,8,3,1.0,1,relu,1").unwrap_err();
        assert!(unknown.starts_with("b.csv, line 2: no block type `Inception`; known are"));
        let operators = Operators::new(operator_sets());
        let empty = read_blocks("b.csv", "", &operators).unwrap_err().to_string();
        assert!(empty.starts_with("b.csv, line 1: empty; the columns must be block,"));
        let blocks = read("ResNet,7,8,8,3,None,1,relu,1").unwrap();
        let rules = FusionRules::common();
        let error = rows_of_blocks("b.csv", &blocks, &operators, &rules).unwrap_err().to_string();
        assert_eq!(error, "b.csv, line 2: block `resnet` needs a value for its axis `expand`");
    }
}
