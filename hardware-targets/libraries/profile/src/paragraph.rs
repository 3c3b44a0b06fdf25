//! Findings in sentences.

use std::collections::BTreeSet;

use crate::{
    findings::{Findings, MARGIN, UsedOperators, Verdict, WastefulWidth},
    operator::Operator,
};

/// Operators that are named as gaining most.
const MOST: usize = 3;

/// Feature maps, or noisy rows, that are named one by one.
const NAMED: usize = 4;

impl Findings {
    /// What to know about a target, in a paragraph of plain text: first about the operators that
    /// are `used`, then which INT8 slows down and which gain most, then wasteful widths. Figures
    /// such as 0.50x are FP32 time by INT8 time; shapes are channels, rows and columns.
    pub fn paragraph(&self, target: &str, used: Option<&UsedOperators>) -> String {
        let mut sentences = Vec::new();
        if let Some(used) = used {
            sentences.push(self.about(used));
        }
        if self.verdicts.is_empty() {
            sentences.push(format!("Nothing is known of operators on {target}."));
        } else {
            sentences.push(match slowed(self.verdicts.iter().collect()) {
                Some(slow) => format!("On {target}, INT8 slows down {slow}."),
                None => format!("On {target}, INT8 slows down no operator that was profiled."),
            });
            sentences.push(self.gains());
        }
        if self.swept > 0 {
            sentences.push(widths(&self.wasteful));
        }
        if !self.noisy.is_empty() {
            let noisy = first_of(&self.noisy);
            sentences.push(format!("Left out, as their costs drown in noise: {noisy}."));
        }
        sentences.join(" ")
    }

    fn about(&self, UsedOperators { hyperspace, operators }: &UsedOperators) -> String {
        if operators.is_empty() {
            return format!("Hyperspace {hyperspace} uses no operator of this study.");
        }
        let is_used = |verdict: &&Verdict| operators.contains(&verdict.operator);
        let known: Vec<&Verdict> = self.verdicts.iter().filter(is_used).collect();
        let judged: BTreeSet<Operator> = known.iter().map(|verdict| verdict.operator).collect();
        if known.is_empty() {
            let names = names(operators);
            return format!("Nothing is known of hyperspace {hyperspace}'s operators, {names}.");
        }
        let of = format!("Of the operators of hyperspace {hyperspace}, INT8 slows down");
        let mut text = match slowed(known) {
            Some(slow) => format!("{of} {slow}."),
            None => format!("{of} none of {}.", names(&judged)),
        };
        let unknown: BTreeSet<Operator> = operators.difference(&judged).copied().collect();
        if !unknown.is_empty() {
            text += &format!(" It also uses {}, of which nothing is known.", names(&unknown));
        }
        text
    }

    fn gains(&self) -> String {
        let gains = |verdict: &&Verdict| verdict.mean_ratio() > 1.0 + MARGIN;
        let mut fast: Vec<&Verdict> = self.verdicts.iter().filter(gains).collect();
        fast.sort_by(|a, b| b.mean_ratio().total_cmp(&a.mean_ratio()));
        let name = |verdict: &&Verdict| {
            format!("{} ({:.2}x on average)", verdict.operator, verdict.mean_ratio())
        };
        let names: Vec<String> = fast.iter().take(MOST).map(name).collect();
        match &names[..] {
            [] => "It speeds up none on average.".into(),
            names => format!("It speeds up most {}.", and(names)),
        }
    }
}

/// The operators that INT8 slows down with where it does, the worst first; `None` where there are
/// none.
fn slowed(mut verdicts: Vec<&Verdict>) -> Option<String> {
    verdicts.retain(|verdict| !verdict.slow().is_empty());
    verdicts.sort_by(|a, b| a.slow()[0].ratio.total_cmp(&b.slow()[0].ratio));
    let named: Vec<String> = verdicts
        .into_iter()
        .map(|verdict| format!("{} ({})", verdict.operator, places(verdict)))
        .collect();
    (!named.is_empty()).then(|| and(&named))
}

fn places(verdict: &Verdict) -> String {
    let slow = verdict.slow();
    if let [first, .., last] = slow
        && slow.len() == verdict.speed_ups.len()
    {
        let (low, high) = (format!("{:.2}x", first.ratio), format!("{:.2}x", last.ratio));
        let range = if low == high { low } else { format!("{low} to {high}") };
        return format!("{range} on all {} feature maps", slow.len());
    }
    let place =
        |at: &crate::SpeedUp| format!("{:.2}x at {}x{}x{}", at.ratio, at.width, at.size, at.size);
    let named = first_of(&slow.iter().map(place).collect::<Vec<_>>());
    if slow.len() <= NAMED {
        return named;
    }
    format!("{named} of {} feature maps", verdict.speed_ups.len())
}

/// Neighbouring widths that have one remedy are named together.
fn widths(wasteful: &[WastefulWidth]) -> String {
    let same = |a: &WastefulWidth, b: &WastefulWidth| (a.operator, a.size) == (b.operator, b.size);
    let curve = |curve: &[WastefulWidth]| {
        let groups = curve.chunk_by(|a, b| a.instead == b.instead).map(|group| {
            let widths: Vec<String> = group.iter().map(|w| w.width.to_string()).collect();
            format!("{} (use {})", and(&widths), group[0].instead)
        });
        let WastefulWidth { operator, size, .. } = curve[0];
        let groups = groups.collect::<Vec<_>>().join(", ");
        format!("{operator} on {size}x{size} maps with {groups}")
    };
    let curves: Vec<String> = wasteful.chunk_by(same).map(curve).collect();
    if curves.is_empty() {
        return "No width that was profiled is wasteful in INT8.".into();
    }
    format!("Wasteful in INT8, as more channels cost no more time: {}.", curves.join("; "))
}

