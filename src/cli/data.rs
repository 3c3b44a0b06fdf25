//! `spacewright data …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// Look at every image of a set: its layout, parts and classes, sizes, what lies in two parts, what
    /// cannot be used, and what a study would do with it.
    Check(DataCheckArgs),
}

#[derive(Debug, Args)]
pub struct DataCheckArgs {
    /// Folder of the images, or shards (.tar, .tar.gz), also as patterns: `train-{000..146}.tar`.
    #[arg(required = true, value_name = "DIR")]
    pub places: Vec<PathBuf>,
    /// What the folder is, where it looks like several: cifar, idx, image-folder or webdataset.
    #[arg(long)]
    pub layout: Option<String>,
    /// Images to hold out of training where a part is missing; a tenth of them, at most 5000, where not
    /// given.
    #[arg(long, value_name = "IMAGES")]
    pub held_out: Option<usize>,
    /// Write a PNG file with some of the images as training would see them, with their classes.
    #[arg(long, value_name = "FILE")]
    pub sheet: Option<PathBuf>,
}
