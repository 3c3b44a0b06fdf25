//! The program as a compiler of components: a process of its own, which is started for one
//! component and may take neither long nor much memory.

use std::process::ExitCode;

use spacewright_engine::plugins::Compiler;

/// The only argument of such a process; no command that people type.
const COMMAND: &str = "compile-component";

/// How such a process is started; `None` where the program does not know its own file.
pub fn command() -> Option<Compiler> {
    let program = std::env::current_exe().ok()?;
    Some(Compiler { program, arguments: vec![COMMAND.to_owned()] })
}

/// Does what such a process is for, if this is one.
pub fn run_if_asked() -> Option<ExitCode> {
    std::env::args_os().nth(1).is_some_and(|argument| argument == COMMAND).then(compile)
}

#[cfg(feature = "wasm-plugins")]
fn compile() -> ExitCode {
    use std::io::{Read as _, Write as _, stderr, stdin, stdout};

    use spacewright_engine::plugins::{self, Limits};

    let mut component = Vec::new();
    let read = stdin().lock().read_to_end(&mut component).map_err(|error| error.to_string());
    let code = read.and_then(|_| {
        plugins::compile(&component, &Limits::default()).map_err(|error| error.to_string())
    });
    match code.map(|code| stdout().write_all(&code)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(_)) => ExitCode::FAILURE,
        Err(reason) => {
            let _ = stderr().write_all(reason.as_bytes());
            ExitCode::from(plugins::REFUSED)
        }
    }
}

#[cfg(not(feature = "wasm-plugins"))]
fn compile() -> ExitCode {
    ExitCode::FAILURE
}
