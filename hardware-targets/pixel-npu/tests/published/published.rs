//! Figures of Coral's page "Edge TPU performance benchmarks", table 1: milliseconds per inference,
//! by the Edge TPU of the Dev Board and by an embedded processor (its quad Cortex-A53 at 1.5 GHz).

use pixel_npu::{Model, Parameters};
use spacewright_core::latency::{GraphColumns, Precision};

use crate::networks::{self as nets, Network};

/// A network and its figures.
pub struct Published {
    pub name: &'static str,
    pub network: Network,
    /// Multiply-adds in millions and parameters in millions, as papers and model zoos state them.
    pub counts: (f64, f64),
    pub int8_ms: f64,
    pub host_ms: f64,
}

fn published(
    name: &'static str,
    network: Network,
    counts: (f64, f64),
    int8_ms: f64,
    host_ms: f64,
) -> Published {
    Published { name, network, counts, int8_ms, host_ms }
}

/// The figures on which parameters are chosen.
pub fn figures() -> Vec<Published> {
    vec![
        published("MobileNet v1", nets::mobilenet_v1(), (569.0, 4.2), 2.4, 164.0),
        published("MobileNet v2", nets::mobilenet_v2(), (300.0, 3.5), 2.6, 122.0),
        published("Inception v1", nets::inception_v1(), (1550.0, 7.0), 4.1, 392.0),
        published("ResNet-50 v1, 299 px", nets::resnet50(299), (7200.0, 25.6), 56.0, 1763.0),
        published("SqueezeNet", nets::squeezenet(), (840.0, 1.25), 2.0, 232.0),
        published(
            "EfficientNet-EdgeTPU-S",
            nets::efficientnet_edgetpu_s(),
            (2350.0, 5.4),
            5.5,
            705.0,
        ),
        published(
            "EfficientNet-EdgeTPU-M, 240 px",
            nets::efficientnet_edgetpu_m(),
            (3660.0, 6.9),
            10.6,
            1081.0,
        ),
    ]
}

/// Figures that nothing was chosen on.
pub fn held_out() -> Vec<Published> {
    vec![
        published("VGG-16", nets::vgg16(), (15_470.0, 138.4), 343.0, 4595.0),
        published("VGG-19", nets::vgg19(), (19_630.0, 143.7), 357.0, 5538.0),
    ]
}

fn ms(parameters: Parameters, network: &Network, precision: Precision) -> f64 {
    let columns = GraphColumns::of(&network.queries(precision)).unwrap();
    Model(parameters).milliseconds(&columns).unwrap().iter().sum()
}

/// Modelled latency in integers.
pub fn int8_ms(parameters: Parameters, network: &Network) -> f64 {
    ms(parameters, network, Precision::Int8)
}

/// Modelled latency in floating point.
pub fn fp32_ms(parameters: Parameters, network: &Network) -> f64 {
    ms(parameters, network, Precision::Fp32)
}
