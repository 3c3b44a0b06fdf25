//! Encodings of subnets.

use std::fmt::{self, Write};

use indexmap::{IndexMap, IndexSet};

use super::{EncodingError, Reporter, list, number, whole};
use crate::{
    operators::BlockConfig,
    space::{BlockChoice, ElasticStage, SubStage, Subnet},
};

/// The axes that have a letter of their own, and how a block without them is written.
const LETTERS: [(&str, &str); 2] = [("k", "kernel"), ("e", "expand")];

/// Prefix of an axis's field and the text of a missing value.
fn axis_field(axis: &str) -> (String, &'static str) {
    match LETTERS.iter().find(|(_, name)| *name == axis) {
        Some((letter, _)) => ((*letter).to_owned(), "0"),
        None => (format!("a.{axis}="), "-"),
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let blocks = || self.stages.iter().flat_map(|stage| &stage.blocks);
        let values = |axis: &str, write: fn(f64) -> String| {
            let (prefix, missing) = axis_field(axis);
            let value =
                |block: &BlockChoice| block.config.get(axis).map_or(missing.to_owned(), write);
            prefix + &joined(blocks().map(value))
        };
        write!(f, "d{}", joined(self.stages.iter().map(|s| s.blocks.len().to_string())))?;
        write!(f, "_{}", values("kernel", |v| v.to_string()))?;
        write!(f, "_w{}", joined(blocks().map(|b| b.width.to_string())))?;
        write!(f, "_{}", values("expand", |v| format!("{v:?}")))?;
        let mut others: IndexSet<&str> =
            blocks().flat_map(|b| b.config.0.keys()).map(|a| &**a).collect();
        others.retain(|axis| !LETTERS.iter().any(|(_, name)| name == axis));
        for axis in others {
            write!(f, "_{}", values(axis, |v| v.to_string()))?;
        }
        write!(f, "_r{}", self.resolution)
    }
}

fn joined(values: impl Iterator<Item = String>) -> String {
    let mut text = String::new();
    for (index, value) in values.enumerate() {
        let _ = write!(text, "{}{value}", if index > 0 { "#" } else { "" });
    }
    text
}

/// A text that is read field by field.
struct Fields<'a> {
    report: Reporter<'a>,
    rest: Option<&'a str>,
}

impl<'a> Fields<'a> {
    fn take(&mut self, prefix: &str) -> Result<&'a str, EncodingError> {
        let form = "`d…_k…_w…_e…_r…`, each letter followed by numbers joined by `#`";
        let rest = self.rest.unwrap_or_default();
        let body = rest.strip_prefix(prefix).ok_or_else(|| {
            let found = rest.split('_').next().unwrap_or_default();
            self.report.error(prefix, None, found, form)
        })?;
        let (body, rest) = body.split_once('_').map_or((body, None), |(a, b)| (a, Some(b)));
        self.rest = rest;
        Ok(body)
    }

    fn values<T>(
        &self,
        field: &str,
        text: &str,
        parse: impl Fn(&str) -> Option<T>,
        allowed: &str,
    ) -> Result<Vec<T>, EncodingError> {
        let value = |(index, token): (usize, &str)| {
            parse(token).ok_or_else(|| self.report.error(field, index + 1, token, allowed))
        };
        text.split('#').enumerate().map(value).collect()
    }

    /// A value for each of `blocks` blocks.
    fn per_block<T>(
        &mut self,
        prefix: &str,
        blocks: usize,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Vec<T>, EncodingError> {
        let text = self.take(prefix)?;
        let values = self.values(prefix, text, parse, "a number")?;
        if values.len() == blocks {
            return Ok(values);
        }
        let allowed = format!("{blocks} values, the sum of the depths");
        Err(self.report.error(prefix, None, format!("{} values", values.len()), allowed))
    }

    fn axis(&mut self, axis: &str, blocks: usize) -> Result<Vec<Option<f64>>, EncodingError> {
        let (prefix, missing) = axis_field(axis);
        let parse = |token: &str| {
            if token == missing { Some(None) } else { number(token).map(Some) }
        };
        self.per_block(&prefix, blocks, parse)
    }

    /// The axis that the next field is about, if it is one without a letter of its own.
    fn other_axis(&self) -> Option<&'a str> {
        let (axis, _) = self.rest?.strip_prefix("a.")?.split_once('=')?;
        Some(axis)
    }
}

impl Subnet {
    /// Reads an encoding of a subnet of these elastic stages and resolutions.
    pub fn parse(
        encoding: &str,
        stages: &[ElasticStage],
        resolutions: &[usize],
    ) -> Result<Self, EncodingError> {
        let subnet = Self::parse_any(encoding)?;
        subnet.check_as(&Reporter(encoding), stages, resolutions)?;
        Ok(subnet)
    }

