//! Reads published block latencies.

use csv::{ReaderBuilder, StringRecord, Trim};
use spacewright_core::{
    graph::{ActivationKind, Shape},
    kernel::{FusionError, FusionRules, KernelReader},
    latency::Position,
    operators::{BlockConfig, BlockRequest, OperatorError, Operators},
};
use thiserror::Error;

use crate::kernel_sums::KernelSums;

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
    pub line: u64,
    /// The block as the file names it.
    pub name: String,
    /// The block.
    pub request: BlockRequest,
    /// Measured time.
    pub ms: f64,
}

/// What is wrong with a file of measurements, and where.
#[derive(Debug, Error)]
#[error("{file}, line {line}: {source}")]
pub struct ReadError {
    /// The file.
    pub file: String,
    /// Counted from 1.
    pub line: u64,
    /// What is wrong with the line.
    pub source: Box<LineError>,
}

/// What is wrong with a line of a file of measurements.
#[derive(Debug, Error)]
pub enum LineError {
    /// The header lacks columns.
    #[error(
        "there is no column `{}`; found are {}; needed are {}",
        missing.join("`, `"), found.join(", "), COLUMNS.join(", ")
    )]
    MissingColumns {
        /// Names of the columns.
        missing: Vec<&'static str>,
        /// Names of the columns that there are.
        found: Vec<String>,
    },
    /// The line has more or fewer fields than the header.
    #[error("{found} columns, needs {needed}")]
    Fields {
        /// How many the line has.
        found: u64,
        /// How many the header has.
        needed: u64,
    },
    /// No CSV.
    #[error(transparent)]
    Csv(csv::Error),
    /// A field has a value that its column cannot have.
    #[error("{column} `{found}` is not {allowed}")]
    Field {
        /// Name of the column.
        column: &'static str,
        /// The value.
        found: String,
        /// What is allowed, in words.
        allowed: &'static str,
    },
    /// There is no such block, or not with these choices.
    #[error(transparent)]
    Operator(#[from] OperatorError),
    /// The graph of the block has no kernels that can be told apart.
    #[error(transparent)]
    Fusion(#[from] FusionError),
    /// The graph of the block has no kernel at all.
    #[error("block `{block}` has no kernel")]
    NoKernel {
        /// The block as the file names it.
        block: String,
    },
}

impl From<csv::Error> for LineError {
    fn from(error: csv::Error) -> Self {
        match *error.kind() {
            csv::ErrorKind::UnequalLengths { len, expected_len, .. } => {
                Self::Fields { found: len, needed: expected_len }
            }
            _ => Self::Csv(error),
        }
    }
}

const COLUMNS: [&str; 9] =
    ["block", "input_hw", "cin", "cout", "kernel", "expand", "stride", "activation", "latency_ms"];

/// Where each of [`COLUMNS`] stands in a file.
struct Header([usize; COLUMNS.len()]);

impl Header {
    fn new(record: &StringRecord) -> Result<Self, LineError> {
        let mut places = [0; COLUMNS.len()];
        let mut missing = Vec::new();
        for (place, column) in places.iter_mut().zip(COLUMNS) {
            match record.iter().position(|name| name.eq_ignore_ascii_case(column)) {
                Some(found) => *place = found,
                None => missing.push(column),
            }
        }
        if missing.is_empty() {
            return Ok(Self(places));
        }
        // Of what is no table at all, the beginning is enough.
        let shown = |name: &str| name.chars().take(40).flat_map(char::escape_default).collect();
        Err(LineError::MissingColumns {
            missing,
            found: record.iter().take(20).map(shown).collect(),
        })
    }
}

/// One line after the header.
struct Line<'a> {
    header: &'a Header,
    record: &'a StringRecord,
}

impl Line<'_> {
    fn text(&self, column: &'static str) -> &str {
        let columns = COLUMNS.iter().zip(self.header.0);
        let place = columns.filter(|(known, _)| **known == column).map(|(_, place)| place).next();
        place.and_then(|place| self.record.get(place)).unwrap_or_default()
    }

    fn parse<T>(
        &self,
        column: &'static str,
        allowed: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, LineError> {
        let text = self.text(column);
        let error = || LineError::Field { column, found: text.to_owned(), allowed };
        parse(text).ok_or_else(error)
    }

    fn count(&self, column: &'static str) -> Result<usize, LineError> {
        self.parse(column, "a positive whole number", |text| {
            text.parse().ok().filter(|count| *count > 0)
        })
    }

    fn block(&self, line: u64, operators: &Operators) -> Result<BlockLatency, LineError> {
        let name = self.text("block");
        let known = BLOCKS.iter().find(|(published, _)| *published == name);
        let block = operators.block_type(known.map_or(name, |(_, block)| block))?;
        let mut config = BlockConfig::default();
        for axis in ["kernel", "expand"] {
            if self.text(axis) == "None" || !block.axes.iter().any(|known| known == axis) {
                continue;
            }
            let finite = |text: &str| number(text).filter(|value| value.is_finite());
            config.0.insert(axis.to_owned(), self.parse(axis, "a number", finite)?);
        }
        let request = BlockRequest {
            block: block.name.clone(),
            input: Shape::square(self.count("cin")?, self.count("input_hw")?),
            out_channels: self.count("cout")?,
            stride: self.count("stride")?,
            activation: self.parse("activation", "the name of an activation", activation)?,
            config,
        };
        let ms = self.parse("latency_ms", "a positive number", |text| {
            number(text).filter(|ms| ms.is_finite() && *ms > 0.0)
        })?;
        Ok(BlockLatency { line, name: name.to_owned(), request, ms })
    }
}

