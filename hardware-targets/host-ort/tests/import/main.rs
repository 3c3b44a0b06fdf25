//! Trained classifiers as other programs write them, imported: the op graph gives what ONNX Runtime gives.

mod file;
mod versions;

use std::{collections::BTreeMap, fs};

use file::file;
use prost::Message as _;
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;
use spacewright_core::{
    foreign::{ModelFile, OpenSizes},
    graph::{OpKind, Shape},
    import::{ImportError, ImportedNetwork, NetworkReader},
    quant::fold_float,
    target::{ModelInfo, Runtime},
};
use spacewright_host_ort::{
    OnnxReader, OrtRuntime,
    proto::{
        DimensionProto, EXTERNAL, ModelProto, StringStringEntryProto, TensorShapeProto,
        TensorTypeProto, TypeProto, ValueInfoProto, data_type,
    },
};

fn read(model: &ModelProto) -> Result<ImportedNetwork, ImportError> {
    OnnxReader.read(&ModelFile::in_memory(&model.encode_to_vec()), &OpenSizes::new())
}

/// The reasons for which nodes are not known, by their names.
fn unknown(opset: i64, lines: &str) -> BTreeMap<String, String> {
    match read(&file(&[1, 3, 16, 16], opset, lines)).unwrap_err() {
        ImportError::Unknown(nodes) => {
            nodes.into_iter().map(|node| (node.node, node.reason)).collect()
        }
        other => panic!("{other}"),
    }
}

/// Imports a file, and compares its results on noise.
#[track_caller]
fn imported(model: &ModelProto) -> ImportedNetwork {
    let network = read(model).unwrap_or_else(|error| panic!("{error}"));
    let content = model.encode_to_vec();
    let mut rng = Pcg64Mcg::seed_from_u64(7);
    let elements = network.graph.input.elements();
    let image: Vec<f32> = (0..elements).map(|_| rng.random_range(-2.0..2.0)).collect();
    let images = [image];
    let theirs = OnnxReader.run(&ModelFile::in_memory(&content), &OpenSizes::new(), &images);
    let theirs = theirs.unwrap().unwrap().remove(0);
    let folded = fold_float(&network.graph, &network.weights).unwrap();
    let runtime = OrtRuntime::new("host-ort").unwrap();
    let written = runtime.write_float(&folded, &ModelInfo::default()).unwrap();
    let mut ours = runtime.load(&written).unwrap().run(&images[0]).unwrap();
    if network.softmax {
        let sum: f32 = ours.iter().map(|n| n.exp()).sum();
        ours.iter_mut().for_each(|n| *n = n.exp() / sum);
    }
    assert_eq!(ours.len(), theirs.len());
    let largest = theirs.iter().fold(0.0f32, |most, n| most.max(n.abs()));
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert!((ours - theirs).abs() <= 1e-4 * largest, "{ours} for {theirs}");
    }
    network
}

fn count(network: &ImportedNetwork, kind: OpKind) -> usize {
    network.graph.nodes.iter().filter(|node| node.op.kind() == kind).count()
}

const CONV: &str = "pads=1,1,1,1 strides=2,2";

#[test]
fn a_residual_network_keeps_its_normalizations() {
    let lines = format!(
        "w = Identity w:8x3x3x3
         a = Conv x w ; {CONV}
         b = BatchNormalization a g:8 b:8 m:8 var:8 ; epsilon=0.001
         c = Relu b
         m = MaxPool c ; kernel_shape=3,3 pads=1,1,1,1 strides=2,2
         d = Conv m w:8x8x3x3 bias:8 ; pads=1,1,1,1
         e = Add d m
         f = Relu e
         p = GlobalAveragePool f
         q = Flatten p
         y = Gemm q w:5x8 b:5 ; transB=1"
    );
    let network = imported(&file(&[-1, 3, 32, 32], 17, &lines));
    assert_eq!(count(&network, OpKind::BatchNorm), 1);
    assert_eq!(network.weights["net.b.var"].shape, [8]);
    assert_eq!(network.graph.nodes[0].name, "net.a");
    assert_eq!(network.graph.output_shape().unwrap(), Shape::new(5, 1, 1));
    assert!(!network.softmax && network.notes.is_empty());
}

