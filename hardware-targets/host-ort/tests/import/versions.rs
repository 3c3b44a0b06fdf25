//! What operators of some versions say in attributes and those of others in inputs, and what few files make use of.

use std::collections::BTreeMap;

use crate::{file::file, imported, read, unknown};

#[test]
fn limits_of_weights_are_attributes_or_inputs() {
    for (opset, clipped) in [
        (10, "w:8x3x3x3 ; min=-0.25 max=0.25"),
        (10, "w:8x3x3x3 ; max=0.25"),
        (13, "w:8x3x3x3 -0.25 0.25"),
        (13, "w:8x3x3x3 _ 0.25"),
    ] {
        let lines = format!(
            "w = Clip {clipped}
             a = Conv x w b:8
             p = GlobalAveragePool a
             y = Flatten p"
        );
        let network = imported(&file(&[1, 3, 8, 8], opset, &lines));
        let weights = &network.weights["net.a.weight"].data;
        assert_eq!(weights.iter().copied().fold(0.0, f32::max), 0.25, "{clipped}");
    }
}

#[test]
fn a_shape_can_be_asked_for_in_part() {
    for (part, asked) in [
        ("p ; start=0 end=1", "s [-1]"),
        ("p ; end=-3", "s [-1]"),
        ("p ; start=-9 end=-3", "s [-1]"),
        ("p ; start=1 end=99", "[1] s"),
        ("p ; start=3 end=1", "[1,-1] s"),
        ("w:1x8x3x3 ; end=2", "s"),
    ] {
        let lines = format!(
            "a = Conv x w:8x3x3x3 b:8
             p = GlobalAveragePool a
             s = Shape {part}
             t = Concat {asked} ; axis=0
             y = Reshape p t"
        );
        imported(&file(&[1, 3, 8, 8], 17, &lines));
    }
}

#[test]
fn a_size_can_be_asked_for_at_a_single_place() {
    let lines = "a = Conv x w:8x3x3x3 b:8
         p = GlobalAveragePool a
         s = Shape p
         i = Constant ; value_int=0
         n = Gather s i
         u = Unsqueeze n [0]
         t = Concat u [-1] ; axis=0
         y = Reshape p t";
    imported(&file(&[1, 3, 8, 8], 17, lines));
}

#[test]
fn pads_can_be_those_of_some_axes() {
    let pads =
        ["[0,1,0,1] _ [2,3]", "[1,0,0,2] 0.0 [-1,-2]", "[2,1] 0.0 [3]", "[0,0,0,1] _ [1,-2]"];
    for pad in pads {
        let lines = format!(
            "o = Pad x {pad}
             a = Conv o w:8x3x3x3 b:8 ; strides=2,2
             p = GlobalAveragePool a
             y = Flatten p"
        );
        imported(&file(&[1, 3, 8, 8], 18, &lines));
    }
}

#[test]
fn a_dropout_of_inference_may_say_so() {
    let lines = "a = Conv x w:8x3x3x3 b:8
         d = Dropout a 0.5 false
         p = GlobalAveragePool d
         y = Flatten p";
    imported(&file(&[1, 3, 8, 8], 13, lines));
}

#[test]
fn what_would_give_other_results_is_refused() {
    let mut reasons = unknown(
        18,
        "a = Pad x [0,1] 0.0 [1]
         b = Pad x [0,1] 0.0 [2,3]
         c = Pad x [0,1] 0.0 [-5]
         d = Dropout x 0.5 true
         e = BatchNormalization x g:3 b:3 m:3 var:3 ; training_mode=1
         f = Reshape x [0,-1] ; allowzero=1
         h = ReduceMean x ; noop_with_empty_axes=1
         k = AveragePool x ; kernel_shape=3,3 strides=2,2 ceil_mode=1
         l = Conv x w:8x3x1x1 ; auto_pad=SAME_UPPER strides=6,6
         q = Flatten x
         r = Mul q w:1x1x1x1",
    );
    // Before version 14, a normalization with several outputs normalizes by its input.
    reasons.extend(unknown(9, "n mean v s t = BatchNormalization x g:3 b:3 m:3 var:3"));
    let trains = "it is in training mode: export the network for inference";
    let expected = [
        ("a", "it pads channels"),
        ("b", "`pads` has 2 numbers, not 4"),
        ("c", "axes [-5] of 4 dimensions"),
        ("d", trains),
        ("e", trains),
        ("f", "`allowzero` with the shape [0, -1], which has no elements"),
        ("h", "the mean over axes []; over height and width is known"),
        ("k", "`ceil_mode`, with a last window that is not whole"),
        ("l", "`auto_pad` leaves 3 pixels out at the end; at most 2 are known"),
        ("n", trains),
        ("r", "a constant of the shape [1, 1, 1, 1]; one number for each channel is known"),
    ];
    let expected = expected.map(|(node, reason)| (format!("/net/{node}"), reason.to_owned()));
    assert_eq!(reasons, BTreeMap::from(expected));
}

#[test]
fn operators_of_other_domains_are_not_those_of_onnx() {
    let lines = "w = Neg w:8x3x3x3
         a = Conv x w
         p = GlobalAveragePool a
         y = Flatten p";
    let mut model = file(&[1, 3, 8, 8], 17, lines);
    assert!(read(&model).is_ok());
    model.graph.as_mut().unwrap().node[0].domain = "com.example".into();
    let error = read(&model).unwrap_err().to_string();
    assert!(error.contains("operators of `com.example` are not known"), "{error}");
}
