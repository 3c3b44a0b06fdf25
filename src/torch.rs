//! The `spacewright-torch` program: trains for `spacewright`, which starts it, or which it joins.

use std::{
    env, io,
    io::{Write as _, stderr},
    process::ExitCode,
};

use spacewright_core::train::{Compute, Place};
use spacewright_torch_trainer::{NAME, TorchTrainer, announced};

fn main() -> ExitCode {
    let make = |compute: &Compute, place: Option<&Place>| {
        let trainer = TorchTrainer::new(compute, place)?;
        let card = trainer.card().map(str::to_owned);
        Ok((trainer, card))
    };
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let served = match words[..] {
        // As `spacewright run` does in processes that were started together.
        ["join", host, port, rank] => meet(host, port, rank)
            .and_then(|(announced, rank)| spacewright_worker::join(&announced, rank, NAME, make)),
        _ => spacewright_worker::serve(NAME, make),
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let hint = "`spacewright run STUDY` starts this program by itself";
            let _ = writeln!(stderr(), "error: {error}\nhint: {hint}");
            ExitCode::from(2)
        }
    }
}

/// What the head has announced, and the number of this process.
fn meet(host: &str, port: &str, rank: &str) -> io::Result<(String, usize)> {
    let port = port.parse().map_err(io::Error::other)?;
    let rank = rank.parse().map_err(io::Error::other)?;
    Ok((announced(host, port).map_err(io::Error::other)?, rank))
}
