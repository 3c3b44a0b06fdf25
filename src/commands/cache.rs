//! What the program keeps on the disk.

use std::path::Path;

use spacewright_engine::{
    default_home,
    room::{Kept, Unneeded, free, kept},
};

use crate::{
    cli::{CacheArgs, CacheCommand, DEFAULT_RUNS},
    render::{Failure, Output, Table},
};

pub fn run(command: &CacheCommand) -> Result<Output, Failure> {
    let (CacheCommand::List(CacheArgs { runs, superseded })
    | CacheCommand::Clear(CacheArgs { runs, superseded })) = command;
    // A run's folder is there once something has run; another name may be a typing error.
    if !runs.is_dir() && (runs.exists() || *runs != Path::new(DEFAULT_RUNS)) {
        let failure = Failure::input(format!("there is no folder {}", runs.display()));
        return Err(failure.hint("`--runs` names the folder of all runs"));
    }
    let (home, unneeded) = (default_home()?, Unneeded { superseded: *superseded });
    let (heading, all) = match command {
        CacheCommand::List(_) => ("can go", kept(&home, runs, unneeded)?),
        CacheCommand::Clear(_) => ("freed", free(&home, runs, unneeded)?),
    };
    Output::new(text(&all, heading), &all)
}

fn text(all: &[Kept], heading: &str) -> String {
    let mut table = Table::new(&["what", "size", heading, "where"]);
    for Kept { what, place, bytes, free, .. } in all {
        let place = place.display().to_string();
        table.row([(*what).to_owned(), size(*bytes), size(*free), place]);
    }
    let sum = |of: fn(&Kept) -> u64| size(all.iter().map(of).sum());
    table.row(["in all".to_owned(), sum(|kept| kept.bytes), sum(|kept| kept.free), String::new()]);
    table.render()
}

/// Bytes as people say them, in powers of ten.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    let mut amount = bytes as f64 / 1e3;
    let mut unit = 0;
    while amount >= 999.95 && unit + 1 < UNITS.len() {
        amount /= 1e3;
        unit += 1;
    }
    format!("{amount:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_have_units() {
        let shown = [0, 12_345, 999_960, 1_234_567_890, 5_000_000_000_000_000].map(size);
        assert_eq!(shown, ["0.0 kB", "12.3 kB", "1.0 MB", "1.2 GB", "5000.0 TB"]);
    }
}
