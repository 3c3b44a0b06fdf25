//! The report of `bench spaces` as text.

use std::fmt::Write;

use spacewright_spaceevo::report::{
    AgainstSpace, Certainty, ComparedNetwork, ComparedSpace, Estimate, SpacesReport, Verdict,
};

use crate::{
    render::Table,
    report::{ms, or_dash, percent},
};

pub fn text(report: &SpacesReport) -> String {
    let mut text = format!(
        "networks on {}, accuracy on test images as trained:\n\n{}",
        report.latency_source,
        networks(&report.spaces)
    );
    let _ = write!(text, "\nthe found space against:\n\n{}", comparisons(&report.comparisons));
    let _ = write!(text, "\nbudget by budget:\n\n{}", budgets(&report.comparisons));
    let _ = writeln!(text, "\n{}\n", about(&report.comparisons));
    let _ = write!(text, "errors of random subnets on held-out images:\n\n{}", errors(report));
    for left_out in &report.left_out {
        let _ = write!(text, "\n`{}` is left out: {}\n", left_out.name, left_out.reason);
    }
    text
}

fn networks(spaces: &[ComparedSpace]) -> String {
    let heading =
        ["space", "encoding", "training", "budget ms", "INT8 ms", "INT8 accuracy", "MMACs"];
    let mut table = Table::new(&heading);
    for ComparedSpace { name, space, networks, infeasible_budgets_ms, repeats, .. } in spaces {
        let repeats = repeats.iter().map(|repeat| (repeat.training, &repeat.networks));
        for (training, networks) in std::iter::once((0, networks)).chain(repeats) {
            for ComparedNetwork { budget_ms, int8_ms, test_accuracy, macs, .. } in networks {
                table.row([
                    name.clone(),
                    space.clone(),
                    training.to_string(),
                    ms(*budget_ms),
                    ms(*int8_ms),
                    percent(*test_accuracy),
                    format!("{:.2}", *macs as f64 / 1e6),
                ]);
            }
        }
        for budget in infeasible_budgets_ms {
            let none = || "-".to_owned();
            table.row([name.clone(), space.clone(), none(), ms(*budget), none(), none(), none()]);
        }
    }
    table.render()
}

/// Means over all trainings with their intervals, and how many points they are over with the study's seed.
fn comparisons(comparisons: &[AgainstSpace]) -> String {
    let mut table = Table::new(&[
        "space",
        "trainings",
        "speed-up at equal accuracy",
        "reached",
        "accuracy at equal latency",
        "compared",
        "shown",
    ]);
    for AgainstSpace { name, compared, certainty } in comparisons {
        let speed_ups = &compared.speed_ups;
        let reached = compared.reached();
        let gained = compared.gains.iter().filter(|point| point.gain.is_some()).count();
        let estimate = |of: fn(&Certainty) -> Option<Estimate>| certainty.as_ref().and_then(of);
        let (speed_up, gain) = (estimate(|c| c.speed_up), estimate(|c| c.gain));
        let trainings = certainty.as_ref();
        table.row([
            name.clone(),
            or_dash(trainings, |c| format!("{} and {}", c.own_trainings, c.other_trainings)),
            or_dash(speed_up, |times| in_times(&times)),
            format!("{reached} of {}", speed_ups.len()),
            or_dash(gain, |gain| in_points(&gain)),
            format!("{gained} of {}", compared.gains.len()),
            Verdict::in_words(speed_up.as_ref(), gain.as_ref()).to_owned(),
        ]);
    }
    table.render()
}

fn budgets(comparisons: &[AgainstSpace]) -> String {
    let heading = [
        "space",
        "budget ms",
        "more accurate",
        "p, first trainings",
        "speed-up at its accuracy",
        "shown",
    ];
    let mut table = Table::new(&heading);
    for AgainstSpace { name, certainty, .. } in comparisons {
        for pair in certainty.iter().flat_map(|certainty| &certainty.budgets) {
            table.row([
                name.clone(),
                ms(pair.budget_ms),
                in_points(&pair.difference),
                format!("{:.3}", pair.p),
                or_dash(pair.speed_up, |times| in_times(&times)),
                Verdict::in_words(pair.speed_up.as_ref(), Some(&pair.difference)).to_owned(),
            ]);
        }
    }
    table.render()
}

/// What intervals and verdicts hold, and what they do not.
fn about(comparisons: &[AgainstSpace]) -> &'static str {
    let mut certainties = comparisons.iter().filter_map(|against| against.certainty.as_ref());
    match certainties.any(|certainty| certainty.over_trainings) {
        true => {
            "Intervals, of 95 % certainty, are over test images, spreads of latencies and trainings. Of twenty figures \
             without a difference one may seem to have one."
        }
        false => {
            "Intervals, of 95 % certainty, are over test images and spreads of latencies. Each supernet was trained \
             once: what is shown holds for these trainings, and says nothing of the next ones; `--seeds 3` trains again."
        }
    }
}

fn in_times(Estimate { value, interval, known, at_least, .. }: &Estimate) -> String {
    let at_least = if *at_least { "at least " } else { "" };
    let reached = match *known < 1.0 {
        true => format!(", {:.0} % reached", 100.0 * known),
        false => String::new(),
    };
    format!("{at_least}{value:.2}x ({:.2} to {:.2}{reached})", interval.low, interval.high)
}

fn in_points(Estimate { value, interval, .. }: &Estimate) -> String {
    let [value, low, high] = [value, &interval.low, &interval.high].map(|share| 100.0 * share);
    format!("{value:+.2} points ({low:+.2} to {high:+.2})")
}

fn errors(report: &SpacesReport) -> String {
    let levels: Vec<String> =
        report.levels.iter().map(|level| format!("below {:.2} %", 100.0 * level)).collect();
    let mut heading = vec!["space", "subnets", "n", "smallest", "median"];
    heading.extend(levels.iter().map(String::as_str));
    let mut table = Table::new(&heading);
    for space in &report.spaces {
        for (which, errors) in
            [("all", &space.errors), ("within the largest budget", &space.errors_within_budget)]
        {
            let mut cells = vec![
                space.name.clone(),
                which.to_owned(),
                errors.n.to_string(),
                or_dash(errors.smallest, percent),
                or_dash(errors.median, percent),
            ];
            let share = |share: &f64| or_dash((errors.n > 0).then_some(*share), percent);
            cells.extend(errors.shares.iter().map(share));
            table.cells(cells);
        }
    }
    table.render()
}
