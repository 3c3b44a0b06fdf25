//! The `spacewright-torch` program: trains for `spacewright`, which starts it.

use std::{
    io::{Write as _, stderr},
    process::ExitCode,
};

use spacewright_core::train::Compute;
use spacewright_torch_trainer::{NAME, TorchTrainer};

fn main() -> ExitCode {
    let make = |compute: &Compute| {
        let trainer = TorchTrainer::new(compute)?;
        let card = trainer.card().map(str::to_owned);
        Ok((trainer, card))
    };
    match spacewright_worker::serve(NAME, make) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let hint = "`spacewright run STUDY` starts this program by itself";
            let _ = writeln!(stderr(), "error: {error}\nhint: {hint}");
            ExitCode::from(2)
        }
    }
}
