//! EfficientNet-Lite0 out of three kinds of files is one network, and knows what is on photographs. The file of PyTorch
//! is the published one; those as ONNX and by timm's names are made of it here.

use std::{collections::HashMap, fs, path::Path, process::Command};

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use spacewright_core::{
    data::{CenterCrop, Normalize, Resize, Transform},
    foreign::{ModelFile, OpenSizes},
    graph::Graph,
    import::{GRAPH, ImportedNetwork, WEIGHTS, graph_of},
    quant::{FloatWeights, TensorData, fold_float},
    random,
    target::{ModelInfo, Runtime},
};
use spacewright_data::{Pipeline, decode_image};
use spacewright_host_ort::OrtRuntime;

const SIDE: usize = 224;

/// Photographs of scikit-image, and the classes of ImageNet that are on them.
const PHOTOGRAPHS: [(&str, &[usize], &str); 3] = [
    ("coffee.png", &[967], "espresso"),
    ("chelsea.png", &[281, 282, 285], "a tabby, tiger or Egyptian cat"),
    ("rocket.jpg", &[657], "missile"),
];

/// Names of parts in the file of PyTorch, and what timm calls them; in blocks without expansion the second one.
const ENDS: [(&str, &str); 5] = [
    ("_conv_stem", "conv_stem"),
    ("_bn0", "bn1"),
    ("_conv_head", "conv_head"),
    ("_bn1", "bn2"),
    ("_fc", "classifier"),
];
const IN_BLOCKS: [(&str, &str, &str); 6] = [
    ("_expand_conv", "conv_pw", ""),
    ("_bn0", "bn1", ""),
    ("_depthwise_conv", "conv_dw", "conv_dw"),
    ("_bn1", "bn2", "bn1"),
    ("_project_conv", "conv_pwl", "conv_pw"),
    ("_bn2", "bn3", "bn2"),
];
/// Blocks of each stage.
const DEPTHS: [usize; 7] = [1, 2, 2, 3, 3, 4, 1];

/// A tensor's name in timm's files. `part` is one of the op graph, whose nodes are called as in the file of PyTorch.
fn timm(part: &str) -> String {
    let (node, role) = part.rsplit_once('.').unwrap();
    let role = match role {
        "gamma" => "weight",
        "beta" => "bias",
        "mean" => "running_mean",
        "var" => "running_var",
        other => other,
    };
    let Some(in_block) = node.strip_prefix("_blocks.") else {
        let (_, name) = ENDS.iter().find(|(name, _)| *name == node).unwrap();
        return format!("{name}.{role}");
    };
    let (number, name) = in_block.split_once('.').unwrap();
    let (mut stage, mut block) = (0, number.parse::<usize>().unwrap());
    while block >= DEPTHS[stage] {
        block -= DEPTHS[stage];
        stage += 1;
    }
    let (_, name, without) = IN_BLOCKS.iter().find(|(own, ..)| *own == name).unwrap();
    let name = if stage == 0 { without } else { name };
    format!("blocks.{stage}.{block}.{name}.{role}")
}

/// A safetensors file as timm publishes them.
fn timm_file(network: &ImportedNetwork) -> Vec<u8> {
    let bytes = |tensor: &TensorData| -> Vec<u8> {
        tensor.data.iter().flat_map(|number| number.to_le_bytes()).collect()
    };
    let content: Vec<_> = network
        .weights
        .iter()
        .map(|(name, tensor)| (timm(name), tensor.shape.clone(), bytes(tensor)))
        .collect();
    let views = content.iter().map(|(name, shape, bytes)| {
        (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap())
    });
    let metadata = [("architecture".to_owned(), "tf_efficientnet_lite0".to_owned())];
    safetensors::serialize(views, &Some(HashMap::from(metadata))).unwrap()
}

