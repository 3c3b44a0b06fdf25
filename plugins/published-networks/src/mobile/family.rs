//! What the published families are: what shapes do not say, what they have to be, and the variants.

use spacewright_core::graph::ActivationKind::{
    self, HSigmoid, HSwish, Relu, Relu6, Sigmoid, Swish,
};

/// What the blocks of a stage are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Body {
    /// A convolution of single positions.
    Convolution,
    /// Depth-wise, then projected.
    Separable,
    /// Expanded first, by these factors block for block; the last one is that of all others.
    Inverted(&'static [f64]),
}

/// A stage: blocks of which the first may take steps of two.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stage {
    pub body: Body,
    pub kernel: usize,
    pub stride: usize,
    /// Channels of the variant of width 1.
    width: usize,
    /// Blocks of the variant of depth 1.
    depth: usize,
    /// Whether channels are weighed (squeeze and excitation).
    pub squeeze: bool,
    pub act: ActivationKind,
}

/// Where the widest layer is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Head {
    BeforePool,
    AfterPool,
}

/// A published network of a family.
#[derive(Debug)]
pub(super) struct Variant {
    /// timm's name.
    pub name: &'static str,
    width: f64,
    depth: f64,
    /// Whether the first and the last stage keep their depth.
    fixed_ends: bool,
    /// Of the images that it was published for.
    pub side: usize,
}

/// A family of networks.
#[derive(Debug)]
pub(super) struct Family {
    pub name: &'static str,
    pub stem: ActivationKind,
    pub stages: &'static [Stage],
    pub head: Head,
    pub head_act: ActivationKind,
    /// Within squeeze and excitation, where it is not that of the stage.
    pub squeeze_act: Option<ActivationKind>,
    /// What squeeze and excitation ends with.
    pub gate: ActivationKind,
    variants: &'static [Variant],
    /// Whether timm has variants that were trained with TensorFlow.
    pub has_tensorflow: bool,
}

const fn separable(kernel: usize, stride: usize, width: usize, act: ActivationKind) -> Stage {
    Stage { body: Body::Separable, kernel, stride, width, depth: 1, squeeze: false, act }
}

const fn inverted(
    expansions: &'static [f64],
    kernel: usize,
    stride: usize,
    (width, depth): (usize, usize),
    act: ActivationKind,
) -> Stage {
    Stage { body: Body::Inverted(expansions), kernel, stride, width, depth, squeeze: false, act }
}

const fn point_wise(width: usize, act: ActivationKind) -> Stage {
    let body = Body::Convolution;
    Stage { body, kernel: 1, stride: 1, width, depth: 1, squeeze: false, act }
}

/// The same stage with squeeze and excitation.
const fn weighed(stage: Stage) -> Stage {
    Stage { squeeze: true, ..stage }
}

const fn variant(name: &'static str, width: f64, depth: f64, side: usize) -> Variant {
    Variant { name, width, depth, fixed_ends: false, side }
}

const fn fixed_ends(variant: Variant) -> Variant {
    Variant { fixed_ends: true, ..variant }
}

/// Sandler et al. 2018, arXiv 1801.04381, table 2. The deep variants `110d` and `120d` are timm's.
pub(super) const MOBILENET_V2: Family = Family {
    name: "MobileNetV2",
    stem: Relu6,
    stages: &[
        separable(3, 1, 16, Relu6),
        inverted(&[6.0], 3, 2, (24, 2), Relu6),
        inverted(&[6.0], 3, 2, (32, 3), Relu6),
        inverted(&[6.0], 3, 2, (64, 4), Relu6),
        inverted(&[6.0], 3, 1, (96, 3), Relu6),
        inverted(&[6.0], 3, 2, (160, 3), Relu6),
        inverted(&[6.0], 3, 1, (320, 1), Relu6),
    ],
    head: Head::BeforePool,
    head_act: Relu6,
    squeeze_act: None,
    gate: Sigmoid,
    variants: &[
        variant("mobilenetv2_035", 0.35, 1.0, 224),
        variant("mobilenetv2_050", 0.5, 1.0, 224),
        variant("mobilenetv2_075", 0.75, 1.0, 224),
        variant("mobilenetv2_100", 1.0, 1.0, 224),
        fixed_ends(variant("mobilenetv2_110d", 1.1, 1.2, 224)),
        fixed_ends(variant("mobilenetv2_120d", 1.2, 1.4, 224)),
        variant("mobilenetv2_140", 1.4, 1.0, 224),
    ],
    has_tensorflow: false,
};

