//! The report of `bench spaces` as text.

use std::fmt::Write;

use spacewright_spaceevo::report::{AgainstSpace, ComparedSpace, SpacesReport};

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
    let _ = writeln!(text, "\nthe found space against:\n\n{}", comparisons(&report.comparisons));
    let _ = write!(text, "errors of random subnets on held-out images:\n\n{}", errors(report));
    for left_out in &report.left_out {
        let _ = write!(text, "\n`{}` is left out: {}\n", left_out.name, left_out.reason);
    }
    text
}

fn networks(spaces: &[ComparedSpace]) -> String {
    let heading = ["space", "encoding", "budget ms", "INT8 ms", "INT8 accuracy", "MMACs"];
    let mut table = Table::new(&heading);
    for ComparedSpace { name, space, networks, infeasible_budgets_ms, .. } in spaces {
        for network in networks {
            table.row([
                name.clone(),
                space.clone(),
                ms(network.budget_ms),
                ms(network.int8_ms),
                percent(network.test_accuracy),
                format!("{:.2}", network.macs as f64 / 1e6),
            ]);
        }
        for budget in infeasible_budgets_ms {
            let none = || "-".to_owned();
            table.row([name.clone(), space.clone(), ms(*budget), none(), none(), none()]);
        }
    }
    table.render()
}

/// Means, with how many points they are over.
fn comparisons(comparisons: &[AgainstSpace]) -> String {
    let mut table = Table::new(&[
        "space",
        "speed-up at equal accuracy",
        "reached",
        "accuracy at equal latency",
        "compared",
    ]);
    for AgainstSpace { name, compared } in comparisons {
        let speed_ups = &compared.speed_ups;
        let at_least = match speed_ups.iter().any(|point| point.at_least) {
            true => "at least ",
            false => "",
        };
        let reached = speed_ups.iter().filter(|point| point.speed_up.is_some()).count();
        let gained = compared.gains.iter().filter(|point| point.gain.is_some()).count();
        table.row([
            name.clone(),
            or_dash(compared.mean_speed_up, |times| format!("{at_least}{times:.2}x")),
            format!("{reached} of {}", speed_ups.len()),
            or_dash(compared.mean_gain, |gain| format!("{:+.2} points", 100.0 * gain)),
            format!("{gained} of {}", compared.gains.len()),
        ]);
    }
    table.render()
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
