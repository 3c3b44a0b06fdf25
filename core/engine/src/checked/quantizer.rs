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

    fn of(&self, call: &str, error: QuantizerError) -> QuantizerError {
        QuantizerError { reason: self.watch.of(call, error.reason), ..error }
    }

    fn check<T: PartialEq>(
        &self,
        call: &str,
        questions: usize,
        answers: &[T],
        scale: impl Fn(&T) -> (f32, f32),
        first_again: impl FnOnce() -> Result<Vec<T>, QuantizerError>,
    ) -> Result<(), QuantizerError> {
        let check = || {
            self.watch.count(call, answers.len(), questions)?;
            for (at, answer) in answers.iter().enumerate() {
                let (scale, offset) = scale(answer);
                if !(scale.is_finite() && scale >= 0.0 && offset.is_finite()) {
                    let reason = format!("item {at}: scale {scale}, offset {offset}");
                    return Err(self.watch.wrong(call, reason));
                }
            }
            if questions > 0 && self.watch.asks_twice() {
                let again = first_again().map_err(|error| error.to_string())?;
                self.watch.same(call, "item 0", again == answers[..1])?;
            }
            Ok(())
        };
        check().map_err(|reason| QuantizerError { quantizer: self.name().into(), reason })
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
        let answers = self.quantizer.activations(items).map_err(|e| self.of("activations", e))?;
        let again = || self.quantizer.activations(&items[..1]);
        self.check("activations", items.len(), &answers, |answer| *answer, again)?;
        Ok(answers)
    }

    fn weights(
        &self,
        channels: &[TensorStats],
        range: WeightRange,
    ) -> Result<Vec<f32>, QuantizerError> {
        let answers = self.quantizer.weights(channels, range).map_err(|e| self.of("weights", e))?;
        let again = || self.quantizer.weights(&channels[..1], range);
        self.check("weights", channels.len(), &answers, |scale| (*scale, 0.0), again)?;
        Ok(answers)
    }
}
