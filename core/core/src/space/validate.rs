//! Checks of hyperspaces.

use std::collections::HashSet;

use thiserror::Error;

use super::{Candidate, Hyperspace};
use crate::{
    graph::ActivationKind,
    operators::{BlockConfig, BlockRequest, Operators},
};

/// Larger sizes, strides and depths are taken for mistakes. Products of sizes stay within 64 bits.
const LARGEST_SIZE: usize = 1 << 13;
const LARGEST_DEPTH: usize = 100;
/// Entries of a kind, such as stages: more are taken for mistakes.
const MOST_ENTRIES: usize = 100;
/// Values of one list, such as the widths of a stage.
const MOST_VALUES: usize = 1000;
/// Configurations of one block type, each of which has a graph when its stage is trained.
const MOST_CONFIGS: usize = 10_000;

/// What is wrong with a hyperspace, and where.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("hyperspace `{hyperspace}`: {field}: {reason}")]
pub struct HyperspaceError {
    /// Name of the hyperspace.
    pub hyperspace: String,
    /// The field, such as `stage[2].window`; positions count from 0.
    pub field: String,
    /// What is wrong and what is allowed.
    pub reason: String,
}

/// An error is a field and what is wrong with it.
type FieldCheck = Result<(), (String, String)>;

impl Hyperspace {
    /// Checks every field, block types against those that are loaded.
    pub fn validate(&self, operators: &Operators) -> Result<(), HyperspaceError> {
        self.check(operators).map_err(|(field, reason)| HyperspaceError {
            hyperspace: self.name.clone(),
            field,
            reason,
        })
    }

    fn check(&self, operators: &Operators) -> FieldCheck {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let named = self.name.contains(|c: char| c.is_ascii_alphabetic());
        require(named && self.name.chars().all(word), "name", || {
            "must be letters, digits and underscores, at least one letter".into()
        })?;
        for (field, count) in [("input_channels", self.input_channels), ("classes", self.classes)] {
            require((1..=LARGEST_SIZE).contains(&count), field, || {
                format!("{count} is not between 1 and {LARGEST_SIZE}")
            })?;
        }
        ascending("resolutions", &self.resolutions)?;
        ascending("table_resolutions", &self.table_resolutions)?;
        for (resolution, ms) in &self.fixed_latency_ms {
            require(ms.is_finite() && *ms >= 0.0, "fixed_latency_ms", || {
                format!("{resolution} = {ms} is not a time in milliseconds")
            })?;
        }
        for (field, entries) in [
            ("stem", self.stem.len()),
            ("candidate", self.candidates.len()),
            ("stage", self.stages.len()),
            ("head", self.head.len()),
        ] {
            require(entries > 0, field, || "needs at least one entry".into())?;
            require(entries <= MOST_ENTRIES, field, || {
                format!("{entries} entries; at most {MOST_ENTRIES} are allowed")
            })?;
        }
        self.check_names()?;
        for (index, candidate) in self.candidates.iter().enumerate() {
            check_candidate(&format!("candidate[{index}]"), candidate, operators)?;
        }
        self.check_stages(operators)?;
        self.check_head(operators)
    }

    fn check_names(&self) -> FieldCheck {
        let mut seen = HashSet::new();
        let stem = self.stem.iter().map(|stage| &stage.name);
        let stages = self.stages.iter().map(|stage| &stage.name);
        let head = self.head.iter().map(|block| &block.name);
        let kinds = [
            ("stem", stem.collect::<Vec<_>>()),
            ("stage", stages.collect()),
            ("head", head.collect()),
        ];
        for (kind, names) in kinds {
            for (index, name) in names.into_iter().enumerate() {
                let field = format!("{kind}[{index}].name");
                let plain = !name.is_empty()
                    && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
                require(plain, &field, || {
                    format!("`{name}` is not made of letters, digits, `_` and `-`")
                })?;
                require(seen.insert(name), &field, || format!("`{name}` is used twice"))?;
            }
        }
        Ok(())
    }

    fn check_stages(&self, operators: &Operators) -> FieldCheck {
        let mut divisor: usize = 1;
        for (index, stage) in self.stem.iter().enumerate() {
            let at = format!("stem[{index}]");
            check_stage(&at, stage.stride, &stage.widths, stage.depths)?;
            divisor = shrunk(&at, divisor, stage.stride)?;
            check_candidate(&at, &stage.candidate, operators)?;
        }
        for (index, stage) in self.stages.iter().enumerate() {
            let at = format!("stage[{index}]");
            check_stage(&at, stage.stride, &stage.widths, stage.depths)?;
            divisor = shrunk(&at, divisor, stage.stride)?;
            let most = stage.widths.len();
            require((1..=most).contains(&stage.window), &format!("{at}.window"), || {
                format!("{} is not between 1 and the number of widths, {most}", stage.window)
            })?;
        }
        Ok(())
    }