fn names(operators: &BTreeSet<Operator>) -> String {
    and(&operators.iter().map(Operator::to_string).collect::<Vec<_>>())
}

/// `a, b and c`
fn and(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [name] => name.clone(),
        [names @ .., last] => format!("{} and {last}", names.join(", ")),
    }
}

/// `a, b, c, d and 3 more`
fn first_of(names: &[String]) -> String {
    let (named, rest) = names.split_at(names.len().min(NAMED));
    let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
    named.join(", ") + &more
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        OperatorCost, Profile,
        testing::{quick_profile, row},
    };

    const CONV: Operator = Operator::Conv { kernel: 1 };
    const POOL: Operator = Operator::AvgPool { kernel: 3 };

    fn used(operators: &[Operator]) -> UsedOperators {
        UsedOperators {
            hyperspace: "mobile".into(),
            operators: operators.iter().copied().collect(),
        }
    }

    /// The paragraph on rows of (operator, width, FP32 time) that take 1 ms in INT8.
    fn check(rows: &[(Operator, usize, f64)], used: Option<&UsedOperators>, expected: &str) {
        let row = |&(operator, width, ms): &(_, _, _)| row(operator, width, 14, ms, 1.0);
        let profile = Profile { grid: rows.iter().map(row).collect(), sweep: Vec::new() };
        assert_eq!(Findings::of(&profile).paragraph("npu", used), expected);
    }

    #[test]
    fn the_whole_paragraph() {
        let findings = Findings::of(&quick_profile());
        let used = used(&[CONV, Operator::HSwish, Operator::AvgPool { kernel: 2 }]);
        let sentences = findings.paragraph("fake", Some(&used)).replace(". ", ".\n");
        insta::assert_snapshot!(sentences, @r"
        Of the operators of hyperspace mobile, INT8 slows down h_swish (0.50x on all 4 feature maps).
        It also uses avg_pool2x2, of which nothing is known.
        On fake, INT8 slows down h_swish (0.50x on all 4 feature maps) and avg_pool3x3 (0.50x on all 4 feature maps).
        It speeds up most conv1x1 (2.00x on average), conv3x3 (2.00x on average) and gconv3x3 (2.00x on average).
        Wasteful in INT8, as more channels cost no more time: conv1x1 on 14x14 maps with 8 (use 16), 24 (use 32), 40 (use 48), 56 (use 64), 72 (use 80), 88 (use 96), 104 (use 112), 120 (use 128); dwconv3x3 on 14x14 maps with 8 (use 16), 24 (use 32), 40 (use 48), 56 (use 64), 72 (use 80), 88 (use 96), 104 (use 112), 120 (use 128).
        ");
    }

    #[test]
    fn slow_shapes_are_named_where_others_are_fast() {
        check(
            &[(CONV, 8, 0.5), (CONV, 16, 0.9), (CONV, 32, 0.99), (POOL, 8, 0.25)],
            None,
            "On npu, INT8 slows down avg_pool3x3 (0.25x at 8x14x14) and conv1x1 (0.50x at \
             8x14x14, 0.90x at 16x14x14). It speeds up none on average.",
        );
    }

    #[test]
    fn many_slow_shapes_are_counted() {
        let slow = (1..=5).map(|n| (CONV, 8 * n, 0.1 * n as f64));
        let rows: Vec<_> = slow.chain([(CONV, 48, 1.0)]).collect();
        check(
            &rows,
            None,
            "On npu, INT8 slows down conv1x1 (0.10x at 8x14x14, 0.20x at 16x14x14, 0.30x at \
             24x14x14, 0.40x at 32x14x14 and 1 more of 6 feature maps). It speeds up none on \
             average.",
        );
    }

    #[test]
    fn nothing_slow_is_said() {
        check(
            &[(CONV, 8, 2.0), (POOL, 8, 1.0)],
            Some(&used(&[CONV])),
            "Of the operators of hyperspace mobile, INT8 slows down none of conv1x1. On npu, INT8 \
             slows down no operator that was profiled. It speeds up most conv1x1 (2.00x on \
             average).",
        );
    }

    #[test]
    fn nothing_known_is_said() {
        let about =
            |used: &UsedOperators| Findings::of(&Profile::default()).paragraph("npu", Some(used));
        assert_eq!(
            about(&used(&[CONV, Operator::Add])),
            "Nothing is known of hyperspace mobile's operators, conv1x1 and add. Nothing is known \
             of operators on npu."
        );
        assert!(about(&used(&[])).starts_with("Hyperspace mobile uses no operator of this study."));
    }

    #[test]
    fn noise_and_straight_sweeps_are_named() {
        let sweep = (1..=3).map(|n| row(CONV, 8 * n, 14, 1.0, n as f64));
        let noise = (4..=9).map(|n| OperatorCost { noisy: true, ..row(CONV, 8 * n, 14, 1.0, 1.0) });
        let profile = Profile { grid: Vec::new(), sweep: sweep.chain(noise).collect() };
        assert_eq!(
            Findings::of(&profile).paragraph("npu", None),
            "Nothing is known of operators on npu. No width that was profiled is wasteful in \
             INT8. Left out, as their costs drown in noise: conv1x1 at 32x14x14, conv1x1 at \
             40x14x14, conv1x1 at 48x14x14, conv1x1 at 56x14x14 and 2 more."
        );
    }
}