    /// Reads an encoding of a subnet of whatever space.
    pub fn parse_any(encoding: &str) -> Result<Self, EncodingError> {
        let mut fields = Fields { report: Reporter(encoding), rest: Some(encoding) };
        let depths = fields.take("d")?;
        let depths: Vec<usize> = fields.values("d", depths, whole, "a whole number")?;
        let blocks = depths.iter().fold(0usize, |sum, depth| sum.saturating_add(*depth));
        let mut axes = IndexMap::new();
        axes.insert("kernel", fields.axis("kernel", blocks)?);
        let widths = fields.per_block("w", blocks, whole)?;
        axes.insert("expand", fields.axis("expand", blocks)?);
        while let Some(axis) = fields.other_axis() {
            if axes.contains_key(axis) {
                let found = format!("a.{axis}=");
                return Err(fields.report.error("form", None, found, "each axis once"));
            }
            axes.insert(axis, fields.axis(axis, blocks)?);
        }
        let resolution = fields.take("r")?;
        let resolution = whole(resolution)
            .ok_or_else(|| fields.report.error("r", None, resolution, "a whole number"))?;
        if let Some(more) = fields.rest {
            return Err(fields.report.error("form", None, more, "nothing behind `r`"));
        }
        let mut at = 0..;
        let mut block = || {
            let at = at.next().unwrap_or_default();
            let value = |(axis, values): (&&str, &Vec<_>)| Some(((*axis).to_owned(), values[at]?));
            let config = BlockConfig(axes.iter().filter_map(value).collect());
            BlockChoice { width: widths[at], config }
        };
        let mut sub_stage =
            |depth: &usize| SubStage { blocks: (0..*depth).map(|_| block()).collect() };
        Ok(Self { stages: depths.iter().map(&mut sub_stage).collect(), resolution })
    }

    /// Whether this is a subnet of these elastic stages and resolutions.
    pub fn check(
        &self,
        stages: &[ElasticStage],
        resolutions: &[usize],
    ) -> Result<(), EncodingError> {
        let text = self.to_string();
        self.check_as(&Reporter(&text), stages, resolutions)
    }

    fn check_as(
        &self,
        report: &Reporter<'_>,
        stages: &[ElasticStage],
        resolutions: &[usize],
    ) -> Result<(), EncodingError> {
        if self.stages.len() != stages.len() {
            let found = format!("{} values", self.stages.len());
            return Err(report.error(
                "d",
                None,
                found,
                format!("{} values, one per stage", stages.len()),
            ));
        }
        if !resolutions.contains(&self.resolution) {
            return Err(report.error("r", None, self.resolution, list(resolutions)));
        }
        let mut position = 0;
        for (index, (stage, sub_stage)) in stages.iter().zip(&self.stages).enumerate() {
            check_depth(report, index, stage, sub_stage.blocks.len())?;
            for block in &sub_stage.blocks {
                position += 1;
                check_block(report, position, stage, block)?;
            }
        }
        Ok(())
    }
}

impl SubStage {
    /// Whether this is a sub-stage of `stage`.
    pub fn check(&self, stage: &ElasticStage) -> Result<(), EncodingError> {
        let text = self.encode(stage);
        let report = Reporter(&text);
        check_depth(&report, 0, stage, self.blocks.len())?;
        let mut blocks = self.blocks.iter().enumerate();
        blocks.try_for_each(|(index, block)| check_block(&report, index + 1, stage, block))
    }
}

fn check_depth(
    report: &Reporter<'_>,
    index: usize,
    stage: &ElasticStage,
    depth: usize,
) -> Result<(), EncodingError> {
    let [fewest, most] = stage.depths;
    if (fewest..=most).contains(&depth) {
        return Ok(());
    }
    Err(report.error("d", index + 1, depth, format!("{fewest} to {most} in `{}`", stage.name)))
}

