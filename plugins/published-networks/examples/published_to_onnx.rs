//! Writes a published network as ONNX, to compare it with other programs:
//! `cargo run --example published_to_onnx -- FILE OUT.onnx [SIDE]`.

use std::{env, error::Error, fs, path::Path};

use spacewright_core::{
    foreign::{ModelFile, OpenSizes},
    quant::fold_float,
    target::ModelInfo,
};
use spacewright_host_ort::writer::write_float;
use spacewright_published_networks::readers;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [file, out, side @ ..] = &arguments[..] else {
        return Err("expected FILE OUT.onnx [SIDE]".into());
    };
    let mut sizes = OpenSizes::new();
    if let [side] = side {
        sizes.insert("side".into(), side.parse()?);
    }
    let content = fs::read(file)?;
    let file = ModelFile { content: &content, path: Some(Path::new(file)) };
    let reader = readers().into_iter().find(|reader| reader.recognizes(&file));
    let network = reader.ok_or("no reader knows this file")?.read(&file, &sizes)?;
    let mut info = ModelInfo { name: network.name, ..ModelInfo::default() };
    info.metadata.insert("notes".into(), network.notes.join("; "));
    fs::write(out, write_float(&fold_float(&network.graph, &network.weights)?, &info)?)?;
    Ok(())
}
