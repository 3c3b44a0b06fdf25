//! Encodings of spaces.

use std::fmt;

use super::{EncodingError, Reporter, whole};
use crate::space::{Hyperspace, Space};

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.hyperspace, group(&self.blocks), group(&self.windows))
    }
}

fn group(indices: &[usize]) -> String {
    let separator = if indices.iter().any(|&index| index > 9) { "." } else { "" };
    indices.iter().map(usize::to_string).collect::<Vec<_>>().join(separator)
}

impl Space {
    /// The hyperspace that an encoding names: what stands before its first `-`.
    pub fn hyperspace_name(encoding: &str) -> Option<&str> {
        let (name, _) = encoding.split_once('-')?;
        name.contains(|c: char| c.is_ascii_alphabetic()).then_some(name)
    }

    /// Reads an encoding, which may leave out the hyperspace's name.
    pub fn parse(encoding: &str, hyperspace: &Hyperspace) -> Result<Self, EncodingError> {
        let report = Reporter(encoding);
        let groups = match Self::hyperspace_name(encoding) {
            Some(name) if name == hyperspace.name => &encoding[name.len() + 1..],
            Some(name) => {
                return Err(report.error(
                    "hyperspace",
                    None,
                    name,
                    format!("`{}`", hyperspace.name),
                ));
            }
            None => encoding,
        };
        let Some((blocks, windows)) = groups.split_once(['-', '_']) else {
            let allowed = format!("`{}-<blocks>-<windows>`", hyperspace.name);
            return Err(report.error("form", None, encoding, allowed));
        };
        let stages = hyperspace.stages.len();
        let space = Self {
            hyperspace: hyperspace.name.clone(),
            blocks: indices(&report, "blocks", blocks, stages)?,
            windows: indices(&report, "windows", windows, stages)?,
        };
        space.check_as(&report, hyperspace)?;
        Ok(space)
    }

    /// Whether this is a space of the hyperspace.
    pub fn check(&self, hyperspace: &Hyperspace) -> Result<(), EncodingError> {
        let text = self.to_string();
        let report = Reporter(&text);
        if self.hyperspace != hyperspace.name {
            let allowed = format!("`{}`", hyperspace.name);
            return Err(report.error("hyperspace", None, &self.hyperspace, allowed));
        }
        for (field, indices) in [("blocks", &self.blocks), ("windows", &self.windows)] {
            if indices.len() != hyperspace.stages.len() {
                return Err(length_error(&report, field, indices.len(), hyperspace.stages.len()));
            }
        }
        self.check_as(&report, hyperspace)
    }

    fn check_as(
        &self,
        report: &Reporter<'_>,
        hyperspace: &Hyperspace,
    ) -> Result<(), EncodingError> {
        for (index, stage) in hyperspace.stages.iter().enumerate() {
            let limits = [
                ("blocks", self.blocks[index], hyperspace.candidates.len()),
                ("windows", self.windows[index], stage.windows()),
            ];
            for (field, found, count) in limits {
                if found >= count {
                    let allowed = format!("0 to {} in `{}`", count.saturating_sub(1), stage.name);
                    return Err(report.error(field, index + 1, found, allowed));
                }
            }
        }
        Ok(())
    }
}

fn length_error(report: &Reporter<'_>, field: &str, found: usize, stages: usize) -> EncodingError {
    let allowed = format!("{stages}, one per choice stage");
    report.error(field, None, format!("{found} values"), allowed)
}

fn indices(
    report: &Reporter<'_>,
    field: &str,
    text: &str,
    stages: usize,
) -> Result<Vec<usize>, EncodingError> {
    let tokens: Vec<&str> = if text.contains('.') {
        text.split('.').collect()
    } else if stages == 1 {
        vec![text]
    } else {
        text.split_inclusive(|_: char| true).collect()
    };
    if tokens.len() != stages {
        return Err(length_error(report, field, tokens.len(), stages));
    }
    let parse = |(index, token): (usize, &&str)| {
        whole(token).ok_or_else(|| report.error(field, index + 1, token, "a digit"))
    };
    tokens.iter().enumerate().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;

    use crate::space::{Space, testing};

    #[test]
    fn digit_groups_may_be_joined_either_way_and_stand_alone() {
        let hyperspace = testing::hyperspace();
        for text in ["toy-21-03", "toy-21_03", "21-03", "21_03"] {
            assert_eq!(Space::parse(text, &hyperspace).unwrap().to_string(), "toy-21-03", "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused_with_field_position_and_what_is_allowed() {
        let hyperspace = testing::hyperspace();
        for (text, message) in [
            ("other-21-03", "`other-21-03`: hyperspace: found `other`, allowed: `toy`"),
            ("toy-2103", "`toy-2103`: form: found `toy-2103`, allowed: `toy-<blocks>-<windows>`"),
            (
                "toy-251-03",
                "`toy-251-03`: blocks: found `3 values`, allowed: 2, one per choice stage",
            ),
            (
                "toy-29-03",
                "`toy-29-03`: blocks, position 2: found `9`, allowed: 0 to 2 in `stage2`",
            ),
            (
                "toy-21-07",
                "`toy-21-07`: windows, position 2: found `7`, allowed: 0 to 3 in `stage2`",
            ),
            ("toy-2x-00", "`toy-2x-00`: blocks, position 2: found `x`, allowed: a digit"),
            ("toy-21-0é", "`toy-21-0é`: windows, position 2: found `é`, allowed: a digit"),
            ("", "``: form: found ``, allowed: `toy-<blocks>-<windows>`"),
        ] {
            assert_eq!(Space::parse(text, &hyperspace).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn indices_above_nine_are_not_ambiguous() {
        let mut hyperspace = testing::hyperspace();
        hyperspace.stages[1].widths = (1..=20).map(|w| 8 * w).collect();
        let space = Space { hyperspace: "toy".into(), blocks: vec![0, 1], windows: vec![1, 12] };
        assert_eq!(space.to_string(), "toy-01-1.12");
        assert_eq!(Space::parse("toy-01-1.12", &hyperspace).unwrap(), space);
        hyperspace.stages.remove(0);
        let space = Space { hyperspace: "toy".into(), blocks: vec![1], windows: vec![12] };
        assert_eq!(Space::parse(&space.to_string(), &hyperspace).unwrap(), space);
    }

    proptest! {
        #[test]
        fn random_spaces_round_trip(seed: u64) {
            let hyperspace = testing::hyperspace();
            let space = Space::random(&hyperspace, &mut rand_pcg::Pcg32::seed_from_u64(seed));
            prop_assert_eq!(Space::parse(&space.to_string(), &hyperspace).unwrap(), space);
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = Space::parse(&text, &testing::hyperspace());
        }
    }
}