#[test]
fn squeeze_and_excitation_with_hard_swish_is_found_in_every_way_to_write_it() {
    for (gate, swish) in [
        // As operators.
        ("g = HardSigmoid f ; alpha=0.16666667", "h = HardSwish a"),
        // As arithmetic, divided at its end or before the product.
        (
            "s = Add f 3.0
             t = Clip s 0.0 6.0
             g = Div t 6.0",
            "u = Add a 3.0
             v = Clip u 0.0 6.0
             z = Mul a v
             h = Div z 6.0",
        ),
        (
            "s = Add f 3.0
             t = Clip s 0.0 6.0
             g = Mul t 0.16666667",
            "u = Add a 3.0
             v = Clip u 0.0 6.0
             z = Div v 6.0
             h = Mul z a",
        ),
    ] {
        let lines = format!(
            "a = Conv x w:8x3x3x3 b:8 ; {CONV}
             {swish}
             p = GlobalAveragePool h
             d = Conv p w:4x8x1x1 b:4
             e = Relu d
             f = Conv e w:8x4x1x1 b:8
             {gate}
             k = Mul g h
             q = ReduceMean k ; axes=2,3 keepdims=0
             y = Gemm q w:8x5 b:5"
        );
        let network = imported(&file(&[1, 3, 16, 16], 17, &lines));
        let kinds = [OpKind::HSwish, OpKind::HSigmoid, OpKind::Mul, OpKind::Add];
        assert_eq!(kinds.map(|kind| count(&network, kind)), [1, 1, 1, 0], "{swish}");
        assert_eq!(network.graph.nodes.len(), 10, "{:?}", network.graph);
    }
}

#[test]
fn swish_a_mean_and_a_matrix_product_make_a_classifier() {
    let lines = format!(
        "a = Conv x w:8x3x3x3 b:8 ; {CONV}
         s = Sigmoid a
         b = Mul a s
         m = ReduceMean b [-1,-2] ; keepdims=0
         z = MatMul m w:8x5
         y = Add z b:5"
    );
    let network = imported(&file(&[1, 3, 16, 16], 18, &lines));
    let kinds: Vec<OpKind> = network.graph.nodes.iter().map(|node| node.op.kind()).collect();
    assert_eq!(kinds, [OpKind::Conv2d, OpKind::Swish, OpKind::GlobalAvgPool, OpKind::Linear]);
}

#[test]
fn same_padding_relu6_and_a_softmax_are_as_tensorflow_has_them() {
    for pad in [
        "a = Conv x w:8x3x3x3 b:8 ; auto_pad=SAME_UPPER strides=2,2",
        "o = Pad x [0,0,0,0,0,0,1,1] 0.0
         a = Conv o w:8x3x3x3 b:8 ; strides=2,2",
    ] {
        let lines = format!(
            "{pad}
             b = Clip a 0.0 6.0
             c = Conv b w:8x1x5x5 ; group=8 auto_pad=SAME_LOWER strides=2,2
             p = AveragePool c ; kernel_shape=4,4
             q = Reshape p [-1,8]
             z = Gemm q w:5x8 b:5 ; transB=1
             y = Softmax z ; axis=1"
        );
        let network = imported(&file(&[1, 3, 16, 16], 17, &lines));
        assert!(network.softmax);
        // One average over all.
        assert_eq!(count(&network, OpKind::GlobalAvgPool), 1);
        assert_eq!(count(&network, OpKind::Relu6), 1);
    }
}

