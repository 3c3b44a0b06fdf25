//! Network inputs, loaded by a pool of threads ahead of their use.
//!
//! What is loaded is a function of the [`Draw`]s alone, so that it is the same from any number of threads.

use std::{
    collections::VecDeque,
    sync::{
        Arc, OnceLock,
        mpsc::{Receiver, sync_channel},
    },
};

use rayon::{ThreadPool, ThreadPoolBuilder};
use spacewright_core::{
    data::{Draw, Images, Transform},
    train::{AnyError, TrainError},
};
use tch::{Device, Tensor};

use crate::device::upload;

/// Images that one thread loads at once: few, so that all threads have some of a batch.
const AT_ONCE: usize = 16;

/// Steps of training that are loaded before they are needed: enough to outlast a slow file, few enough to
/// hold in memory.
pub const STEPS_AHEAD: usize = 3;

/// Batches without gradients, which are larger, that are loaded before they are needed.
pub const BATCHES_AHEAD: usize = 1;

/// Shared by all trainings of the process, which may run side by side; `None` where there can be no threads.
static POOL: OnceLock<Option<ThreadPool>> = OnceLock::new();

/// Says how many threads load images; the first call counts.
pub fn use_threads(threads: usize) {
    POOL.get_or_init(|| {
        let builder = ThreadPoolBuilder::new().num_threads(threads);
        builder.thread_name(|index| format!("images-{index}")).build().ok()
    });
}

/// Inputs that are being loaded.
pub struct Pending {
    parts: Vec<Receiver<Result<Tensor, AnyError>>>,
}

impl Pending {
    /// Starts to load images as inputs of this side, in pixels, onto a device.
    pub fn new(
        images: &Arc<dyn Images>,
        draws: &[Draw],
        transforms: &Arc<[Transform]>,
        side: usize,
        device: Device,
    ) -> Self {
        let channels = images.channels();
        let load = |draws: &[Draw]| {
            let (sender, receiver) = sync_channel(1);
            let (images, transforms, draws) = (images.clone(), transforms.clone(), draws.to_vec());
            let work = move || {
                let inputs = images.inputs(&draws, &transforms, side).and_then(|inputs| {
                    let size = [-1, channels as i64, side as i64, side as i64];
                    Ok(upload(Tensor::from_slice(&inputs).view(size), device)?)
                });
                // Nobody waits for it where the training was stopped.
                let _ = sender.send(inputs);
            };
            match POOL.get() {
                Some(Some(pool)) => pool.spawn_fifo(work),
                Some(None) | None => work(),
            }
            receiver
        };
        let parts = draws.chunks(AT_ONCE).map(load).collect();
        Self { parts }
    }

    /// Waits for them: `images × channels × side × side`.
    pub fn wait(self) -> Result<Tensor, TrainError> {
        let mut inputs = Vec::with_capacity(self.parts.len());
        for part in self.parts {
            let loaded = part.recv().map_err(|error| TrainError::Image(error.into()))?;
            inputs.push(loaded.map_err(TrainError::Image)?);
        }
        Ok(Tensor::cat(&inputs, 0))
    }
}

/// What steps need, asked for some steps before.
pub struct Ahead<T> {
    asked: VecDeque<T>,
    next: Option<usize>,
    /// The step after the last one.
    end: usize,
    /// How many steps before.
    ahead: usize,
}

impl<T> Ahead<T> {
    /// For steps up to, not including, `end`, each `ahead` steps before it is taken.
    pub fn new(end: usize, ahead: usize) -> Self {
        Self { asked: VecDeque::new(), next: None, end, ahead }
    }

    /// What step `step` needs. Steps are taken in order, from any first one on; `ask` is asked for what the
    /// following steps need as well.
    pub fn take<E>(
        &mut self,
        step: usize,
        mut ask: impl FnMut(usize) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut next = self.next.unwrap_or(step);
        while next < self.end && next <= step + self.ahead {
            self.asked.push_back(ask(next)?);
            next += 1;
        }
        self.next = Some(next);
        self.asked.pop_front().map_or_else(|| ask(step), Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_asked_for_once_and_in_order() {
        let mut asked = Vec::new();
        let mut ahead = Ahead::new(8, STEPS_AHEAD);
        for step in 2..8 {
            let taken = ahead.take(step, |step| {
                asked.push(step);
                Ok::<_, TrainError>(step)
            });
            assert_eq!(taken.unwrap(), step);
            assert!(asked.len() <= step - 2 + 1 + STEPS_AHEAD);
        }
        assert_eq!(asked, [2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn a_bad_image_is_told() {
        let context = crate::testing::context();
        let pending = |side| {
            let images = &context.images.all;
            Pending::new(images, &[Draw::fixed(0)], &[].into(), side, Device::Cpu)
        };
        assert_eq!(pending(16).wait().unwrap().size(), [1, 1, 16, 16]);
        let error = pending(20).wait().unwrap_err().to_string();
        assert!(error.contains("has 16x16 pixels"), "{error}");
    }
}