    fn check_head(&self, operators: &Operators) -> FieldCheck {
        for (index, head) in self.head.iter().enumerate() {
            let at = format!("head[{index}]");
            let axes: Vec<&str> = head.config.keys().map(|axis| &**axis).collect();
            check_block(&at, "config", &head.block, &axes, operators)?;
            require((1..=LARGEST_SIZE).contains(&head.width), &format!("{at}.width"), || {
                format!("{} is not between 1 and {LARGEST_SIZE}", head.width)
            })?;
            let config = BlockConfig(head.config.clone());
            probe(&format!("{at}.config"), &head.block, head.activation, config, operators)?;
        }
        let last = self.head.len() - 1;
        require(self.head[last].width == self.classes, &format!("head[{last}].width"), || {
            format!("{} is not the number of classes, {}", self.head[last].width, self.classes)
        })
    }
}

fn require(holds: bool, field: &str, reason: impl FnOnce() -> String) -> FieldCheck {
    if holds { Ok(()) } else { Err((field.to_owned(), reason())) }
}

fn few<T>(field: &str, values: &[T]) -> FieldCheck {
    let count = values.len();
    require(count <= MOST_VALUES, field, || {
        format!("{count} values; at most {MOST_VALUES} are allowed")
    })
}

fn ascending(field: &str, values: &[usize]) -> FieldCheck {
    few(field, values)?;
    let sorted = values.windows(2).all(|pair| pair[0] < pair[1]);
    require(!values.is_empty() && values[0] > 0 && sorted, field, || {
        format!("{values:?} is not a list of positive numbers, smallest first, each once")
    })?;
    let largest = values[values.len() - 1];
    require(largest <= LARGEST_SIZE, field, || format!("{largest} exceeds {LARGEST_SIZE}"))
}

fn check_stage(at: &str, stride: usize, widths: &[usize], depths: [usize; 2]) -> FieldCheck {
    require((1..=LARGEST_SIZE).contains(&stride), &format!("{at}.stride"), || {
        format!("{stride} is not between 1 and {LARGEST_SIZE}")
    })?;
    ascending(&format!("{at}.widths"), widths)?;
    let [fewest, most] = depths;
    require(1 <= fewest && fewest <= most && most <= LARGEST_DEPTH, &format!("{at}.depths"), || {
        format!("{depths:?} is not a fewest and a most number of blocks, from 1 to {LARGEST_DEPTH}")
    })
}

/// Product of the strides up to a stage.
fn shrunk(at: &str, before: usize, stride: usize) -> Result<usize, (String, String)> {
    let divisor = before * stride;
    require(divisor <= LARGEST_SIZE, &format!("{at}.stride"), || {
        format!("the strides up to here multiply to {divisor}, more than {LARGEST_SIZE}")
    })?;
    Ok(divisor)
}

fn check_candidate(at: &str, candidate: &Candidate, operators: &Operators) -> FieldCheck {
    let axes: Vec<&str> = candidate.choices.keys().map(|axis| &**axis).collect();
    check_block(at, "choices", &candidate.block, &axes, operators)?;
    for (axis, values) in &candidate.choices {
        let field = format!("{at}.choices.{axis}");
        few(&field, values)?;
        let sorted = values.windows(2).all(|pair| pair[0] < pair[1]);
        let finite = values.iter().all(|value| value.is_finite());
        require(!values.is_empty() && sorted && finite, &field, || {
            format!("{values:?} is not a list of numbers, smallest first, each once")
        })?;
        // Zero stands for "no such axis" in encodings of these two.
        let positive = !["kernel", "expand"].contains(&&**axis) || values[0] > 0.0;
        require(positive, &field, || format!("{values:?} must be positive"))?;
        for value in values {
            let mut config = candidate.smallest();
            config.0.insert(axis.clone(), *value);
            probe(&field, &candidate.block, candidate.activation, config, operators)?;
        }
    }
    let lengths = candidate.choices.values().map(Vec::len);
    let configs = lengths.fold(1, usize::saturating_mul);
    require(configs <= MOST_CONFIGS, &format!("{at}.choices"), || {
        format!("its values make {configs} configurations; at most {MOST_CONFIGS} are allowed")
    })
}

/// Lets the operator set say whether a block can be what is asked of it.
fn probe(
    field: &str,
    block: &str,
    activation: ActivationKind,
    config: BlockConfig,
    operators: &Operators,
) -> FieldCheck {
    let request = BlockRequest::probe(block, activation, config);
    operators.graph(&request).map(drop).map_err(|error| (field.to_owned(), error.to_string()))
}