/// A number, with a decimal point or, as spreadsheets of many languages write it, a comma.
fn number(text: &str) -> Option<f64> {
    text.replace(',', ".").parse().ok()
}

/// An activation's name, with or without underscores: `h_swish` or `hswish`.
fn activation(text: &str) -> Option<ActivationKind> {
    let plain = |name: &str| name.replace('_', "");
    ActivationKind::ALL.into_iter().find(|kind| plain(kind.name()) == plain(text))
}

/// Reads block latencies from CSV with the columns block, input_hw, cin, cout, kernel, expand,
/// stride, activation, latency_ms (in ms), in any order, among others. A block is named by its type or as
/// in nn-Meter's history; `None` stands for axes that it does not have. What spreadsheets add is
/// understood: a byte order mark, quotes, semicolons or tabs between the fields. `file` names the file in
/// errors.
pub fn read_blocks(
    file: &str,
    text: &str,
    operators: &Operators,
) -> Result<Vec<BlockLatency>, ReadError> {
    let at_line = |line, error| ReadError { file: file.to_owned(), line, source: Box::new(error) };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = ReaderBuilder::new()
        .trim(Trim::All)
        .delimiter(separator(text))
        .from_reader(text.as_bytes());
    let header = reader.headers().map_err(LineError::from).and_then(Header::new);
    let header = header.map_err(|error| at_line(1, error))?;
    let mut blocks = Vec::new();
    for record in reader.records() {
        let record =
            record.map_err(|error| at_line(line_of(text, error.position()), error.into()))?;
        let line = line_of(text, record.position());
        let block = Line { header: &header, record: &record }.block(line, operators);
        blocks.push(block.map_err(|error| at_line(line, error))?);
    }
    Ok(blocks)
}

/// What stands between the names of the columns.
fn separator(text: &str) -> u8 {
    let header = text.lines().next().unwrap_or_default();
    let count = |separator: &u8| header.bytes().filter(|byte| byte == separator).count();
    // The last of equally frequent ones is taken.
    [b'\t', b';', b','].into_iter().max_by_key(count).unwrap_or(b',')
}

/// The line of a record. Its position is where reading went on, which is before blank lines.
fn line_of(text: &str, position: Option<&csv::Position>) -> u64 {
    let Some(position) = position else { return 1 };
    let rest = text.bytes().skip(position.byte() as usize);
    let blank = rest.take_while(|byte| b"\r\n".contains(byte)).filter(|byte| *byte == b'\n');
    position.line() + blank.count() as u64
}

