//! Each network is known by its tensors, and has the counts that timm gives it.

use std::{fs, path::Path};

use spacewright_core::{
    foreign::{ModelFile, OpenSizes},
    graph::{Op, Shape},
    import::ImportedNetwork,
};

use crate::files::{Published, Tensor, import, legacy_torch, read, safetensors};

#[track_caller]
fn check_counts(name: &str) {
    let published = Published::timm(name);
    let network = import(&published.safetensors(), None).unwrap();
    assert_eq!(network.name, name);
    let Published { parameters, multiply_adds, side, .. } = published;
    assert_eq!(network.graph.input, Shape::square(3, side));
    assert_eq!(network.graph.output_shape().unwrap(), Shape::new(1000, 1, 1));
    let counts = (network.graph.params().unwrap(), network.graph.macs().unwrap());
    assert_eq!(counts, (parameters, multiply_adds), "{name}");
    check_weights(&network);
}

/// All weights are there with their shapes, and statistics of batch normalizations.
fn check_weights(network: &ImportedNetwork) {
    let mut expected = 0;
    for spec in network.graph.weights().unwrap() {
        assert_eq!(network.weights[&spec.name].shape, spec.shape, "{}", spec.name);
        expected += 1;
    }
    for node in &network.graph.nodes {
        if matches!(node.op, Op::BatchNorm { .. }) {
            assert!(network.weights[&format!("{}.mean", node.name)].data.iter().any(|x| *x != 0.0));
            assert!(network.weights[&format!("{}.var", node.name)].data.iter().all(|x| *x > 0.0));
            expected += 2;
        }
    }
    assert_eq!(network.weights.len(), expected);
}

