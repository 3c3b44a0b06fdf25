//! TensorFlow Lite's `benchmark_model`: what it is told and what it prints.
//!
//! Its flags are described in `tensorflow/lite/tools/benchmark/README.md` of the TensorFlow
//! repository. It warms up, then runs the model at least `--num_runs` times and `--min_secs`
//! seconds, unless that takes `--max_secs`. After each of the two it prints one line of
//! statistics in microseconds:
//!
//! ```text
//! count=50 first=412 curr=410 min=408 max=443 avg=411.2 std=4 p5=409 median=411 p95=420
//! count=50 curr=410(all same)
//! ```
//!
//! Percentiles are there in newer versions only; `min` and all that follows is missing where all
//! runs took equally long.

use thiserror::Error;

use crate::adb::{last_lines, quote};

/// What one round is told beside program and model. Whether XNNPACK is used by default depends on
/// the version, so it is said.
const FLAGS: &str = "--num_threads=1 --use_xnnpack=true --warmup_runs=5 --num_runs=50 \
                     --min_secs=1 --max_secs=20";

/// The command line of one round, for the phone's shell, on the cores of a `taskset` mask.
pub(crate) fn command(program: &str, model: &str, mask: &str) -> String {
    let graph = quote(&format!("--graph={model}"));
    format!("taskset {} {} {graph} {FLAGS}", quote(mask), quote(program))
}

/// What the timed runs of one round took, in microseconds.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Round {
    pub runs: u32,
    pub min_us: f64,
    pub avg_us: f64,
    pub p5_us: Option<f64>,
    pub median_us: Option<f64>,
    pub delegation: Delegation,
}

/// How much of the model ran in XNNPACK.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Delegation {
    All,
    Some,
    None,
    #[default]
    Unknown,
}

/// An output without figures.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum OutputError {
    #[error("benchmark_model printed no statistics of timed runs: {0}")]
    NoStatistics(String),
    #[error("benchmark_model printed statistics that cannot be read: {0}")]
    Unreadable(String),
}

/// Reads the output of one round.
pub(crate) fn parse(output: &str) -> Result<Round, OutputError> {
    let mut lines = output.lines().filter(|line| field(line, "count").is_some());
    // The first line is about the warm-up.
    let (Some(_), Some(line)) = (lines.next(), lines.next_back()) else {
        return Err(OutputError::NoStatistics(last_lines(output)));
    };
    let round = statistics(line).ok_or_else(|| OutputError::Unreadable(line.trim().into()))?;
    Ok(Round { delegation: delegation(output), ..round })
}

fn statistics(line: &str) -> Option<Round> {
    let runs: u32 = field(line, "count")?.parse().ok()?;
    let number = |name| {
        let number: f64 = field(line, name)?.parse().ok()?;
        (number.is_finite() && number >= 0.0).then_some(number)
    };
    let all_same = number("curr").filter(|_| field(line, "min").is_none());
    let min_us = number("min").or(all_same)?;
    let avg_us = number("avg").or(all_same)?;
    // Whole microseconds, rounded: the average may be a little less than the minimum.
    let ordered = |us: &f64| *us >= min_us;
    let round = Round {
        runs,
        min_us,
        avg_us: avg_us.max(min_us),
        p5_us: number("p5").or(all_same).filter(ordered),
        median_us: number("median").or(all_same).filter(ordered),
        delegation: Delegation::Unknown,
    };
    (runs > 0).then_some(round)
}

/// The value of `name=value` in a line.
fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let value = line.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    value.map(|value| value.trim_end_matches("(all"))
}