fn check_block(
    report: &Reporter<'_>,
    position: usize,
    stage: &ElasticStage,
    block: &BlockChoice,
) -> Result<(), EncodingError> {
    let within = |values: String| format!("{values} in `{}`", stage.name);
    if !stage.widths.contains(&block.width) {
        return Err(report.error("w", position, block.width, within(list(&stage.widths))));
    }
    let candidate = &stage.candidate;
    for (axis, choices) in &candidate.choices {
        let (prefix, missing) = axis_field(axis);
        let value = block.config.get(axis);
        if !value.is_some_and(|value| choices.contains(&value)) {
            let found = value.map_or(missing.to_owned(), |value| value.to_string());
            return Err(report.error(prefix, position, found, within(list(choices))));
        }
    }
    for (axis, value) in &block.config.0 {
        if !candidate.choices.contains_key(axis) {
            let (prefix, missing) = axis_field(axis);
            let allowed = format!(
                "{missing} in `{}`, as block `{}` has no axis `{axis}`",
                stage.name, candidate.block
            );
            return Err(report.error(prefix, position, value, allowed));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;

    use crate::space::{Space, Subnet, testing};

    #[test]
    fn the_published_form_is_written_and_read() {
        let hyperspace = testing::hyperspace();
        let stages = Space::parse("toy-10-00", &hyperspace).unwrap().elastic_stages(&hyperspace);
        let text = "d1#2#1_k3#5#3#3_w8#24#16#24_e0#0.5#1.0#0_r32";
        let subnet = Subnet::parse(text, &stages, &hyperspace.resolutions).unwrap();
        assert_eq!(subnet.to_string(), text);
        assert_eq!(subnet.stages[1].blocks[1].config.get("expand"), Some(1.0));
        let integral = "d1#2#1_k3#5#3#3_w8#24#16#24_e0#0.5#1#0_r32";
        assert_eq!(Subnet::parse(integral, &stages, &hyperspace.resolutions).unwrap(), subnet);
    }

    #[test]
    fn nonsense_is_refused_with_field_position_and_what_is_allowed() {
        let hyperspace = testing::hyperspace();
        let stages = Space::parse("toy-10-00", &hyperspace).unwrap().elastic_stages(&hyperspace);
        let form = "`d…_k…_w…_e…_r…`, each letter followed by numbers joined by `#`";
        for (text, message) in [
            ("nonsense", format!("d: found `nonsense`, allowed: {form}")),
            ("d1#1", format!("k: found ``, allowed: {form}")),
            ("d1#x", "d, position 2: found `x`, allowed: a whole number".into()),
            (
                "d1#1_k3#3_w8#16_e0#0.5_r32",
                "d: found `2 values`, allowed: 3 values, one per stage".into(),
            ),
            (
                "d1#3#1_k3#5#5#5#3_w8#24#24#24#24_e0#0.5#1#1#0_r32",
                "d, position 2: found `3`, allowed: 1 to 2 in `stage1`".into(),
            ),
            ("d1#1#1_k3#5#3", format!("w: found ``, allowed: {form}")),
            (
                "d1#1#1_k3#5_w8",
                "k: found `2 values`, allowed: 3 values, the sum of the depths".into(),
            ),
            (
                "d18446744073709551615#1_k3",
                "k: found `1 values`, allowed: 18446744073709551615 values, the sum of the depths"
                    .into(),
            ),
            ("d1#1#1_k3#five#3", "k, position 2: found `five`, allowed: a number".into()),
            (
                "d1#1#1_k3#7#3_w8#24#24_e0#0.5#0_r32",
                "k, position 2: found `7`, allowed: 3, 5 in `stage1`".into(),
            ),
            (
                "d1#1#1_k3#5#3_w8#25#24_e0#0.5#0_r32",
                "w, position 2: found `25`, allowed: 16, 24 in `stage1`".into(),
            ),
            (
                "d1#1#1_k3#5#3_w8#24#24_e0#0#0_r32",
                "e, position 2: found `0`, allowed: 0.5, 1 in `stage1`".into(),
            ),
            (
                "d1#1#1_k3#5#3_w8#24#24_e0#0.5#6.0_r32",
                "e, position 3: found `6`, allowed: 0 in `stage2`, as block `plain` has no axis \
                 `expand`"
                    .into(),
            ),
            ("d1#1#1_k3#5#3_w8#24#24_e0#0.5#0_r33", "r: found `33`, allowed: 32, 48".into()),
            (
                "d1#1#1_k3#5#3_w8#24#24_e0#0.5#0_r32_r32",
                "form: found `r32`, allowed: nothing behind `r`".into(),
            ),
        ] {
            let error = Subnet::parse(text, &stages, &hyperspace.resolutions).unwrap_err();
            assert_eq!(error.to_string(), format!("`{text}`: {message}"));
        }
    }

    #[test]
    fn other_axes_have_fields_of_their_own() {
        let hyperspace = testing::hyperspace();
        let stages = Space::parse("toy-20-00", &hyperspace).unwrap().elastic_stages(&hyperspace);
        let text = "d1#1#1_k3#3#3_w8#16#24_e0#0#0_a.split_ratio=-#0.25#-_a.taps=-#1#-_r48";
        let subnet = Subnet::parse(text, &stages, &hyperspace.resolutions).unwrap();
        assert_eq!(subnet.to_string(), text);
        let text = "d1#1#1_k3#3#3_w8#16#24_e0#0#0_a.split_ratio=-#0.25#-_r48";
        let error = Subnet::parse(text, &stages, &hyperspace.resolutions).unwrap_err();
        assert_eq!(error.field, "a.taps=");
    }

    proptest! {
        #[test]
        fn random_subnets_round_trip(seed: u64) {
            let hyperspace = testing::hyperspace();
            let rng = &mut rand_pcg::Pcg32::seed_from_u64(seed);
            let stages = Space::random(&hyperspace, rng).elastic_stages(&hyperspace);
            let subnet = Subnet::random(&stages, &hyperspace.resolutions, rng);
            let text = subnet.to_string();
            let read = Subnet::parse(&text, &stages, &hyperspace.resolutions).unwrap();
            prop_assert_eq!(&read, &subnet);
            prop_assert_eq!(read.to_string(), text);
        }

        #[test]
        fn no_text_panics(text in "(d|k|w|e|r|_|#|[0-9]|é|-|a\\.|=){0,60}") {
            let hyperspace = testing::hyperspace();
            let stages = Space::parse("toy-20-00", &hyperspace).unwrap().elastic_stages(&hyperspace);
            let _ = Subnet::parse(&text, &stages, &hyperspace.resolutions);
            let _ = Subnet::parse(&format!("d1#1#1_k{text}"), &stages, &hyperspace.resolutions);
        }
    }
}
