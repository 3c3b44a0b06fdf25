//! Live pages, on the command line.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;

use super::DEFAULT_RUNS;

#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Folder of all runs.
    #[arg(default_value = DEFAULT_RUNS, value_name = "RUNS")]
    pub runs: PathBuf,
    /// Where to listen; port 0 is any that is free. Beyond this machine's own addresses (such as 127.0.0.1), a
    /// token is asked for: that of SPACEWRIGHT_TOKEN, or one that is made up and shown.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7788")]
    pub listen: SocketAddr,
    /// Another name by which browsers reach this machine, such as `gpu-3.example.org`; may be given several
    /// times. Requests to other names than `localhost` and numbers are refused.
    #[arg(long = "host", value_name = "NAME")]
    pub hosts: Vec<String>,
    /// Open the list of runs in the browser.
    #[arg(long)]
    pub open: bool,
}
