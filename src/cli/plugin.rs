//! Plugins, on the command line.

use std::{path::PathBuf, str::FromStr as _};

use clap::{Args, Subcommand, ValueEnum};
use spacewright_sdk::Kind;

use super::offered::offered;

#[derive(Debug, Subcommand)]
pub enum PluginCommand {
    /// Write a crate with one function to fill in, a test and a README.
    New(PluginNewArgs),
    /// Build a plugin's crate into one file that can be installed.
    Build {
        /// Folder of the plugin.
        #[arg(default_value = ".")]
        folder: PathBuf,
        /// Another carrier than the one in `Cargo.toml`.
        #[arg(long, value_enum)]
        carrier: Option<CarrierArg>,
    },
    /// Ask a plugin everything that the program will ask, and judge the answers.
    Check {
        /// The plugin's file, or the name of an installed plugin.
        plugin: String,
    },
    /// Put a plugin where every command finds it.
    Install {
        /// The plugin's file.
        file: PathBuf,
    },
    /// Allow a native library to run, with all your rights.
    Trust {
        /// The library's file.
        file: PathBuf,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Take trust in a native library back: it is not loaded any more.
    Untrust {
        /// The library's file, or the SHA-256 of what was trusted.
        library: String,
    },
    /// The installed plugins.
    List,
    /// What a plugin is, what it offers, and what its calls cost.
    Inspect {
        /// The plugin's file, or the name of an installed plugin.
        plugin: String,
    },
    /// Look for what is wrong with the installed plugins and with the tools that build them.
    Doctor,
    /// Take an installed plugin away.
    Remove {
        /// Its name.
        name: String,
    },
}

#[derive(Debug, Args)]
pub struct PluginNewArgs {
    /// What the plugin offers: operator-set, hyperspace, quantizer, latency-source, scorer or
    /// target.
    #[arg(
        long,
        value_parser = offered(Kind::from_str, Kind::ALL.map(Kind::name)),
        hide_possible_values = true
    )]
    pub kind: Kind,
    /// How it comes into the program.
    #[arg(long, value_enum, default_value_t = CarrierArg::Wasm)]
    pub carrier: CarrierArg,
    /// What it is written in.
    #[arg(long, value_enum, default_value_t = LanguageArg::Rust)]
    pub language: LanguageArg,
    /// Letters, digits, `-` and `_`.
    pub name: String,
    /// Folder to make; that of the name where not given.
    #[arg(long, value_name = "DIR")]
    pub path: Option<PathBuf>,
    /// A fitted model (`target fit`) that gives a target's latencies; one for each precision.
    #[arg(long = "model", value_name = "FILE")]
    pub models: Vec<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CarrierArg {
    /// A WebAssembly component: runs anywhere, within limits.
    Wasm,
    /// A native library: runs with the user's full rights.
    Native,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LanguageArg {
    Rust,
    C,
}