#[test]
fn groups_average_pools_and_flattened_maps_are_known() {
    let lines = "a = Conv x w:16x3x3x3 b:16 ; pads=1,1,1,1
         b = Relu a
         p = AveragePool b ; kernel_shape=2,2 strides=2,2 ceil_mode=1
         c = Conv p w:16x4x3x3 b:16 ; group=4 pads=1,1,1,1
         d = AveragePool c ; kernel_shape=3,3 strides=2,2 pads=1,1,1,1
         s = Shape d
         n = Gather s [0]
         t = Concat n [-1] ; axis=0
         f = Reshape d t
         g = Gemm f w:12x256 b:12 ; transB=1
         h = Relu g
         i m = Dropout h
         y = Gemm i w:5x12 b:5 ; transB=1";
    let network = imported(&file(&[1, 3, 16, 16], 17, lines));
    assert_eq!(count(&network, OpKind::AvgPool), 2);
    assert_eq!(count(&network, OpKind::Linear), 2);
}

#[test]
fn normalizations_that_nothing_can_take_over_become_convolutions() {
    let lines = "a = BatchNormalization x g:3 b:3 m:3 var:3
         i = Sub a mean:1x3x1x1
         j = Div i var:1x3x1x1
         b = Relu j
         c = Conv b w:8x3x3x3 b:8 ; pads=1,1,1,1
         d = BatchNormalization c g:8 b:8 m:8 var:8
         e = Relu d
         f = Add e c
         p = GlobalAveragePool f
         q = Squeeze p [2,3]
         y = Gemm q w:5x8 b:5 ; transB=1";
    let network = imported(&file(&[1, 3, 16, 16], 17, lines));
    assert_eq!(count(&network, OpKind::BatchNorm), 0);
    // Arithmetic with constants is one convolution, and each of the two normalizations.
    assert_eq!(count(&network, OpKind::Conv2d), 4);
    assert!(network.notes[0].starts_with("2 batch normalization(s)"), "{:?}", network.notes);
}

#[test]
fn gates_of_linear_layers_are_put_back_into_maps() {
    let lines = "a = Conv x w:8x3x3x3 b:8 ; pads=1,1,1,1
         p = GlobalAveragePool a
         q = Flatten p
         d = Gemm q w:4x8 b:4 ; transB=1
         e = Relu d
         f = Gemm e w:8x4 b:8 ; transB=1
         g = Sigmoid f
         r = Reshape g [1,8,1,1]
         k = Mul a r
         m = GlobalAveragePool k
         n = Flatten m
         y = Gemm n w:5x8 b:5 ; transB=1";
    let network = imported(&file(&[1, 3, 8, 8], 17, lines));
    assert_eq!(count(&network, OpKind::Mul), 1);
}

/// The fire module of SqueezeNet (arXiv 1602.07360), with the classifier that follows its maps.
#[test]
fn channels_of_branches_are_joined() {
    let lines = "a = Conv x w:8x3x3x3 b:8 ; strides=2,2
         b = Relu a
         m = MaxPool b ; kernel_shape=3,3 strides=2,2 ceil_mode=1
         s = Conv m w:4x8x1x1 b:4
         t = Relu s
         e1 = Conv t w:8x4x1x1 b:8
         r1 = Relu e1
         e3 = Conv t w:8x4x3x3 b:8 ; pads=1,1,1,1
         r3 = Relu e3
         f = Concat r1 r3 ; axis=1
         d u = Dropout f
         c = Conv d w:5x16x1x1 b:5
         g = Relu c
         p = GlobalAveragePool g
         y = Flatten p ; axis=1";
    let network = imported(&file(&[1, 3, 31, 31], 17, lines));
    assert_eq!(count(&network, OpKind::Concat), 1);
}

