//! The `spacewright-torch` program: trains for `spacewright`, which starts it.

use std::{
    io::{Write as _, stderr},
    process::ExitCode,
};

use spacewright_torch_trainer::{NAME, TorchTrainer};

fn main() -> ExitCode {
    match spacewright_worker::serve(NAME, TorchTrainer::new) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let hint = "`spacewright run STUDY` starts this program by itself";
            let _ = writeln!(stderr(), "error: {error}\nhint: {hint}");
            ExitCode::from(2)
        }
    }
}
