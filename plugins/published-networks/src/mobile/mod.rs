//! Networks of inverted residual blocks: MobileNetV2 and V3, EfficientNet and its Lite form.
//!
//! `family` has what these networks are; `naming` what their tensors are called; here they are built.

mod family;
mod naming;

use spacewright_core::graph::ActivationKind;

use self::{
    family::{Body, Family, Head, Stage, divisible},
    naming::{Block, Names},
};
use crate::{
    draft::{Convolution, Draft, Drafted, Maps, Rules, Size},
    import::{Candidate, Identity},
    tensors::Tensors,
};

/// A family, with the names in a file and what of it the file tells at once.
struct Mobile<'t, 'f> {
    family: &'static Family,
    names: Names,
    tensors: &'t Tensors<'f>,
    /// Names of the blocks of each stage.
    stages: Vec<Vec<Block>>,
}

/// All families that a file with these tensors may be one of.
pub(crate) fn candidates<'t>(tensors: &'t Tensors<'_>) -> Vec<Box<dyn Candidate + 't>> {
    let Some(names) = Names::of(tensors) else { return Vec::new() };
    let mobile = |family: &'static Family| {
        let stages = names.stages(tensors);
        Box::new(Mobile { family, names, tensors, stages }) as Box<dyn Candidate + 't>
    };
    names.families().map(mobile).collect()
}

impl Candidate for Mobile<'_, '_> {
    fn identity(&self) -> Identity {
        let widths = self.stages.iter().map(|blocks| {
            let (first, tensors) = (blocks.first()?, self.tensors);
            first.projections().find_map(|(conv, _)| tensors.size(&format!("{conv}.weight"), 0))
        });
        let widths: Option<Vec<usize>> = widths.collect();
        let depths: Vec<usize> = self.stages.iter().map(Vec::len).collect();
        let variant = widths.and_then(|widths| self.family.variant(&widths, &depths));
        Identity {
            family: self.family.name,
            variant: variant.map(|variant| variant.name),
            side: variant.map(|variant| variant.side),
            has_tensorflow: self.family.has_tensorflow,
            only_tensorflow: self.names == Names::LitePackage,
        }
    }

    fn draft(&self, rules: Rules, side: usize) -> Drafted {
        let Family { name, stem, .. } = *self.family;
        let (conv, norm) = self.names.stem();
        let channels = self.tensors.size(&format!("{conv}.weight"), 1).unwrap_or(3);
        let (mut draft, x) = Draft::new(self.tensors, name, rules, (channels, side));
        let stem_conv = Convolution::dense(conv, Size::Any, 3, 2);
        let mut x = draft.conv_norm(x, stem_conv, norm, Some(stem));
        // A stage that the file lacks is asked for as well, so that its tensors are named.
        let missing = (self.stages.len()..self.family.stages.len())
            .map(|stage| vec![self.names.block(stage, 0)]);
        let stages = self.stages.iter().cloned().chain(missing);
        for (blocks, stage) in stages.zip(self.family.stages) {
            x = self.stage(&mut draft, x, &blocks, stage);
        }
        let x = self.head(&mut draft, x);
        draft.finish(x)
    }
}

impl Mobile<'_, '_> {
    fn stage(&self, draft: &mut Draft, x: Maps, blocks: &[Block], stage: &Stage) -> Maps {
        let (mut x, mut out) = (x, Size::Any);
        for (at, block) in blocks.iter().enumerate() {
            let stride = if at == 0 { stage.stride } else { 1 };
            let y = match stage.body {
                Body::Convolution => {
                    let conv = &block.convolution;
                    let spec = Convolution::dense(&conv.0, out, 1, stride);
                    draft.conv_norm(x, spec, &conv.1, Some(stage.act))
                }
                Body::Separable => self.block(draft, x, block, stage, (None, out, stride)),
                Body::Inverted(expansions) => {
                    let expansion = expansions.get(at).or(expansions.last()).copied();
                    self.block(draft, x, block, stage, (expansion, out, stride))
                }
            };
            let skips = stage.body != Body::Convolution
                && stride == 1
                && matches!(y.channels, Size::Exactly(_))
                && x.channels == y.channels;
            out = y.channels;
            x = if skips { draft.add(y, x, &format!("{}.add", block.prefix)) } else { y };
        }
        x
    }

    /// Expands, filters each channel, weighs channels, and projects; the sum with the input is left out.
    fn block(
        &self,
        draft: &mut Draft,
        x: Maps,
        block: &Block,
        stage: &Stage,
        (expansion, out, stride): (Option<f64>, Size, usize),
    ) -> Maps {
        let act = Some(stage.act);
        let (depthwise, project) = match expansion {
            None => (&block.depthwise_alone, &block.project_alone),
            Some(_) => (&block.depthwise, &block.project),
        };
        let y = match expansion {
            None => x,
            Some(expansion) => {
                let wide = match x.channels {
                    Size::Exactly(channels) => Size::Exactly(divisible(channels, expansion)),
                    Size::Any => Size::Any,
                };
                let spec = Convolution::dense(&block.expand.0, wide, 1, 1);
                draft.conv_norm(x, spec, &block.expand.1, act)
            }
        };
        let spec = Convolution {
            depthwise: true,
            ..Convolution::dense(&depthwise.0, Size::Any, stage.kernel, stride)
        };
        let y = draft.conv_norm(y, spec, &depthwise.1, act);
        let y = if stage.squeeze { self.squeeze(draft, y, block, stage.act) } else { y };
        let spec = Convolution::dense(&project.0, out, 1, 1);
        draft.conv_norm(y, spec, &project.1, None)
    }

    /// Weighs channels by what is seen in all positions.
    fn squeeze(&self, draft: &mut Draft, x: Maps, block: &Block, act: ActivationKind) -> Maps {
        let (reduce, expand) = &block.squeeze;
        let name = |part: &str| format!("{}.se.{part}", block.prefix);
        let biased = |name, out| Convolution { bias: true, ..Convolution::dense(name, out, 1, 1) };
        let y = draft.mean(x, &name("pool"));
        let y = draft.conv(y, biased(reduce, Size::Any));
        let y = draft.act(y, &format!("{reduce}.act"), self.family.squeeze_act.unwrap_or(act));
        let y = draft.conv(y, biased(expand, x.channels));
        let y = draft.act(y, &format!("{expand}.act"), self.family.gate);
        draft.scale(x, y, &name("mul"))
    }

    fn head(&self, draft: &mut Draft, x: Maps) -> Maps {
        let ((conv, norm), classes) = self.names.head();
        let act = self.family.head_act;
        let spec = Convolution::dense(conv, Size::Any, 1, 1);
        let x = match self.family.head {
            Head::BeforePool => {
                let x = draft.conv_norm(x, spec, norm, Some(act));
                draft.mean(x, "global_pool")
            }
            Head::AfterPool => {
                let x = draft.mean(x, "global_pool");
                let x = draft.conv(x, Convolution { bias: true, ..spec });
                draft.act(x, &format!("{conv}.act"), act)
            }
        };
        draft.classes(x, classes)
    }
}