/// Dense blocks (arXiv 1608.06993) join what all layers before have made, and normalize it before they use it.
#[test]
fn joined_channels_are_normalized_and_joined_again() {
    let lines = "a = Conv x w:8x3x3x3 ; pads=1,1,1,1
         one = Concat a ; axis=1
         n1 = BatchNormalization one g:8 b:8 m:8 var:8
         r1 = Relu n1
         c1 = Conv r1 w:4x8x3x3 ; pads=1,1,1,1
         two = Concat a c1 ; axis=-3
         n2 = BatchNormalization two g:12 b:12 m:12 var:12
         r2 = Relu n2
         c2 = Conv r2 w:4x12x3x3 ; pads=1,1,1,1
         all = Concat a c1 c2 a ; axis=1
         n3 = BatchNormalization all g:24 b:24 m:24 var:24
         r3 = Relu n3
         p = GlobalAveragePool r3
         q = Flatten p
         h = Flatten c2
         k = Flatten c1
         j = Concat h k ; axis=-1
         l = Gemm j w:6x512 b:6 ; transB=1
         z = Concat q l q ; axis=1
         y = Gemm z w:5x54 b:5 ; transB=1";
    let network = imported(&file(&[1, 3, 8, 8], 17, lines));
    assert_eq!(count(&network, OpKind::Concat), 4);
    assert_eq!(count(&network, OpKind::BatchNorm), 0);
    assert!(network.notes[0].starts_with("3 batch normalization(s)"), "{:?}", network.notes);
}

/// Blocks of Inception (arXiv 1512.00567): windows of 1×7 and 7×1, and averages that count the zeros around the map;
/// then windows whose pixels lie apart, as networks for dense prediction have them.
#[test]
fn windows_need_not_be_square_or_dense() {
    let lines = "a = Conv x w:8x3x1x7 b:8 ; pads=0,3,0,3
         b = Relu a
         c = Conv b w:8x8x7x1 b:8 ; pads=3,0,3,0
         d = AveragePool x ; kernel_shape=3,3 pads=1,1,1,1 count_include_pad=1
         e = AveragePool d ; kernel_shape=1,3 pads=0,1,0,1 count_include_pad=1
         f = Concat c e ; axis=1
         g = Conv f w:8x11x3x3 b:8 ; dilations=2,2 pads=2,2,2,2
         h = Conv g w:8x1x3x3 ; group=8 dilations=3,3 pads=2,2,3,3 strides=2,2
         i = Conv h w:8x8x1x3 ; dilations=4,2
         p = GlobalAveragePool i
         y = Flatten p";
    let network = imported(&file(&[1, 3, 16, 16], 17, lines));
    assert_eq!(count(&network, OpKind::AvgPool), 0);
    assert_eq!(count(&network, OpKind::Conv2d), 7);
}

#[test]
fn all_that_is_not_known_is_named_at_once() {
    let reasons = unknown(
        17,
        "a = Conv x w:8x3x3x3 ; strides=2,1
         b = Relu a
         c = LeakyRelu x
         d = Add b c
         e = Einsum d
         f = Conv x w:8x3x3x3 ; dilations=2,1
         g = HardSigmoid x
         h = Clip x -1.0 1.0
         i = Transpose x ; perm=0,2,3,1
         j = MaxPool x ; kernel_shape=1,3
         k = Concat x x ; axis=2
         q = Concat x r ; axis=1
         r = Flatten x
         l = Conv x w:8x4x3x3
         m = Softmax x
         n = Gemm x w:5x8
         o = Add x w:16
         s = AveragePool x ; kernel_shape=2001,2001 pads=1000,1000,1000,1000 count_include_pad=1",
    );
    let expected = [
        ("a", "strides 2 and 1; equal ones are known"),
        ("c", "it is not known"),
        ("e", "it is not known"),
        ("f", "dilations 2 and 1; equal ones are known"),
        ("g", "`alpha` 0.2 and `beta` 0.5; 1/6 and 0.5 are known"),
        ("h", "limits of -1 and 1; 0 and 6 are known"),
        ("i", "images are channels first (NCHW) only, and stay so"),
        ("j", "a window of 1x3; square ones are known for pools"),
        ("k", "values are joined along axis 2; along channels is known"),
        ("l", "weights for 1 groups of 4 channels, and an input of 3x16x16"),
        ("m", "it is known as the end of a network only"),
        ("n", "its input has 4 dimensions, not 2"),
        ("o", "a constant of the shape [16]; one number for each channel is known"),
        ("q", "its inputs have 4 and 2 dimensions"),
        ("s", "an average over 2001x2001 pixels of 3 channels"),
    ];
    let expected = expected.map(|(node, reason)| (format!("/net/{node}"), reason.to_owned()));
    // What only reads such nodes is not their fault.
    assert_eq!(reasons, expected.into());
}

