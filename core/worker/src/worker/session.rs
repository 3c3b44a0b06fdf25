//! A trained network that is looked at: question by question.

use std::sync::Arc;

use spacewright_core::train::{Evaluator, RecalibratedSubnet, TrainError};

use super::line::{FromHead, Incoming, Line, RemoteQuantizer};
use crate::message::{Answer, Question};

/// Answers all questions about what was opened, until it is closed.
pub fn answer_all(mut evaluator: Box<dyn Evaluator>, line: &Arc<Line>) {
    line.done(Answer::Nothing);
    let mut asked = next(line);
    while let Some(question) = asked {
        let network = match question {
            Question::Recalibrate(subnet) => evaluator.recalibrate(&subnet),
            Question::Open(graph) => evaluator.network(&graph),
            _ => Err(TrainError::Said("no network was opened".into())),
        };
        asked = match network {
            Ok(network) => {
                line.done(Answer::Nothing);
                answer_about(&*network, line)
            }
            Err(error) => {
                line.failed(&error);
                next(line)
            }
        };
    }
}

/// Answers what is asked about one network; the question that is about another one.
fn answer_about(network: &dyn RecalibratedSubnet, line: &Arc<Line>) -> Option<Question> {
    loop {
        let answer = match next(line)? {
            Question::HeldOutAccuracy => network.held_out_accuracy().map(Answer::Accuracy),
            Question::TestPredictions => network.test_predictions().map(Answer::Predictions),
            Question::Network => network.network().map(Answer::Network),
            Question::PostTraining(named) => {
                let quantizer = RemoteQuantizer { line: line.clone(), named };
                network.post_training(&quantizer).map(Answer::Network)
            }
            other => return Some(other),
        };
        match answer {
            Ok(answer) => line.done(answer),
            Err(error) => line.failed(&error),
        }
    }
}

/// The next question; none where there are no more.
fn next(line: &Line) -> Option<Question> {
    loop {
        match line.next()? {
            Incoming::Told(FromHead::Ask(Question::Close)) => return None,
            Incoming::Told(FromHead::Ask(question)) => return Some(question),
            // What came too late for what it was about.
            Incoming::Told(_) | Incoming::Images { .. } => {}
        }
    }
}
