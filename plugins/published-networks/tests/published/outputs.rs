//! Networks compute what timm's do with the same weights: their first four outputs, in PyTorch 2.11.

use spacewright_measure::testing::evaluate;

use crate::{
    architectures::with_package_names,
    files::{Published, import, legacy_torch, noise, safetensors},
};

/// Within this part of the largest output.
const CLOSE: f32 = 2e-5;

#[track_caller]
fn check_file(file: &[u8], side: u64, expected: [f32; 4]) {
    let network = import(file, Some(side)).unwrap();
    let pixels = network.graph.input.elements();
    let image: Vec<f32> = noise("image").take(pixels).map(|x| 2.0 * x).collect();
    let values = evaluate(&network.graph, &network.weights, &image);
    let found = &values[network.graph.output.index()];
    let largest = found.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
    for (found, expected) in found.iter().zip(expected) {
        let error = (found - expected).abs();
        assert!(error <= CLOSE * largest, "{}: {found} {expected}", network.name);
    }
}

#[track_caller]
fn check(name: &str, side: u64, expected: [f32; 4]) {
    let plain = name.strip_prefix("tf_").unwrap_or(name);
    let tensors = Published::timm(plain).tensors;
    check_file(&safetensors(&tensors, Some(name)), side, expected);
}

#[test]
fn mobilenet_v2() {
    check("mobilenetv2_035", 64, [0.244881, 1.17455, -1.8484, -3.75164]);
}

#[test]
fn mobilenet_v3() {
    check("mobilenetv3_small_050", 64, [27.0449, -14.7779, 5.34272, 3.51989]);
    check("tf_mobilenetv3_small_075", 45, [0.00741703, 1.01969, -0.569935, 0.43905]);
    check("mobilenetv3_large_075", 33, [190.773, -151.072, -109.954, -159.712]);
}

#[test]
fn efficientnet() {
    check("efficientnet_b0", 32, [-0.109376, 0.292876, -0.0491448, 0.0145641]);
}

#[test]
fn efficientnet_lite() {
    check("efficientnet_lite0", 24, [0.0215295, -0.693772, 0.00210237, 1.43283]);
    check("tf_efficientnet_lite0", 24, [-0.523082, 0.0941742, 0.914006, 0.166094]);
    // The same numbers under other names, in another format.
    let tensors = with_package_names(&Published::timm("efficientnet_lite0").tensors);
    check_file(&legacy_torch(&tensors), 24, [-0.523082, 0.0941742, 0.914006, 0.166094]);
}

#[test]
fn resnet() {
    check("resnet18", 17, [-0.951174, 7.99838, 22.0284, 39.3875]);
    check("resnet50", 16, [773.548, 480.182, -283.931, 128.3]);
}
