//! ResNet: He et al. 2015, arXiv 1512.03385, table 1. Steps of two are taken by the convolution of 3 × 3
//! positions of a block, as in all of timm's and torchvision's weights; the paper takes them in the
//! one before it, with tensors of equal shapes.

use spacewright_core::graph::ActivationKind::Relu;

use crate::{
    draft::{Convolution, Draft, Drafted, Maps, Rules, Size},
    import::{Candidate, Identity},
    tensors::Tensors,
};

const FAMILY: &str = "ResNet";

/// Of the images that all variants were published for.
const SIDE: usize = 224;

/// Stages after the stem.
const STAGES: usize = 4;

/// Two kinds of blocks: two wide convolutions, or a narrow one between two of single positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Basic,
    Bottleneck,
}

/// Published numbers of blocks by stage.
const VARIANTS: [(&str, Kind, [usize; STAGES]); 5] = [
    ("resnet18", Kind::Basic, [2, 2, 2, 2]),
    ("resnet34", Kind::Basic, [3, 4, 6, 3]),
    ("resnet50", Kind::Bottleneck, [3, 4, 6, 3]),
    ("resnet101", Kind::Bottleneck, [3, 4, 23, 3]),
    ("resnet152", Kind::Bottleneck, [3, 8, 36, 3]),
];

struct ResNet<'t, 'f> {
    kind: Kind,
    tensors: &'t Tensors<'f>,
    depths: [usize; STAGES],
}

/// The networks that a file with these tensors may be.
pub(crate) fn candidates<'t>(tensors: &'t Tensors<'_>) -> Vec<Box<dyn Candidate + 't>> {
    if tensors.get("conv1.weight").is_none() || !tensors.has_prefix("layer1.") {
        return Vec::new();
    }
    let depths = [1, 2, 3, 4].map(|stage| tensors.count(&format!("layer{stage}.")));
    let resnet = |kind| Box::new(ResNet { kind, tensors, depths }) as Box<dyn Candidate + 't>;
    [Kind::Basic, Kind::Bottleneck].map(resnet).into()
}

impl Candidate for ResNet<'_, '_> {
    fn identity(&self) -> Identity {
        let fits = |(_, kind, depths): &&(_, Kind, _)| (*kind, *depths) == (self.kind, self.depths);
        let variant = VARIANTS.iter().find(fits);
        Identity {
            family: FAMILY,
            variant: variant.map(|(name, ..)| *name),
            side: variant.map(|_| SIDE),
            has_tensorflow: false,
            only_tensorflow: false,
        }
    }

    fn draft(&self, rules: Rules, side: usize) -> Drafted {
        let channels = self.tensors.size("conv1.weight", 1).unwrap_or(3);
        let (mut draft, x) = Draft::new(self.tensors, FAMILY, rules, (channels, side));
        let stem = Convolution::dense("conv1", Size::Exactly(64), 7, 2);
        let x = draft.conv_norm(x, stem, "bn1", Some(Relu));
        let mut x = draft.max_pool(x, "maxpool");
        for (stage, (depth, width)) in self.depths.into_iter().zip([64, 128, 256, 512]).enumerate()
        {
            // A stage that the file lacks is asked for as well, so that its tensors are named.
            for at in 0..depth.max(1) {
                let stride = if stage > 0 && at == 0 { 2 } else { 1 };
                let prefix = format!("layer{}.{at}", stage + 1);
                x = self.block(&mut draft, x, &prefix, (width, stride));
            }
        }
        let x = draft.mean(x, "global_pool");
        let x = draft.classes(x, "fc");
        draft.finish(x)
    }
}

impl ResNet<'_, '_> {
    fn block(
        &self,
        draft: &mut Draft,
        x: Maps,
        prefix: &str,
        (width, stride): (usize, usize),
    ) -> Maps {
        let (layers, out): (&[_], _) = match self.kind {
            Kind::Basic => (&[(3, width, stride), (3, width, 1)], width),
            Kind::Bottleneck => {
                (&[(1, width, 1), (3, width, stride), (1, 4 * width, 1)], 4 * width)
            }
        };
        let mut y = x;
        for (number, (kernel, width, stride)) in (1..).zip(layers) {
            let (conv, norm) = (format!("{prefix}.conv{number}"), format!("{prefix}.bn{number}"));
            let spec = Convolution::dense(&conv, Size::Exactly(*width), *kernel, *stride);
            y = draft.conv_norm(y, spec, &norm, (number < layers.len()).then_some(Relu));
        }
        let skip = match stride == 1 && x.channels == Size::Exactly(out) {
            true => x,
            false => {
                let conv = format!("{prefix}.downsample.0");
                let spec = Convolution::dense(&conv, Size::Exactly(out), 1, stride);
                draft.conv_norm(x, spec, &format!("{prefix}.downsample.1"), None)
            }
        };
        let y = draft.add(y, skip, &format!("{prefix}.add"));
        draft.act(y, &format!("{prefix}.act"), Relu)
    }
}
