//! `spacewright task`: what jobs of a cluster run.

use serde_json::json;
use spacewright_engine::{NodeTask, Registry};

use crate::{
    catalog,
    cli::{Global, TaskArgs},
    process, progress,
    render::{Failure, Output},
};

/// The command as the head submits it; `None` where the program does not know its own file.
pub fn command() -> Option<Vec<String>> {
    let program = std::env::current_exe().ok()?;
    Some(vec![program.to_str()?.to_owned(), "task".to_owned()])
}

/// Runs the task and leaves its result where the head looks for it.
pub fn run(args: &TaskArgs, global: &Global) -> Result<Output, Failure> {
    let task = NodeTask::read(&args.folder, &args.task)?;
    let mut registry = Registry::built_in()?;
    catalog::plugins_of(task.home())?.add_to(&mut registry)?;
    task.run(&registry, progress::observer(global), process::cancelled_by_signal())?;
    let text = format!("{}: finished", args.task);
    Output::new(text, &json!({ "task": args.task, "finished": true }))
}
