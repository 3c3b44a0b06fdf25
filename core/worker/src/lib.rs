//! Trainers in processes of their own.
//!
//! A program that trains has a large library in it, which takes time to start, memory, and may fail in ways
//! that end a process. So the program that people call has none of it: [`WorkerTrainer`] is a trainer that
//! starts another program, which [`serve`]s the trainer that computes.
//!
//! ```text
//!   head                                     worker
//!   WorkerTrainer ── compute so ───────────► serve ──► a Trainer
//!        │        ◄── on which card, or why not │
//!        │        ── jobs, cancel ───────────►  │
//!        │        ◄── progress, answers ──────  │
//!   operator sets ◄── which graphs? ──────────  │
//!   quantizers    ◄── which scales? ──────────  │
//! ```
//!
//! Both sides talk over one socket, the worker's standard input: what libraries print goes elsewhere. Plugins
//! stay with the head, which answers for them. Files stay what they are: jobs name paths. A worker ends when
//! the socket does.
//!
//! Several workers may train one network together: a team, each of which is told the same job, and its place
//! among them. Workers of a team that were started on other machines ([`join`]) connect to the head.
#![cfg(unix)]

mod head;
mod invitation;
mod message;
mod socket;
mod wire;
mod worker;

pub use head::{Launched, WorkerError, WorkerProgram, WorkerTrainer};
pub use worker::{join, serve};
