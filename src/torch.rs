//! The `spacewright-torch` program: trains for `spacewright`, which starts it, or which it joins.

use std::{
    env, io,
    io::{Write as _, stderr},
    process::ExitCode,
};

use mimalloc::MiMalloc;
use spacewright_core::train::{Compute, TeamPlace};
use spacewright_torch_trainer::{NAME, TorchTrainer, announced};

/// For libtorch, too: it takes the place of the C library's.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let make = |compute: &Compute, local_rank: usize, place: Option<&TeamPlace>| {
        let trainer = TorchTrainer::new(compute, local_rank, place)?;
        let card = trainer.card().map(str::to_owned);
        Ok((trainer, card))
    };
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let served = match words[..] {
        // As `spacewright run` does in processes that were started together.
        ["join", host, port, rank, local_rank] => meet(host, port, [rank, local_rank])
            .and_then(|(announced, ranks)| spacewright_worker::join(&announced, ranks, NAME, make)),
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

/// What the head has announced, and the numbers of this process: of all, and of its machine's.
fn meet(host: &str, port: &str, ranks: [&str; 2]) -> io::Result<(String, (usize, usize))> {
    let port = port.parse().map_err(io::Error::other)?;
    let [rank, local_rank] = ranks.map(|rank| rank.parse().map_err(io::Error::other));
    Ok((announced(host, port).map_err(io::Error::other)?, (rank?, local_rank?)))
}