/// Tan and Le 2019, arXiv 1905.11946, table 1; side of the images: their released networks.
pub(super) const EFFICIENTNET: Family = Family {
    name: "EfficientNet",
    stem: Swish,
    stages: &[
        weighed(separable(3, 1, 16, Swish)),
        weighed(inverted(&[6.0], 3, 2, (24, 2), Swish)),
        weighed(inverted(&[6.0], 5, 2, (40, 2), Swish)),
        weighed(inverted(&[6.0], 3, 2, (80, 3), Swish)),
        weighed(inverted(&[6.0], 5, 1, (112, 3), Swish)),
        weighed(inverted(&[6.0], 5, 2, (192, 4), Swish)),
        weighed(inverted(&[6.0], 3, 1, (320, 1), Swish)),
    ],
    head: Head::BeforePool,
    head_act: Swish,
    squeeze_act: None,
    gate: Sigmoid,
    variants: &[
        variant("efficientnet_b0", 1.0, 1.0, 224),
        variant("efficientnet_b1", 1.0, 1.1, 240),
        variant("efficientnet_b2", 1.1, 1.2, 260),
        variant("efficientnet_b3", 1.2, 1.4, 300),
        variant("efficientnet_b4", 1.4, 1.8, 380),
        variant("efficientnet_b5", 1.6, 2.2, 456),
        variant("efficientnet_b6", 1.8, 2.6, 528),
        variant("efficientnet_b7", 2.0, 3.1, 600),
    ],
    has_tensorflow: true,
};

/// The same without squeeze and excitation and swish, as its authors released it for integers.
pub(super) const EFFICIENTNET_LITE: Family = Family {
    name: "EfficientNet-Lite",
    stem: Relu6,
    stages: &[
        separable(3, 1, 16, Relu6),
        inverted(&[6.0], 3, 2, (24, 2), Relu6),
        inverted(&[6.0], 5, 2, (40, 2), Relu6),
        inverted(&[6.0], 3, 2, (80, 3), Relu6),
        inverted(&[6.0], 5, 1, (112, 3), Relu6),
        inverted(&[6.0], 5, 2, (192, 4), Relu6),
        inverted(&[6.0], 3, 1, (320, 1), Relu6),
    ],
    head: Head::BeforePool,
    head_act: Relu6,
    squeeze_act: None,
    gate: Sigmoid,
    variants: &[
        fixed_ends(variant("efficientnet_lite0", 1.0, 1.0, 224)),
        fixed_ends(variant("efficientnet_lite1", 1.0, 1.1, 240)),
        fixed_ends(variant("efficientnet_lite2", 1.1, 1.2, 260)),
        fixed_ends(variant("efficientnet_lite3", 1.2, 1.4, 280)),
        fixed_ends(variant("efficientnet_lite4", 1.4, 1.8, 300)),
    ],
    has_tensorflow: true,
};

/// Howard et al. 2019, arXiv 1905.02244, table 2.
pub(super) const MOBILENET_V3_SMALL: Family = Family {
    name: "MobileNetV3 small",
    stem: HSwish,
    stages: &[
        weighed(separable(3, 2, 16, Relu)),
        inverted(&[4.5, 3.67], 3, 2, (24, 2), Relu),
        weighed(inverted(&[4.0, 6.0], 5, 2, (40, 3), HSwish)),
        weighed(inverted(&[3.0], 5, 1, (48, 2), HSwish)),
        weighed(inverted(&[6.0], 5, 2, (96, 3), HSwish)),
        point_wise(576, HSwish),
    ],
    head: Head::AfterPool,
    head_act: HSwish,
    squeeze_act: Some(Relu),
    gate: HSigmoid,
    variants: &[
        variant("mobilenetv3_small_050", 0.5, 1.0, 224),
        variant("mobilenetv3_small_075", 0.75, 1.0, 224),
        variant("mobilenetv3_small_100", 1.0, 1.0, 224),
    ],
    has_tensorflow: true,
};

