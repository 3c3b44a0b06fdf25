use std::sync::Arc;

use spacewright_core::quant::{
    ActivationRange, Quantizer, QuantizerError, TensorStats, WeightRange,
};

use super::Watch;
use crate::origin::Origin;

/// A quantizer whose scales are finite and not negative.
pub(crate) struct CheckedQuantizer {
    quantizer: Arc<dyn Quantizer>,
    watch: Watch,
}

impl CheckedQuantizer {
    pub fn wrap(origin: &Origin, quantizer: Arc<dyn Quantizer>) -> Arc<dyn Quantizer> {
        Arc::new(Self { quantizer, watch: Watch::new(origin) })
    }

    /// The answers to `questions`, of which `scale` takes scale and offset, once they are checked.
    fn checked<Q, A: PartialEq>(
        &self,
        call: &str,
        questions: &[Q],
        scale: impl Fn(&A) -> (f32, f32),
        ask: impl Fn(&[Q]) -> Result<Vec<A>, QuantizerError>,
    ) -> Result<Vec<A>, QuantizerError> {
        let ask = |questions| ask(questions).map_err(|e| self.watch.with_origin(call, e));
        let answers = ask(questions)?;
        let check = || {
            self.watch.count(call, answers.len(), questions.len())?;
            for (at, answer) in answers.iter().enumerate() {
                let (scale, offset) = scale(answer);
                if !(scale.is_finite() && scale >= 0.0 && offset.is_finite()) {
                    let reason = format!("scale {scale}, offset {offset}");
                    return Err(self.watch.bad(call, format_args!("item {at}"), reason));
                }
            }
            Ok(())
        };
        let bad = |error| QuantizerError::new(self.name(), error);
        check().map_err(bad)?;
        if !questions.is_empty() && self.watch.asks_twice() {
            let again = ask(&questions[..1])?;
            self.watch.same(call, "item 0", again == answers[..1]).map_err(bad)?;
        }
        Ok(answers)
    }
}

impl Quantizer for CheckedQuantizer {
    fn name(&self) -> &str {
        self.quantizer.name()
    }

    fn learnable(&self) -> bool {
        self.quantizer.learnable()
    }

    fn activations(
        &self,
        items: &[(TensorStats, ActivationRange)],
    ) -> Result<Vec<(f32, f32)>, QuantizerError> {
        let ask = |items: &[_]| self.quantizer.activations(items);
        self.checked("activations", items, |answer| *answer, ask)
    }

    fn weights(
        &self,
        channels: &[TensorStats],
        range: WeightRange,
    ) -> Result<Vec<f32>, QuantizerError> {
        let ask = |channels: &[_]| self.quantizer.weights(channels, range);
        self.checked("weights", channels, |scale| (*scale, 0.0), ask)
    }
}