/// The measured blocks as sums of kernels, in their order. `file` names the file in errors.
pub fn kernel_sums_of_blocks(
    file: &str,
    blocks: &[BlockLatency],
    operators: &Operators,
    rules: &FusionRules,
) -> Result<KernelSums, ReadError> {
    let mut reader = KernelReader::new(rules);
    let mut sums = KernelSums::default();
    let mut kernels = Vec::new();
    let mut push = |block: &BlockLatency| {
        let graph = operators.graph(&block.request)?;
        kernels.clear();
        reader.append(&graph, Position::Inside, &mut kernels)?;
        if !sums.push(&kernels, block.ms, 1.0) {
            return Err(LineError::NoKernel { block: block.name.clone() });
        }
        Ok(())
    };
    for block in blocks {
        push(block).map_err(|error| ReadError {
            file: file.to_owned(),
            line: block.line,
            source: Box::new(error),
        })?;
    }
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use spacewright_core::{
        graph::{ConvSpec, Graph, GraphBuilder},
        operators::{BlockType, OperatorSet},
    };

    use super::*;

    /// An expanding and a projecting convolution, or a convolution behind a global pool.
    struct Blocks;

    impl OperatorSet for Blocks {
        fn name(&self) -> &str {
            "blocks"
        }

        fn block_types(&self) -> Vec<BlockType> {
            let block = |name: &str, axes: &[&str]| BlockType {
                name: name.into(),
                summary: String::new(),
                axes: axes.iter().map(|axis| (*axis).into()).collect(),
            };
            vec![block("resnet", &["kernel", "expand"]), block("feature-mix", &[])]
        }

        fn graphs(&self, requests: &[BlockRequest]) -> Result<Vec<Graph>, OperatorError> {
            let graph = |r: &BlockRequest| {
                let mut b = GraphBuilder::new(r.input);
                let mut x = b.input();
                if r.block == "resnet" {
                    let hidden = (r.axis("expand")? * r.out_channels as f64) as usize;
                    let spec = ConvSpec::new(hidden, r.count("kernel")?).stride(r.stride);
                    x = b.conv_bn_act("conv", x, spec, r.activation);
                } else {
                    x = b.global_avg_pool("pool", x);
                }
                let x = b.conv_bn_act("project", x, ConvSpec::new(r.out_channels, 1), r.activation);
                Ok(b.finish(x))
            };
            requests.iter().map(graph).collect()
        }
    }

    fn operators() -> Operators {
        Operators::new([Arc::new(Blocks) as Arc<dyn OperatorSet>]).unwrap()
    }

    const HEADER: &str = "block,input_hw,cin,cout,kernel,expand,stride,activation,latency_ms";

    #[test]
    fn blocks_become_sums_of_kernels() {
        let text = format!(
            "{HEADER}\nResNet,14,96,112,5,2.0,1,hswish,0.912\n\n\
             feature-mix , 7, 1280, 1920, 1, None, 1, h_swish, 0.29\n"
        );
        let blocks = read_blocks("b.csv", &text, &operators()).unwrap();
        assert_eq!((blocks[0].line, blocks[1].line), (2, 4));
        assert_eq!(blocks[0].request.config.to_string(), "kernel=5 expand=2");
        let rules = FusionRules::common();
        let sums = kernel_sums_of_blocks("b.csv", &blocks, &operators(), &rules).unwrap();
        let kernels: Vec<String> = sums.kernels().iter().map(ToString::to_string).collect();
        assert_eq!(
            kernels,
            [
                "conv-k5s1 14x14 96->224",
                "act 14x14 224",
                "conv-k1s1 14x14 224->112",
                "act 14x14 112",
                "gap 7x7 1280",
                "conv-k1s1 1x1 1280->1920",
                "act 1x1 1920",
            ]
        );
        assert_eq!(sums.ms(), [0.912, 0.29]);
    }

    #[test]
    fn columns_stand_in_any_order() {
        let text = "latency_ms,cpu,block,input_hw,cin,cout,kernel,expand,stride,activation\n\
                    2.5,x,ResNet,7,8,16,3,1.0,1,relu\n";
        let blocks = read_blocks("b.csv", text, &operators()).unwrap();
        assert_eq!((blocks[0].ms, blocks[0].request.out_channels), (2.5, 16));
    }

    #[test]
    fn what_spreadsheets_write_is_understood() {
        let plain = format!("{HEADER}\nResNet,7,8,16,3,1.0,1,relu,2.5\n");
        let expected = read_blocks("b.csv", &plain, &operators()).unwrap();
        let quoted = plain
            .lines()
            .map(|line| format!("\"{}\"\r\n", line.replace(',', "\",\"")))
            .collect::<String>();
        let semicolons = plain.replace(',', ";").replace('.', ",");
        let variants = [
            format!("\u{feff}{plain}"),
            format!("\u{feff}{quoted}"),
            semicolons,
            plain.replace(',', "\t"),
            plain.replace(HEADER, &HEADER.to_uppercase()),
        ];
        for text in variants {
            assert_eq!(read_blocks("b.csv", &text, &operators()).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn faults_are_named_with_file_and_line() {
        let read = |text: &str| read_blocks("b.csv", text, &operators()).unwrap_err().to_string();
        for (line, fault) in [
            ("ResNet,7", "2 columns, needs 9"),
            ("ResNet,0,8,8,3,1.0,1,relu,1", "input_hw `0` is not a positive whole number"),
            ("ResNet,7,8,8,3,much,1,relu,1", "expand `much` is not a number"),
            ("ResNet,7,8,8,3,1.0,1,gelu,1", "activation `gelu` is not the name of an activation"),
            ("ResNet,7,8,8,3,1.0,1,relu,-1", "latency_ms `-1` is not a positive number"),
            (
                "Inception,7,8,8,3,1.0,1,relu,1",
                "no block type `Inception`; known are feature-mix, resnet",
            ),
        ] {
            let first = "ResNet,7,8,8,3,1.0,1,relu,1";
            let text = format!("{HEADER}\n{first}\n{line}\n");
            assert_eq!(read(&text), format!("b.csv, line 3: {fault}"));
        }
        let needed = "needed are block, input_hw, cin, cout, kernel, expand, stride, activation, \
                      latency_ms";
        let found = "found are block, input_hw, cin, cout, kernel, expand, step, activation, ms";
        let missing =
            format!("b.csv, line 1: there is no column `stride`, `latency_ms`; {found}; {needed}");
        let header = HEADER.replace("stride", "step").replace("latency_ms", "ms");
        assert_eq!(read(&header), missing);
        assert!(read("").starts_with("b.csv, line 1: there is no column `block`, `input_hw`"));
        assert!(read("\u{1b}[2J\n").contains("found are \\u{1b}[2J;"));
        let text = format!("{HEADER}\nResNet,7,8,8,3,None,1,relu,1\n");
        let blocks = read_blocks("b.csv", &text, &operators()).unwrap();
        let rules = FusionRules::common();
        let error = kernel_sums_of_blocks("b.csv", &blocks, &operators(), &rules).unwrap_err();
        let fault = "b.csv, line 2: block `resnet` needs a value for its axis `expand`";
        assert_eq!(error.to_string(), fault);
    }
}
