//! The project's own commands, run as `cargo xtask <command>`.
//!
//! Few dependencies on purpose: this crate is compiled before anything else can be fetched or
//! built. Archives and checksums are left to the Python that fetches the wheels anyway.

mod bench_train;
mod book;
mod faults;
mod fuzz;
mod gallery;
mod light;
mod message;
mod process;
mod quickstart;
mod repo;
mod setup;
mod steps;
mod targets;
mod test;
mod wheel;

use std::process::ExitCode;

const HELP: &str = "\
usage: cargo xtask <command>

commands:
  setup         fetch what the build needs into .deps/ (only what is missing)
  setup --cuda  the same, and what NVIDIA's GPUs need (2.6 GB to fetch, 3.8 GB on the disk)
  setup --teachers  fetch networks trained on ImageNet into .deps/teachers/ (40 MB)
  quickstart    set up, build, and run examples/quickstart.toml
  targets       build and install the targets of hardware-targets/ that are plugins
  wheel         build the Python package with both programs
  book          build the documents as a site, in target/book
  gallery [RUNS]  take pictures of the pages of example studies that have run, for docs/gallery
  test          set up, then every check and test of the project
  test --fix    the same, but repair formatting and lints instead of checking them
  test --long   the same as test, with the tests that take long
  faults        kills, failing system calls and damaged files, all of them (hours)
  bench-train   compare training steps with PyTorch's (python3 needs torch 2.11)
  fuzz MINUTES  look for bytes that a reader does not come back from, so long for each reader
  help          show this text
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match args[..] {
        ["setup"] => setup::run().map(|()| ExitCode::SUCCESS),
        ["setup", "--cuda"] => setup::run_with_cuda().map(|()| ExitCode::SUCCESS),
        ["setup", "--teachers"] => setup::teachers::ensure().map(|()| ExitCode::SUCCESS),
        ["quickstart"] => quickstart::run(),
        ["targets"] => targets::run().map(|()| ExitCode::SUCCESS),
        ["book"] => book::run().map(|()| ExitCode::SUCCESS),
        ["gallery"] => gallery::run("runs".as_ref()).map(|()| ExitCode::SUCCESS),
        ["gallery", runs] => gallery::run(runs.as_ref()).map(|()| ExitCode::SUCCESS),
        ["wheel"] => wheel::run().map(|()| ExitCode::SUCCESS),
        ["test"] => test::run(test::Mode::Check, false).map(|()| ExitCode::SUCCESS),
        ["test", "--fix"] => test::run(test::Mode::Fix, false).map(|()| ExitCode::SUCCESS),
        ["test", "--long"] => test::run(test::Mode::Check, true).map(|()| ExitCode::SUCCESS),
        ["bench-train", ref arguments @ ..] => {
            bench_train::run(arguments).map(|()| ExitCode::SUCCESS)
        }
        ["faults"] => faults::run().map(|()| ExitCode::SUCCESS),
        ["fuzz", minutes] => fuzz::run(minutes).map(|()| ExitCode::SUCCESS),
        ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        _ => {
            eprint!("error: unknown command `{}`\n\n{HELP}", args.join(" "));
            return ExitCode::from(2);
        }
    };
    result.unwrap_or_else(|error| {
        eprintln!("{}", message::describe(&error));
        ExitCode::FAILURE
    })
}
