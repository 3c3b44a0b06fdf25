//! Points of training curves from the losses of single steps.

use spacewright_core::train::CurvePoint;

/// A phase has about so many points, or up to twice as many: enough to draw, few enough to keep.
const POINTS: usize = 200;

/// At which steps of a phase the curve has points: at every so many, and at the last.
///
/// It depends on the phase's length alone, so that training that goes on at a checkpoint has the
/// same points as training that was not interrupted.
#[derive(Debug)]
pub struct Curve<'a> {
    phase: &'a str,
    steps: usize,
    interval: usize,
}

impl<'a> Curve<'a> {
    /// The curve of a phase of so many steps.
    pub fn new(phase: &'a str, steps: usize) -> Self {
        Self { phase, steps, interval: (steps / POINTS).max(1) }
    }

    /// The point after `done` steps, if there is one. `loss_sum` is the sum of the losses since the
    /// point before; not a number where it is not known.
    pub fn point(&self, done: usize, loss_sum: f64, learning_rate: f64) -> Option<CurvePoint> {
        if !done.is_multiple_of(self.interval) && done != self.steps {
            return None;
        }
        let summed = (done - 1) % self.interval + 1;
        let loss = (!loss_sum.is_nan()).then_some(loss_sum / summed as f64);
        Some(CurvePoint { step: done, loss, learning_rate, ..self.start() })
    }

    /// The point before the first step, of which nothing is known.
    pub fn start(&self) -> CurvePoint {
        CurvePoint {
            phase: self.phase.to_owned(),
            step: 0,
            loss: None,
            learning_rate: 0.0,
            held_out_accuracy: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps and losses of the first and last points of a phase, every step of which costs 1.
    #[track_caller]
    fn check(steps: usize, first: &[usize], last: usize) {
        let curve = Curve::new("fp32", steps);
        let (mut found, mut sum) = (Vec::new(), 0.0);
        for done in 1..=steps {
            sum += 1.0;
            if let Some(point) = curve.point(done, sum, 0.1) {
                assert_eq!(point.loss, Some(1.0));
                found.push(point.step);
                sum = 0.0;
            }
        }
        assert_eq!(found[..first.len()], *first);
        assert_eq!(found[found.len() - 2..], [last, steps]);
        assert!(found.len() <= 2 * POINTS, "{}", found.len());
    }

    #[test]
    fn points_are_means_of_the_steps_since_the_point_before() {
        check(3, &[1, 2, 3], 2);
        check(399, &[1, 2], 398);
        check(400, &[2, 4, 6], 398);
        check(602, &[3, 6], 600);
        check(1001, &[5, 10], 1000);
    }

    #[test]
    fn a_loss_that_is_not_known_is_none() {
        assert_eq!(Curve::new("fp32", 1).point(1, f64::NAN, 0.1).unwrap().loss, None);
    }
}
