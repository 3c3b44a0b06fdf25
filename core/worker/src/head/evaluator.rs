//! A trained network that a worker has opened.

use std::{cell::RefCell, sync::Arc};

use spacewright_core::{
    graph::Graph,
    operators::Operators,
    quant::{Quantizer, TrainedNetwork},
    space::Subnet,
    train::{Evaluator, Predictions, RecalibratedSubnet, TrainContext, TrainError},
};

use super::{other_answer, pool::Lease, process::Asked};
use crate::message::{Answer, NamedQuantizer, Question};

/// What a worker has opened; it is closed when this is dropped.
pub struct Opened {
    lease: RefCell<Lease>,
    operators: Operators,
    quantizer: Arc<dyn Quantizer>,
}

impl Opened {
    /// What the worker of a lease has just opened.
    pub fn new(lease: Lease, context: &TrainContext) -> Self {
        let (operators, quantizer) = (context.operators.clone(), context.quantizer.clone());
        Self { lease: RefCell::new(lease), operators, quantizer }
    }

    fn ask(&self, question: Question, quantizer: &dyn Quantizer) -> Result<Answer, TrainError> {
        let asked = Asked { operators: &self.operators, quantizer, monitor: None, given_up: None };
        self.lease.borrow_mut().ask(question, &asked)
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.lease.borrow_mut().close();
    }
}

impl Opened {
    /// What questions are about from now on.
    fn turn_to(&self, question: Question) -> Result<Box<dyn RecalibratedSubnet + '_>, TrainError> {
        match self.ask(question, &*self.quantizer)? {
            Answer::Nothing => Ok(Box::new(Recalibrated(self))),
            _ => Err(other_answer()),
        }
    }
}

impl Evaluator for Opened {
    fn recalibrate(
        &mut self,
        subnet: &Subnet,
    ) -> Result<Box<dyn RecalibratedSubnet + '_>, TrainError> {
        self.turn_to(Question::Recalibrate(Box::new(subnet.clone())))
    }

    fn network(&mut self, graph: &Graph) -> Result<Box<dyn RecalibratedSubnet + '_>, TrainError> {
        self.turn_to(Question::Open(Box::new(graph.clone())))
    }
}

/// The subnet that the worker has recalibrated last, or the network that it has opened last.
struct Recalibrated<'a>(&'a Opened);

impl Recalibrated<'_> {
    fn ask(&self, question: Question) -> Result<Answer, TrainError> {
        self.0.ask(question, &*self.0.quantizer)
    }
}

impl RecalibratedSubnet for Recalibrated<'_> {
    fn held_out_accuracy(&self) -> Result<f64, TrainError> {
        match self.ask(Question::HeldOutAccuracy)? {
            Answer::Accuracy(share) => Ok(share),
            _ => Err(other_answer()),
        }
    }

    fn test_predictions(&self) -> Result<Predictions, TrainError> {
        match self.ask(Question::TestPredictions)? {
            Answer::Predictions(predictions) => Ok(predictions),
            _ => Err(other_answer()),
        }
    }

    fn network(&self) -> Result<TrainedNetwork, TrainError> {
        match self.ask(Question::Network)? {
            Answer::Network(network) => Ok(network),
            _ => Err(other_answer()),
        }
    }

    fn post_training(&self, quantizer: &dyn Quantizer) -> Result<TrainedNetwork, TrainError> {
        let (name, learnable) = (quantizer.name().to_owned(), quantizer.learnable());
        let question = Question::PostTraining(NamedQuantizer { name, learnable });
        match self.0.ask(question, quantizer)? {
            Answer::Network(network) => Ok(network),
            _ => Err(other_answer()),
        }
    }
}
