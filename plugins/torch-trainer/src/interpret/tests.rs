use spacewright_core::{
    graph::{ConvSpec, GraphBuilder, Shape},
    quant::activation_params,
};

use super::*;
use crate::{calibrate, layout::Layout, testing};

/// What is joined was rounded, each value on its own scale, and is rounded together.
#[test]
fn joined_channels_are_rounded_to_their_own_scale() {
    let context = testing::context();
    let mut b = GraphBuilder::new(Shape::square(3, 6));
    let x = b.input();
    let one = b.conv("one", x, ConvSpec::new(5, 3).bias());
    let one = b.act("act", one, ActivationKind::Relu);
    let other = b.conv("other", x, ConvSpec::new(2, 1).bias());
    let all = b.concat("all", &[one, x, other]);
    let pooled = b.global_avg_pool("pooled", all);
    let fc = b.linear("fc", pooled, 4);
    let features = b.concat("features", &[fc, pooled]);
    let graph = b.finish(features);
    let plan = Plan::new(&graph, &context.scheme).unwrap();
    let mut layout = Layout::default();
    layout.include(&graph, &context.scheme).unwrap();
    let mut params = Params::init(&layout, 3);
    let images = testing::randn("images", &[2, 3, 6, 6]);
    calibrate::start(&mut params, &layout, &context, |params, _| {
        let run = Run { params, quantized: false, dropout: false, factors: None };
        run.observe(&plan, &images, &mut Norm::Batch)
    })
    .unwrap();
    let run = Run { params: &params, quantized: true, dropout: false, factors: None };
    let taps = [ValueId::INPUT, one, other, all, fc, pooled];
    let values = run.execute(&plan, &images, &mut Norm::Batch, &taps, None).unwrap();
    let [features, x, one, other, all, fc, pooled] = &values[..] else { panic!() };
    for (name, joined, parts) in
        [("all", all, vec![one, x, other]), ("features", features, vec![fc, pooled])]
    {
        let number = |what: &str| params.get(&format!("{name}.{what}")).unwrap().double_value(&[0]);
        let (scale, offset) = (number(SCALE) as f32, number(OFFSET) as f32);
        let quantizer = activation_params(scale, offset, layout.activations[name]);
        let before = Tensor::cat(&parts, 1);
        let floats = |tensor: &Tensor| Vec::<f32>::try_from(tensor.flatten(0, -1)).unwrap();
        for (x, y) in floats(&before).into_iter().zip(floats(joined)) {
            let expected = quantizer.dequantize(quantizer.quantize(x));
            // A tie may go to either side.
            let tie = ((x / scale).fract().abs() - 0.5).abs() < 1e-3;
            let allowed = if tie { scale * 1.001 } else { scale * 0.001 };
            assert!((y - expected).abs() <= allowed, "{name}: {x} is {y}, not {expected}");
        }
    }
    assert!(!layout.activations["all"].non_negative && layout.activations["act"].non_negative);
}

/// Gates and residuals of linear layers, as in the original squeeze-and-excitation, what follows them, and a network
/// that ends without one.
#[test]
fn what_linear_layers_give_meets_maps_image_by_image() {
    let context = testing::context();
    let mut b = GraphBuilder::new(Shape::square(3, 6));
    let x = b.conv("stem", b.input(), ConvSpec::new(4, 3).bias());
    let pooled = b.global_avg_pool("pooled", x);
    let fc = b.linear("fc", pooled, 4);
    let gate = b.act("gate", fc, ActivationKind::Sigmoid);
    let gated = b.mul("gated", x, gate);
    let again = b.global_avg_pool("again", gated);
    let sum = b.add("sum", again, fc);
    let scaled = b.conv("scaled", sum, ConvSpec::depthwise(4, 1).bias());
    let head = b.conv("head", scaled, ConvSpec::new(5, 1).bias());
    let graph = b.finish(head);
    let plan = Plan::new(&graph, &context.scheme).unwrap();
    let mut layout = Layout::default();
    layout.include(&graph, &context.scheme).unwrap();
    let params = Params::init(&layout, 3);
    let run = Run { params: &params, quantized: false, dropout: false, factors: None };
    let images = testing::randn("images", &[3, 3, 6, 6]);
    let logits = |x: &Tensor| run.logits(&plan, x, &mut Norm::Batch).unwrap();
    let all = logits(&images);
    assert_eq!(all.size(), [3, 5]);
    for image in 0..3 {
        let alone = logits(&images.narrow(0, image, 1));
        assert!(alone.allclose(&all.narrow(0, image, 1), 1e-4, 1e-5, false));
    }
}
