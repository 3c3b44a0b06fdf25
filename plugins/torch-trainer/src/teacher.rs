//! A trained teacher that is asked for features and logits.

use spacewright_core::{
    graph::{Graph, Shape, ValueId},
    train::{Teacher, TrainError},
};
use tch::{Kind, Tensor};

use crate::{
    context::Context,
    interpret::{Norm, Run, Statistics},
    params::Params,
    plan::Plan,
};

/// A teacher with its weights, for images of one side.
pub struct OpenTeacher {
    /// Side of its input image, in pixels.
    pub side: usize,
    params: Params,
    statistics: Statistics,
    plan: Plan,
    /// What the first choice stage reads, then what each choice stage gives.
    ends: Vec<ValueId>,
    factors: Option<Kind>,
}

impl OpenTeacher {
    /// Reads the weights.
    pub fn new(context: &Context, teacher: &Teacher, side: usize) -> Result<Self, TrainError> {
        let input = Shape::square(teacher.graph.input.channels, side);
        let graph = Graph { input, ..teacher.graph.clone() };
        let plan = Plan::new(&graph, &context.scheme)?;
        let ends = teacher.ends.iter().map(|name| plan.value(name)).collect::<Result<_, _>>()?;
        let params = Params::load(&teacher.weights)?.on(context.device);
        let statistics = Statistics::in_file(&params);
        Ok(Self { side, params, statistics, plan, ends, factors: context.factors() })
    }

    fn run(&self) -> Run<'_> {
        Run { params: &self.params, quantized: false, dropout: false, factors: self.factors }
    }

    /// Its logits, `images × classes`.
    pub fn logits(&self, x: &Tensor) -> Result<Tensor, TrainError> {
        let norm = &mut Norm::Fixed(&self.statistics);
        tch::no_grad(|| self.run().logits(&self.plan, x, norm))
    }

    /// What the first choice stage reads, then what each choice stage gives:
    /// `images × channels × height × width`.
    pub fn stages(&self, x: &Tensor) -> Result<Vec<Tensor>, TrainError> {
        let norm = &mut Norm::Fixed(&self.statistics);
        let execute = || self.run().execute(&self.plan, x, norm, &self.ends, None);
        Ok(tch::no_grad(execute)?.into_iter().skip(1).collect())
    }
}