/// Lets a file say the shape of a value.
fn declare(model: &mut ModelProto, name: &str, sizes: &[i64]) {
    let dim = sizes.iter().map(|size| DimensionProto { dim_value: Some(*size), dim_param: None });
    let shape = Some(TensorShapeProto { dim: dim.collect() });
    let tensor_type = Some(TensorTypeProto { elem_type: data_type::FLOAT, shape });
    let r#type = Some(TypeProto { tensor_type });
    let graph = model.graph.as_mut().unwrap();
    graph.value_info.push(ValueInfoProto { name: name.into(), r#type });
}

#[test]
fn shares_of_multiply_adds_are_told_where_shapes_are_declared() {
    let lines = "a = Conv x w:8x3x3x3 b:8 ; strides=2,1
         p = GlobalAveragePool a
         q = Flatten p
         y = Gemm q w:5x8 b:5 ; transB=1";
    let mut model = file(&[-1, 3, 16, 16], 17, lines);
    let shares = |model: &ModelProto| match read(model).unwrap_err() {
        ImportError::Unknown(nodes) => nodes.iter().map(|node| node.share).collect::<Vec<_>>(),
        error => panic!("{error}"),
    };
    assert_eq!(shares(&model), [None]);
    declare(&mut model, "a", &[1, 8, 12, 12]);
    assert_eq!(shares(&model), [None], "of the last layer nothing is known");
    declare(&mut model, "y", &[1, 5]);
    let convolution = 8.0 * 12.0 * 12.0 * 27.0;
    assert_eq!(shares(&model), [Some(convolution / (convolution + 40.0))]);

    // Together more than can be counted.
    let lines = "b = Conv x w:1x3x1x1
         c = Conv x w:1x3x1x1
         d = Einsum x";
    let mut huge = file(&[1, 3, 16, 16], 17, lines);
    for name in ["b", "c"] {
        declare(&mut huge, name, &[1, i64::MAX / 2]);
    }
    assert_eq!(shares(&huge), [None]);
}

#[test]
fn files_that_are_no_classifiers_are_refused() {
    let error = |model: &ModelProto| read(model).unwrap_err().to_string();
    let lines = "y = Relu x";
    let wrong = error(&file(&[8, 3, 16, 16], 17, lines));
    assert!(wrong.contains("8×3×16×16 is no image") && wrong.contains("hint: export"), "{wrong}");
    assert!(error(&file(&[1, 128], 17, lines)).contains("is no image"));
    let mut two = file(&[1, 3, 4, 4], 17, lines);
    let graph = two.graph.as_mut().unwrap();
    graph.output.push(graph.output[0].clone());
    assert!(error(&two).contains("it has 2 outputs; one, of classes, is known"));
    assert!(error(&file(&[1, 3, 4, 4], 6, lines)).contains("are of version 6; 7 and later"));
    let cycle = file(&[1, 3, 4, 4], 17, "a = Relu b\nb = Relu a\ny = Relu x");
    assert!(error(&cycle).contains("nothing makes its input"), "{}", error(&cycle));
}

#[test]
fn weights_may_lie_in_a_file_beside_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let lines = "a = Conv x w:4x3x1x1\np = GlobalAveragePool a\ny = Flatten p";
    let mut model = file(&[1, 3, 4, 4], 17, lines);
    let inside = read(&model).unwrap();
    let weights = &mut model.graph.as_mut().unwrap().initializer[0];
    fs::write(folder.path().join("weights"), std::mem::take(&mut weights.raw_data)).unwrap();
    let entry = StringStringEntryProto { key: "location".into(), value: "weights".into() };
    (weights.external_data, weights.data_location) = (vec![entry], EXTERNAL);
    let (path, content) = (folder.path().join("m.onnx"), model.encode_to_vec());
    fs::write(&path, &content).unwrap();
    let beside = ModelFile { content: &content, path: Some(&path) };
    assert_eq!(OnnxReader.read(&beside, &OpenSizes::new()).unwrap(), inside);
}