/// Howard et al. 2019, arXiv 1905.02244, table 1.
pub(super) const MOBILENET_V3_LARGE: Family = Family {
    name: "MobileNetV3 large",
    stem: HSwish,
    stages: &[
        separable(3, 1, 16, Relu),
        inverted(&[4.0, 3.0], 3, 2, (24, 2), Relu),
        weighed(inverted(&[3.0], 5, 2, (40, 3), Relu)),
        inverted(&[6.0, 2.5, 2.3], 3, 2, (80, 4), HSwish),
        weighed(inverted(&[6.0], 3, 1, (112, 2), HSwish)),
        weighed(inverted(&[6.0], 5, 2, (160, 3), HSwish)),
        point_wise(960, HSwish),
    ],
    head: Head::AfterPool,
    head_act: HSwish,
    squeeze_act: Some(Relu),
    gate: HSigmoid,
    variants: &[
        variant("mobilenetv3_large_075", 0.75, 1.0, 224),
        variant("mobilenetv3_large_100", 1.0, 1.0, 224),
    ],
    has_tensorflow: true,
};

/// Channels times a factor, rounded to a multiple of eight that is no less than 0.9 of it.
pub(super) fn divisible(channels: usize, factor: f64) -> usize {
    let wanted = channels as f64 * factor;
    let nearest = ((wanted / 8.0 + 0.5).floor() * 8.0).max(8.0);
    (if nearest < 0.9 * wanted { nearest + 8.0 } else { nearest }) as usize
}

impl Family {
    /// The published network that has these widths and depths of stages.
    pub(super) fn variant(&self, widths: &[usize], depths: &[usize]) -> Option<&'static Variant> {
        let last = self.stages.len().saturating_sub(1);
        self.variants.iter().find(|variant| {
            let stages = self.stages.iter().enumerate().map(|(at, stage)| {
                let is_fixed = variant.fixed_ends && (at == 0 || at == last);
                let factor = if is_fixed { 1.0 } else { variant.depth };
                let depth = (stage.depth as f64 * factor).ceil() as usize;
                (divisible(stage.width, variant.width), depth)
            });
            stages.eq(widths.iter().copied().zip(depths.iter().copied()))
                && widths.len() == depths.len()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_rounded_as_in_the_papers() {
        assert_eq!(divisible(24, 3.67), 88);
        assert_eq!(divisible(80, 2.3), 184);
        assert_eq!(divisible(16, 0.35), 8);
        assert_eq!(divisible(32, 0.35), 16);
        assert_eq!(divisible(usize::MAX, 6.0), usize::MAX);
    }

    #[test]
    fn variants_are_known_by_widths_and_depths() {
        let lite = |widths: [usize; 7], depths: [usize; 7]| {
            EFFICIENTNET_LITE.variant(&widths, &depths).map(|variant| variant.name)
        };
        let (widths, depths) = ([16, 24, 40, 80, 112, 192, 320], [1, 2, 2, 3, 3, 4, 1]);
        assert_eq!(lite(widths, depths), Some("efficientnet_lite0"));
        assert_eq!(lite(widths, [1, 3, 3, 4, 4, 5, 1]), Some("efficientnet_lite1"));
        assert_eq!(lite(widths, [2, 3, 3, 4, 4, 5, 2]), None);
        assert_eq!(EFFICIENTNET_LITE.variant(&widths[..6], &depths[..6]).map(|v| v.name), None);
    }
}