/// What `model import` makes of a file.
fn imported(folder: &Path, file: &str) -> (Graph, FloatWeights) {
    let out = folder.join(format!("{file}.imported"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_spacewright"));
    command.args(["--quiet", "model", "import"]).arg(folder.join(file)).arg("--out").arg(&out);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{file}: {}", String::from_utf8_lossy(&output.stderr));
    let graph = graph_of(&fs::read(out.join(GRAPH)).unwrap()).unwrap();
    let content = fs::read(out.join(WEIGHTS)).unwrap();
    let tensors = SafeTensors::deserialize(&content).unwrap();
    let tensor = |(name, view): (String, TensorView<'_>)| {
        let numbers = view.data().chunks_exact(4);
        let data = numbers.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        (name, TensorData { shape: view.shape().to_vec(), data })
    };
    (graph, tensors.tensors().into_iter().map(tensor).collect())
}

/// The photographs as the network was trained on: (x − 127) / 128 in the middle of the picture.
fn inputs(folder: &Path) -> Vec<Vec<f32>> {
    let normalize = Normalize { mean: vec![127.0 / 255.0; 3], std: vec![128.0 / 255.0; 3] };
    let transforms = [
        Transform::Resize(Resize { crop_share: 0.875, ..Resize::default() }),
        Transform::CenterCrop(CenterCrop::default()),
        Transform::Normalize(normalize),
    ];
    let pipeline = Pipeline::new(&transforms, 3).unwrap();
    let input = |(name, ..): &(&str, &[usize], &str)| {
        let pixels = decode_image(&fs::read(folder.join(name)).unwrap()).unwrap();
        let pixels = pipeline.image(pixels, SIDE, &mut random::generator(0, &[])).unwrap();
        let mut input = vec![0.0; 3 * SIDE * SIDE];
        pipeline.normalized(&pixels, &mut input);
        input
    };
    PHOTOGRAPHS.iter().map(input).collect()
}

#[test]
#[cfg_attr(not(have_teachers), ignore = "no EfficientNet: run cargo xtask test --long")]
fn lite0_is_one_network_out_of_three_kinds_of_files() {
    let deps = Path::new(env!("CARGO_MANIFEST_DIR")).join(".deps");
    let folder = tempfile::tempdir().unwrap();
    let torch = fs::read(deps.join("teachers/efficientnet-lite0-57934424.pth")).unwrap();
    fs::write(folder.path().join("lite0.pth"), &torch).unwrap();
    let runtime = OrtRuntime::new("test").unwrap();
    let readers = spacewright_published_networks::readers();
    let file = ModelFile::in_memory(&torch);
    let reader = readers.iter().find(|reader| reader.recognizes(&file)).unwrap();
    let network = reader.read(&file, &OpenSizes::new()).unwrap();
    let folded = fold_float(&network.graph, &network.weights).unwrap();
    let onnx = runtime.write_float(&folded, &ModelInfo::default()).unwrap();
    fs::write(folder.path().join("lite0.onnx"), onnx).unwrap();
    fs::write(folder.path().join("lite0.safetensors"), timm_file(&network)).unwrap();

    let inputs = inputs(&deps.join("photographs"));
    let logits = |file: &str| -> Vec<Vec<f32>> {
        let (graph, weights) = imported(folder.path(), file);
        let folded = fold_float(&graph, &weights).unwrap();
        let model = runtime.write_float(&folded, &ModelInfo::default()).unwrap();
        let mut loaded = runtime.load(&model).unwrap();
        inputs.iter().map(|image| loaded.run(image).unwrap()).collect()
    };
    let by_torch = logits("lite0.pth");
    for file in ["lite0.onnx", "lite0.safetensors"] {
        for (ours, first) in logits(file).iter().flatten().zip(by_torch.iter().flatten()) {
            assert!((ours - first).abs() < 1e-4, "{file}: {ours} for {first}");
        }
    }
    for (logits, (name, classes, what)) in by_torch.iter().zip(PHOTOGRAPHS) {
        let best = (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap();
        assert!(logits.len() == 1000 && classes.contains(&best), "{name} shows {what}, not {best}");
    }
}
