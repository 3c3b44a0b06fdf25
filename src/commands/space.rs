//! `spacewright space …`

mod explain;
mod front;
mod look;
mod score;
mod search;

use crate::{
    cli::SpaceCommand,
    render::{Failure, Output},
};

pub fn run(command: &SpaceCommand, seed: u64, quiet: bool) -> Result<Output, Failure> {
    match command {
        SpaceCommand::Count { hyperspace } => look::count(hyperspace),
        SpaceCommand::Show { space, hyperspace } => look::show(space, hyperspace.as_deref()),
        SpaceCommand::Sample { hyperspace, count } => look::sample(hyperspace, *count, seed),
        SpaceCommand::Score(args) => score::score(args, seed),
        SpaceCommand::Search(args) => search::search(args, seed, quiet),
        SpaceCommand::Explain(args) => explain::explain(args, seed),
    }
}
