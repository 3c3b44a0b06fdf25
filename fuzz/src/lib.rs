//! What is fuzzed: the loader of components, every decoder of what a plugin answers, and every reader of
//! files that somebody else may have written. Each function takes any bytes and must come back; what it
//! accepts must keep its promises.
//!
//! `cargo xtask fuzz MINUTES` looks for new inputs; `cargo test` replays the corpus and small changes
//! of it.

use std::{fs, path::Path, sync::LazyLock};

use spacewright_core::{
    foreign::{ModelFile, OpenSizes},
    graph::Graph,
    import::NetworkReader,
    latency::GraphColumns,
    operators::Operators,
    sealed::{seal, unseal, unseal_line},
};
use spacewright_data::{
    Catalog, DataError, Pixels, cifar, decode_image, idx, open,
    shard::{self, Member},
};
use spacewright_engine::{
    LatencyCache, Overrides, Registry, Study, hyperspace as document,
    plugins::{Limits, Loader},
};
use spacewright_host_ort::OnnxReader;
use spacewright_latency_model::read_blocks;
use spacewright_plugin::native::protocol::{Answer, Request, decode, encode};
use spacewright_sdk::conformance;
use spacewright_tflite::Wanted;

/// A function of this crate.
pub type Target = fn(&[u8]);

/// All of them, by the names of their corpora.
pub const TARGETS: [(&str, Target); 16] = [
    ("answer", answer),
    ("blocks", blocks),
    ("cifar", cifar),
    ("columns", columns),
    ("component", component),
    ("graph", graph),
    ("hyperspace", hyperspace),
    ("idx", idx),
    ("image", image),
    ("latencies", latencies),
    ("networks", networks),
    ("onnx", onnx),
    ("sealed", sealed),
    ("shard", shard),
    ("study", study),
    ("tflite", tflite),
];

/// Loads a file as a component and asks all that it offers, within small limits.
pub fn component(bytes: &[u8]) {
    let Ok(folder) = tempfile::tempdir() else { return };
    let file = folder.path().join("plugin.wasm");
    if fs::write(&file, bytes).is_err() {
        return;
    }
    let limits = Limits {
        start_fuel: 10_000_000,
        call_fuel: 10_000_000,
        item_fuel: 1_000_000,
        memory: 64 << 20,
        answer: 1 << 20,
        stack: 256 << 10,
        ..Limits::default()
    };
    let loader = Loader { limits, ..Loader::default() };
    if let Ok(loaded) = loader.load(&file) {
        conformance::check(&loaded.plugin);
    }
}

/// Reads a graph, the answer of an operator set; one within bounds can be counted and written.
pub fn graph(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let Ok(graph) = text.parse::<Graph>() else { return };
    if graph.check_bounds().is_err() {
        return;
    }
    let counted = graph.macs().and(graph.params()).and(graph.peak_activation_elements());
    assert!(counted.is_ok(), "a graph within bounds can be counted: {counted:?}");
    let written = graph.to_string();
    assert_eq!(written.parse::<Graph>().as_ref(), Ok(&graph), "{written}");
}

/// Reads a hyperspace; a valid one can be counted and has spaces.
pub fn hyperspace(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let Ok(hyperspace) = document::parse(text, "fuzz") else { return };
    let operators = Operators::new(spacewright_operators_cnn::operator_sets()).unwrap();
    if hyperspace.validate(&operators).is_ok() {
        assert!(hyperspace.spaces().next().is_some(), "a valid hyperspace has spaces");
        let _ = hyperspace.space_count();
    }
}

/// Reads an answer of a native library; what can be read is written and read again unchanged.
pub fn answer(bytes: &[u8]) {
    let Ok(answer) = decode::<Answer>(bytes) else { return };
    let again = encode(&answer).and_then(|written| decode::<Answer>(&written));
    // Numbers that are none differ from themselves.
    assert_eq!(again.map(|answer| format!("{answer:?}")), Ok(format!("{answer:?}")));
}

/// Reads a question to a plugin, and takes columns apart; graphs with shapes become them again.
pub fn columns(bytes: &[u8]) {
    let _ = decode::<Request<'_>>(bytes);
    let Ok(columns) = decode::<GraphColumns>(bytes) else { return };
    let Ok(queries) = columns.queries() else { return };
    if let Ok(again) = GraphColumns::of(&queries) {
        assert_eq!(again.queries().as_ref(), Ok(&queries));
    }
}

/// Reads an ONNX file as `model inspect` and `model import` do; what the first says can be written, and what
/// the second gives is a network.
pub fn onnx(bytes: &[u8]) {
    let file = ModelFile::in_memory(bytes);
    if let Ok(summary) = spacewright_host_ort::read(&file) {
        assert!(serde_json::to_string(&summary).is_ok());
    }
    if let Ok(network) = OnnxReader.read(&file, &OpenSizes::new()) {
        assert_eq!(network.graph.check_network_bounds(), Ok(()));
        assert!(network.graph.weights().is_ok());
    }
}