fn check_block(
    at: &str,
    table: &str,
    block: &str,
    axes: &[&str],
    operators: &Operators,
) -> FieldCheck {
    let block =
        operators.block_type(block).map_err(|error| (format!("{at}.block"), error.to_string()))?;
    let known = match &block.axes[..] {
        [] => format!("block `{}` has no axes", block.name),
        axes => format!("the axes of block `{}` are {}", block.name, axes.join(", ")),
    };
    for axis in axes {
        require(block.axes.iter().any(|a| a == axis), &format!("{at}.{table}.{axis}"), || {
            format!("no such axis; {known}")
        })?;
    }
    for axis in &block.axes {
        require(axes.contains(&&**axis), &format!("{at}.{table}.{axis}"), || {
            format!("missing; {known}")
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::{
        graph::{ConvSpec, Graph, GraphBuilder},
        operators::{BlockRequest, BlockType, OperatorError, OperatorSet, Operators},
        space::{Hyperspace, testing},
    };

    struct Toy;

    impl OperatorSet for Toy {
        fn name(&self) -> &str {
            "toy"
        }

        fn block_types(&self) -> Vec<BlockType> {
            let block = |(name, axes): (&str, &[&str])| BlockType {
                name: name.into(),
                summary: String::new(),
                axes: axes.iter().map(|axis| (*axis).into()).collect(),
            };
            let types: [(&str, &[&str]); 4] = [
                ("plain", &["kernel"]),
                ("wide", &["kernel", "expand"]),
                ("odd", &["kernel", "split_ratio", "taps"]),
                ("classify", &[]),
            ];
            types.into_iter().map(block).collect()
        }

        fn graphs(&self, requests: &[BlockRequest]) -> Result<Vec<Graph>, OperatorError> {
            let graph = |request: &BlockRequest| {
                let kernel =
                    request.config.get("kernel").map_or(Ok(1), |_| request.count("kernel"))?;
                let mut b = GraphBuilder::new(request.input);
                let x = b.conv("conv", b.input(), ConvSpec::new(request.out_channels, kernel));
                Ok(b.finish(x))
            };
            requests.iter().map(graph).collect()
        }
    }

    fn operators() -> Operators {
        Operators::new([Arc::new(Toy) as Arc<dyn OperatorSet>]).unwrap()
    }

    #[test]
    fn a_sound_hyperspace_passes() {
        testing::hyperspace().validate(&operators()).unwrap();
    }

    #[test]
    fn faults_are_named_with_their_field() {
        type Fault = (fn(&mut Hyperspace), &'static str);
        let faults: [Fault; 18] = [
            (
                |h| h.name = "a-b".into(),
                "name: must be letters, digits and underscores, at least one letter",
            ),
            (
                |h| h.resolutions = vec![48, 32],
                "resolutions: [48, 32] is not a list of positive numbers, smallest first, each once",
            ),
            (|h| h.stages.clear(), "stage: needs at least one entry"),
            (|h| h.stages[1].name = "stem".into(), "stage[1].name: `stem` is used twice"),
            (
                |h| h.candidates[0].block = "plane".into(),
                "candidate[0].block: no block type `plane`; known are classify, odd, plain, wide",
            ),
            (
                |h| {
                    h.candidates[0].choices.insert("expand".into(), vec![1.0]);
                },
                "candidate[0].choices.expand: no such axis; the axes of block `plain` are kernel",
            ),
            (
                |h| {
                    h.candidates[1].choices.shift_remove("expand");
                },
                "candidate[1].choices.expand: missing; the axes of block `wide` are kernel, expand",
            ),
            (
                |h| h.candidates[1].choices[0] = vec![5.0, 3.0],
                "candidate[1].choices.kernel: [5.0, 3.0] is not a list of numbers, smallest first, each once",
            ),
            (
                |h| h.stages[0].widths = vec![16, 16],
                "stage[0].widths: [16, 16] is not a list of positive numbers, smallest first, each once",
            ),
            (
                |h| h.stages[0].window = 4,
                "stage[0].window: 4 is not between 1 and the number of widths, 3",
            ),
            (
                |h| h.stages[0].depths = [2, 1],
                "stage[0].depths: [2, 1] is not a fewest and a most number of blocks, from 1 to 100",
            ),
            (
                |h| h.candidates[1].choices[0] = vec![2.5, 3.0],
                "candidate[1].choices.kernel: block `wide`: kernel = 2.5 is not a positive whole number",
            ),
            (|h| h.resolutions = vec![32, 9000], "resolutions: 9000 exceeds 8192"),
            (
                |h| h.stages[0].depths = [1, 101],
                "stage[0].depths: [1, 101] is not a fewest and a most number of blocks, from 1 to 100",
            ),
            (
                |h| h.stages = vec![h.stages[0].clone(); 101],
                "stage: 101 entries; at most 100 are allowed",
            ),
            (
                |h| h.stages[0].widths = (1..=1001).collect(),
                "stage[0].widths: 1001 values; at most 1000 are allowed",
            ),
            (
                |h| {
                    let values = |step: usize| (1..=201).step_by(step).map(|value| value as f64);
                    h.candidates[1].choices.insert("kernel".into(), values(2).collect());
                    h.candidates[1].choices.insert("expand".into(), values(2).take(100).collect());
                },
                "candidate[1].choices: its values make 10100 configurations; at most 10000 are allowed",
            ),
            (|h| h.head[0].width = 11, "head[0].width: 11 is not the number of classes, 10"),
        ];
        for (spoil, message) in faults {
            let mut hyperspace = testing::hyperspace();
            spoil(&mut hyperspace);
            let name = hyperspace.name.clone();
            let error = hyperspace.validate(&operators()).unwrap_err();
            assert_eq!(error.to_string(), format!("hyperspace `{name}`: {message}"));
        }
    }
}