fn delegation(output: &str) -> Delegation {
    let line = |line: &&str| line.contains("XNNPACK delegate") && line.contains("model graph will");
    match output.lines().find(line) {
        Some(line) if line.contains("will be completely") => Delegation::All,
        Some(line) if line.contains("will be partially") => Delegation::Some,
        Some(line) if line.contains("will not be") => Delegation::None,
        _ => Delegation::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WARM_UP: &str = "INFO: count=9 first=91020 curr=55300 min=54900 max=91020 avg=60125.5";

    fn read(line: &str) -> Result<Round, OutputError> {
        parse(&format!("{WARM_UP}\n\nINFO: Running benchmark\n{line}\nINFO: done"))
    }

    #[test]
    fn a_new_version_prints_percentiles() {
        let round = read(
            "INFO: count=25 first=187533 curr=140990 min=140071 max=195121 avg=1.45528e+05 \
             std=13583 p5=140545 median=141253 p95=187533",
        );
        let expected = Round {
            runs: 25,
            min_us: 140_071.0,
            avg_us: 145_528.0,
            p5_us: Some(140_545.0),
            median_us: Some(141_253.0),
            delegation: Delegation::Unknown,
        };
        assert_eq!(round, Ok(expected));
    }

    #[test]
    fn an_old_version_prints_none() {
        let round = read("count=50 first=3322 curr=3313 min=3268 max=3323 avg=3307.8 std=12\r");
        let expected = Round { runs: 50, min_us: 3268.0, avg_us: 3307.8, ..Round::default() };
        assert_eq!(round, Ok(expected));
    }

    #[test]
    fn equal_runs_have_one_number() {
        let same = |p5_us| Round {
            runs: 50,
            min_us: 41.0,
            avg_us: 41.0,
            p5_us,
            median_us: p5_us,
            delegation: Delegation::Unknown,
        };
        assert_eq!(read("count=50 curr=41(all same)"), Ok(same(Some(41.0))));
        assert_eq!(read("count=50 curr=41(all same) p5=41 median=41 p95=41"), Ok(same(Some(41.0))));
    }

    #[test]
    fn no_timed_runs_are_an_error() {
        let none = |output| matches!(parse(output), Err(OutputError::NoStatistics(_)));
        assert!(none("") && none(WARM_UP) && none("Error: could not open the model"));
        assert!(matches!(read("count=0"), Err(OutputError::Unreadable(_))));
        assert!(matches!(read("count=50 first=1 min=NaN avg=2"), Err(OutputError::Unreadable(_))));
        assert!(matches!(read("count=50 min=-4 avg=2"), Err(OutputError::Unreadable(_))));
    }

    #[test]
    fn what_ran_in_xnnpack_is_told() {
        let says = |what: &str| delegation(&format!("INFO: Loaded\nINFO: {what}\n"));
        let explicitly = "Explicitly applied XNNPACK delegate, and the model graph will be";
        assert_eq!(says(&format!("{explicitly} completely executed")), Delegation::All);
        assert_eq!(says(&format!("{explicitly} partially executed")), Delegation::Some);
        let though = "Though XNNPACK delegate is explicitly applied, the model graph will not be \
                      executed by the delegate.";
        assert_eq!(says(though), Delegation::None);
        assert_eq!(says("XNNPACK delegate created."), Delegation::Unknown);
    }

    #[test]
    fn names_are_quoted_in_the_command_line() {
        let line = command("/data/my tools/benchmark_model", "/data/a.tflite", "80");
        let expected = "taskset 80 '/data/my tools/benchmark_model' --graph=/data/a.tflite ";
        assert!(line.starts_with(expected), "{line}");
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in "(?s).{0,200}") {
            let _ = parse(&text);
        }

        #[test]
        fn no_statistics_are_too_strange(
            words in proptest::collection::vec("(count|min|avg|p5|curr)=[-0-9.einfa(]{0,6}", 0..9)
        ) {
            if let Ok(round) = read(&words.join(" ")) {
                prop_assert!(round.runs > 0 && round.min_us <= round.avg_us);
                prop_assert!(round.p5_us.is_none_or(|us| us >= round.min_us));
            }
        }

        #[test]
        fn what_is_printed_is_read(
            runs in 1u32..9999, min in 1u32..999_999, more in 1u32..999, percentiles: bool
        ) {
            let (avg, p5, median) = (min + more, min + more / 3, min + more / 2);
            let mut line = format!("count={runs} first=1 min={min} max={avg} avg={avg} std=3");
            if percentiles {
                line += &format!(" p5={p5} median={median} p95={avg}");
            }
            let us = |us: u32| percentiles.then_some(f64::from(us));
            let expected = Round {
                runs,
                min_us: min.into(),
                avg_us: avg.into(),
                p5_us: us(p5),
                median_us: us(median),
                delegation: Delegation::Unknown,
            };
            prop_assert_eq!(read(&line), Ok(expected));
        }
    }
}
