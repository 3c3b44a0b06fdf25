//! The `spacewright-torch` program: trains for `spacewright`, which starts it.

use std::process::ExitCode;

fn main() -> ExitCode {
    match spacewright_worker::serve(spacewright_torch_trainer::TorchTrainer::new) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!(
                "error: {error}\nhint: `spacewright run STUDY` starts this program by itself"
            );
            ExitCode::from(2)
        }
    }
}
