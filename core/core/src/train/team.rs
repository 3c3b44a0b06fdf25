//! The place of a process among those that train together.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The place of a process among those that train together: each has a share of the images of a step, and all
/// change their parameters by the sum of what they have found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeamPlace {
    /// Its number, from 0. The first one writes files, and tells how far the work is.
    pub rank: usize,
    /// How many processes there are.
    pub processes: usize,
    /// Its number among those of its machine: which of the machine's GPUs it computes on.
    pub local_rank: usize,
    /// Where they find each other.
    pub meeting: Meeting,
    /// What the first one tells others there, who wait for it; see [`Meeting::HEAD`].
    pub announces: Option<String>,
}

impl TeamPlace {
    /// Whether this is the one that writes files.
    pub fn is_first(&self) -> bool {
        self.rank == 0
    }
}

/// Where processes find each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Meeting {
    /// On one machine: a file that does not exist yet.
    File(PathBuf),
    /// On several machines: a port of one of them, as `MASTER_ADDR` and `MASTER_PORT` name it to programs that
    /// PyTorch's `torchrun` starts.
    Port {
        /// Name or address of the machine.
        host: String,
        /// The port.
        port: u16,
        /// Whether this process listens there; otherwise the program that has started it, or another one, does.
        listens: bool,
    },
}

impl Meeting {
    /// The name under which the first process announces where the head is.
    pub const HEAD: &'static str = "head";
}