macro_rules! counts {
    ($($name:ident)*) => {
        $(#[test] fn $name() { check_counts(stringify!($name)); })*
    };
}

counts! {
    mobilenetv2_035 mobilenetv2_050 mobilenetv2_100 mobilenetv2_110d mobilenetv2_120d
    mobilenetv2_140
    mobilenetv3_small_050 mobilenetv3_small_075 mobilenetv3_small_100 mobilenetv3_large_075
    mobilenetv3_large_100
    efficientnet_b0 efficientnet_b1 efficientnet_b2 efficientnet_b3 efficientnet_b4
    efficientnet_lite0 efficientnet_lite1 efficientnet_lite2 efficientnet_lite3
    efficientnet_lite4
    resnet18 resnet34 resnet50 resnet101 resnet152
}

/// Tensors of timm's names under those of `efficientnet_lite_pytorch`.
pub fn with_package_names(tensors: &[Tensor]) -> Vec<Tensor> {
    let (mut last, mut number) = (None, 0);
    let renamed = tensors.iter().map(|tensor| {
        let parts: Vec<&str> = tensor.name.split('.').collect();
        let name = match parts[..] {
            ["blocks", stage, block, layer, part] => {
                let place = (stage.to_owned(), block.to_owned());
                if last.as_ref().is_some_and(|last| *last != place) {
                    number += 1;
                }
                last = Some(place);
                // Blocks of the first stage expand nothing, and timm counts their normalizations from 1.
                let layer = match (stage == "0", layer) {
                    (true, "conv_pw") | (false, "conv_pwl") => "_project_conv",
                    (false, "conv_pw") => "_expand_conv",
                    (_, "conv_dw") => "_depthwise_conv",
                    (false, "bn1") => "_bn0",
                    (true, "bn1") | (false, "bn2") => "_bn1",
                    (true, "bn2") | (false, "bn3") => "_bn2",
                    _ => panic!("{layer}"),
                };
                format!("_blocks.{number}.{layer}.{part}")
            }
            [layer, part] => {
                let layer = match layer {
                    "bn1" => "_bn0",
                    "bn2" => "_bn1",
                    "conv_stem" => "_conv_stem",
                    "conv_head" => "_conv_head",
                    _ => "_fc",
                };
                format!("{layer}.{part}")
            }
            _ => panic!("{parts:?}"),
        };
        Tensor { name, ..tensor.clone() }
    });
    renamed.collect()
}

#[test]
fn the_lite_package_has_names_of_its_own() {
    for (name, side) in [("efficientnet_lite0", 224), ("efficientnet_lite2", 260)] {
        let published = Published::timm(name);
        let tensors = with_package_names(&published.tensors);
        let network = import(&legacy_torch(&tensors), None).unwrap();
        assert_eq!(network.name, format!("tf_{name}"));
        assert_eq!(network.graph.input, Shape::square(3, side));
        assert_eq!(network.graph.params().unwrap(), published.parameters);
        assert_eq!(network.graph.macs().unwrap(), published.multiply_adds);
        check_weights(&network);
        assert_eq!(network.notes.len(), 1, "{:?}", network.notes);
        let same = import(&safetensors(&tensors, None), None).unwrap();
        assert_eq!(same, network);
    }
}

/// Padding at the top and the bottom of the first convolution, and what is added to variances.
fn rules(network: &ImportedNetwork) -> (usize, usize, f64) {
    let mut nodes = network.graph.nodes.iter();
    let Op::Conv2d(stem) = &nodes.next().unwrap().op else { panic!() };
    let Op::BatchNorm { eps } = nodes.next().unwrap().op else { panic!() };
    (stem.padding.top, stem.padding.bottom, eps)
}

#[test]
fn metadata_or_the_name_of_a_file_say_what_a_network_was_trained_with() {
    let tensors = Published::timm("mobilenetv3_small_050").tensors;
    let (plain, tensorflow) = ((1, 1, 1e-5), (0, 1, 1e-3));
    let check = |architecture, path: Option<&str>, expected, note: &str| {
        let content = safetensors(&tensors, architecture);
        let file = ModelFile { content: &content, path: path.map(Path::new) };
        let network = read(&file, &OpenSizes::new()).unwrap();
        assert_eq!(rules(&network), expected);
        assert_eq!(network.name.starts_with("tf_"), expected == tensorflow);
        assert!(network.notes[0].contains(note), "{:?}", network.notes);
    };
    check(None, None, plain, "weights of `tf_mobilenetv3_small_050` need this name");
    check(None, Some("tf/model.safetensors"), plain, "trained with PyTorch");
    check(None, Some("x/tf_mobilenetv3_small_050.in1k"), tensorflow, "its file's name");
    check(Some("tf_mobilenetv3_small_050"), None, tensorflow, "its metadata");
    let (name, path) = ("mobilenetv3_small_050.lamb_in1k", Some("tf_x"));
    check(Some(name), path, plain, "trained with PyTorch");
    // As Hugging Face keeps it.
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model.safetensors");
    let config = |text: &str| fs::write(folder.path().join("config.json"), text).unwrap();
    config(r#"{"architecture": "tf_mobilenetv3_small_050", "num_classes": 1000}"#);
    check(None, model.to_str(), tensorflow, "`config.json`");
    check(Some("mobilenetv3_small_050"), model.to_str(), plain, "trained with PyTorch");
    config("{}");
    check(None, model.to_str(), plain, "trained with PyTorch");
}

#[test]
fn the_input_has_the_side_and_channels_that_are_asked_for() {
    let mut published = Published::timm("resnet18");
    let stem = &mut published.tensors[0];
    *stem = Tensor::new(stem.name.clone(), vec![64, 1, 7, 7]);
    let network = import(&published.safetensors(), Some(65)).unwrap();
    assert_eq!(network.graph.input, Shape::square(1, 65));
    let nodes = &network.graph.nodes;
    let named = |name: &str| nodes.iter().any(|node| node.name == name);
    assert!(["conv1.act", "layer1.0.conv2", "layer4.1.act", "fc"].into_iter().all(named));
}

#[test]
fn widths_that_were_not_published_are_read_and_said() {
    let mut tensors = Published::timm("mobilenetv2_050").tensors;
    let last = |tensor: &&mut Tensor| tensor.name.starts_with("conv_head.");
    let head = tensors.iter_mut().find(last).unwrap();
    assert_eq!(head.shape, [1280, 160, 1, 1]);
    *head = Tensor::new(head.name.clone(), vec![1280, 168, 1, 1]);
    for tensor in tensors.iter_mut().filter(|tensor| tensor.name.starts_with("blocks.6.0.")) {
        if tensor.name.contains("conv_pwl") || tensor.name.contains("bn3") && tensor.shape == [160]
        {
            let mut shape = tensor.shape.clone();
            shape[0] = 168;
            *tensor = Tensor::new(tensor.name.clone(), shape);
        }
    }
    let network = import(&safetensors(&tensors, None), None).unwrap();
    assert_eq!(network.name, "MobileNetV2");
    assert_eq!(network.graph.input, Shape::square(3, 224));
    assert!(network.notes[0].starts_with("no MobileNetV2 with these widths"), "{network:?}");
}
