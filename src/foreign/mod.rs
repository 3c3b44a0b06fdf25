//! Model files that others wrote are opened and run in a process of their own, whose time and
//! memory are limited: whatever a file does to a runtime, the command that asked says what.
//!
//! `parent` starts this program again as `spacewright foreign-file`, which is `child`: a request
//! goes in as JSON, and what becomes known comes back line by line, so that nothing is lost where
//! the process has to be ended. What runtimes write to standard output or error goes to the log.

mod child;
mod messages;
mod parent;

pub use child::serve;
pub use messages::{Found, OpenTask, ReadTask, Request, Task};
pub use parent::ask;

/// What to do where memory ends.
fn memory_hint(gib: u64) -> String {
    format!("memory is limited to {gib} GiB; --memory GIB allows more")
}