/// Reads weights as `model import` does; what they give is a network.
pub fn networks(bytes: &[u8]) {
    let file = ModelFile::in_memory(bytes);
    for reader in spacewright_published_networks::readers() {
        if reader.recognizes(&file)
            && let Ok(network) = reader.read(&file, &OpenSizes::new())
        {
            assert_eq!(network.graph.check_network_bounds(), Ok(()));
        }
    }
}

/// Reads a TFLite file as `model inspect`, `model import` and `target predict` do.
pub fn tflite(bytes: &[u8]) {
    if let Ok(summary) = spacewright_tflite::read(bytes) {
        assert!(serde_json::to_string(&summary).is_ok());
    }
    for wanted in [Wanted::Weights, Wanted::Structure] {
        if let Ok(network) = spacewright_tflite::import(bytes, wanted) {
            assert_eq!(network.graph.check_network_bounds(), Ok(()));
        }
    }
}

/// Reads a spreadsheet of measured blocks; what is read is positive.
pub fn blocks(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let operators = Operators::new(spacewright_operators_cnn::operator_sets()).unwrap();
    if let Ok(blocks) = read_blocks("fuzz", text, &operators) {
        assert!(blocks.iter().all(|block| block.ms > 0.0 && block.ms.is_finite()));
    }
}

/// Reads a pair of IDX files as a set: the first byte says where the second, of images, begins.
pub fn idx(bytes: &[u8]) {
    let Some((at, rest)) = bytes.split_first() else { return };
    let (labels, images) = rest.split_at(usize::from(*at).min(rest.len()));
    if let Ok(header) = idx::header(&mut &*images) {
        assert!(header.length >= 4 + 4 * header.sizes.len() as u64);
    }
    let Ok(folder) = tempfile::tempdir() else { return };
    let files = [("train-images-idx3-ubyte", images), ("train-labels-idx1-ubyte", labels)];
    if files.iter().all(|(name, content)| fs::write(folder.path().join(name), content).is_ok()) {
        decode_all(open(&[folder.path().to_owned()], None));
    }
}

/// Reads a file of CIFAR's records, with one label and with two.
pub fn cifar(bytes: &[u8]) {
    for labels in [1, 2] {
        if let Ok(found) = cifar::labels(bytes, labels) {
            assert_eq!(found.len() * (labels + 3072), bytes.len());
        }
    }
}

/// Reads a tar file of samples, as it is and as a stream; both have the same files.
pub fn shard(bytes: &[u8]) {
    let Ok(folder) = tempfile::tempdir() else { return };
    let path = folder.path().join("a.tar");
    if fs::write(&path, bytes).is_err() {
        return;
    }
    let whole = fs::File::open(&path).and_then(|file| shard::whole(&file));
    let streamed = shard::unpack(bytes, &mut std::io::sink(), &mut 0);
    if let (Ok(whole), Ok(streamed)) = (whole, streamed) {
        let names = |members: &[Member]| -> Vec<(String, u64)> {
            members.iter().map(|member| (member.name.clone(), member.length)).collect()
        };
        assert_eq!(names(&whole), names(&streamed));
    }
    decode_all(open(&[path], None));
}

/// Decodes a file as an image; one that decodes has a value for each channel of each pixel.
pub fn image(bytes: &[u8]) {
    if let Ok(Pixels { height, width, channels, data }) = decode_image(bytes) {
        assert!(height * width > 0);
        assert_eq!(data.len(), height * width * channels);
    }
}

/// Decodes the images of a set; each comes back or is refused.
fn decode_all(catalog: Result<Catalog, DataError>) {
    if let Ok(catalog) = catalog {
        for sample in &catalog.samples {
            assert!((sample.class as usize) < catalog.classes.len());
            let _ = catalog.decode(sample);
        }
        for refused in &catalog.refused {
            assert!(!refused.to_string().is_empty());
        }
    }
}

/// Checks a study; none refers to files that are not there.
pub fn study(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    // Named here, or the linker drops them with their registrations.
    static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
        std::hint::black_box((
            spacewright_operators_cnn::operator_sets as fn() -> _,
            spacewright_quantizers::quantizers as fn() -> _,
            spacewright_q_t_score::scorers as fn() -> _,
            spacewright_spaceevo::methods as fn() -> _,
            spacewright_host_ort::targets as fn() -> _,
        ));
        Registry::built_in().unwrap()
    });
    let folder = Path::new("/nonexistent");
    if let Ok(study) = Study::parse("fuzz", text, folder, &REGISTRY, &Overrides::default()) {
        assert!(serde_json::to_string(&study).is_ok());
    }
}

/// Opens a data base; whatever it is, afterwards there is one that works.
pub fn latencies(bytes: &[u8]) {
    let Ok(home) = tempfile::tempdir() else { return };
    if fs::write(home.path().join("latency.sqlite"), bytes).is_ok() {
        // One of a later version is refused.
        let _ = LatencyCache::open(home.path());
    }
}

/// Unseals bytes and a line; what comes back is what was sealed.
pub fn sealed(bytes: &[u8]) {
    if let Some(content) = unseal(bytes) {
        assert_eq!(seal(content.to_vec()), bytes);
    }
    let _ = str::from_utf8(bytes).map(unseal_line);
}
