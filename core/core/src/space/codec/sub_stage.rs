//! Encodings of sub-stages, as quality tables hold them.

use super::{EncodingError, Reporter, list, number, whole};
use crate::{
    operators::BlockConfig,
    space::{BlockChoice, ElasticStage, SubStage},
};

const MISSING: &str = "None";

impl SubStage {
    /// `kernel#width#expand` per block, then the values of other axes; blocks joined by `_`.
    pub fn encode(&self, stage: &ElasticStage) -> String {
        let block = |choice: &BlockChoice| {
            let value = |axis: &str| {
                choice.config.get(axis).map_or(MISSING.to_owned(), |value| value.to_string())
            };
            let mut tokens = vec![value("kernel"), choice.width.to_string(), value("expand")];
            tokens.extend(other_axes(stage).map(value));
            tokens.join("#")
        };
        self.blocks.iter().map(block).collect::<Vec<_>>().join("_")
    }

    /// Reads an encoding of a sub-stage of `stage`.
    pub fn parse(encoding: &str, stage: &ElasticStage) -> Result<Self, EncodingError> {
        let report = Reporter(encoding);
        let blocks = encoding
            .split('_')
            .enumerate()
            .map(|(index, text)| block(&report, stage, index + 1, text))
            .collect::<Result<Vec<_>, _>>()?;
        let [fewest, most] = stage.depths;
        if !(fewest..=most).contains(&blocks.len()) {
            let found = format!("{} blocks", blocks.len());
            let allowed = format!("{fewest} to {most} in `{}`", stage.name);
            return Err(report.error("depth", None, found, allowed));
        }
        Ok(Self { blocks })
    }
}

fn other_axes(stage: &ElasticStage) -> impl Iterator<Item = &str> {
    let axes = stage.candidate.choices.keys().map(|axis| &**axis);
    axes.filter(|axis| !["kernel", "expand"].contains(axis))
}

fn block(
    report: &Reporter<'_>,
    stage: &ElasticStage,
    position: usize,
    text: &str,
) -> Result<BlockChoice, EncodingError> {
    let names: Vec<&str> =
        ["kernel", "width", "expand"].into_iter().chain(other_axes(stage)).collect();
    let tokens: Vec<&str> = text.split('#').collect();
    if tokens.len() != names.len() {
        return Err(report.error("block", position, text, format!("`{}`", names.join("#"))));
    }
    let token = |name: &str| names.iter().position(|n| *n == name).map_or(MISSING, |i| tokens[i]);
    let width = whole(tokens[1])
        .filter(|width| stage.widths.contains(width))
        .ok_or_else(|| report.error("width", position, tokens[1], list(&stage.widths)))?;
    let value = |(axis, choices): (&String, &Vec<f64>)| {
        let value = number(token(axis)).filter(|value| choices.contains(value));
        let not_a_choice = || report.error(axis, position, token(axis), list(choices));
        Ok((axis.clone(), value.ok_or_else(not_a_choice)?))
    };
    let config = stage.candidate.choices.iter().map(value).collect::<Result<_, EncodingError>>()?;
    for axis in ["kernel", "expand"] {
        if !stage.candidate.choices.contains_key(axis) && token(axis) != MISSING {
            return Err(report.error(axis, position, token(axis), MISSING));
        }
    }
    Ok(BlockChoice { width, config: BlockConfig(config) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;

    use crate::space::{SubStage, testing};

    #[test]
    fn nonsense_is_refused_with_field_position_and_what_is_allowed() {
        let stage = testing::hyperspace().choice_stage(0, 1, Some(0));
        for (text, message) in [
            ("3#16", "block, position 1: found `3#16`, allowed: `kernel#width#expand`"),
            ("3#16#0.5_9#16#0.5", "kernel, position 2: found `9`, allowed: 3, 5"),
            ("3#17#0.5", "width, position 1: found `17`, allowed: 16, 24"),
            ("3#16#None", "expand, position 1: found `None`, allowed: 0.5, 1"),
            ("3#16#1_3#16#1_3#16#1", "depth: found `3 blocks`, allowed: 1 to 2 in `stage1`"),
        ] {
            let error = SubStage::parse(text, &stage).unwrap_err();
            assert_eq!(error.to_string(), format!("`{text}`: {message}"));
        }
        let plain = testing::hyperspace().choice_stage(0, 0, Some(0));
        assert!(SubStage::parse("3#16#1", &plain).is_err());
    }

    proptest! {
        #[test]
        fn random_sub_stages_round_trip(seed: u64, block in 0..3usize, window in 0..2usize) {
            let stage = testing::hyperspace().choice_stage(0, block, Some(window));
            let sub_stage = SubStage::random(&stage, &mut rand_pcg::Pcg32::seed_from_u64(seed));
            prop_assert_eq!(SubStage::parse(&sub_stage.encode(&stage), &stage).unwrap(), sub_stage);
        }
    }
}
