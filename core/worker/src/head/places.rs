//! How workers that compute alone are spread over the GPUs of this machine.

use std::sync::{Arc, Mutex, PoisonError};

/// Places of this machine, each for one GPU: how many GPUs there are is known to the trainer alone, which counts on
/// from the first one where there are fewer.
pub struct Places(Mutex<Vec<Arc<()>>>);

/// A place that a worker has until this is dropped.
pub struct HeldPlace {
    /// Its number, from 0.
    pub number: usize,
    /// Counted as long as it lives.
    _holder: Arc<()>,
}

impl Places {
    /// So many, but at least one; no worker has one yet.
    pub fn new(count: usize) -> Self {
        Self(Mutex::new((0..count.max(1)).map(|_| Arc::new(())).collect()))
    }

    /// The first of those that the fewest workers have.
    pub fn take(&self) -> HeldPlace {
        // Two threads that count at the same time would take the same place.
        let places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let holders = |&number: &usize| Arc::strong_count(&places[number]);
        let number = (0..places.len()).min_by_key(holders).unwrap_or_default();
        HeldPlace { number, _holder: places[number].clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_spread_and_take_the_places_of_those_that_ended() {
        let places = Places::new(2);
        let mut held: Vec<HeldPlace> = (0..4).map(|_| places.take()).collect();
        assert_eq!(held.iter().map(|place| place.number).collect::<Vec<_>>(), [0, 1, 0, 1]);
        held.remove(1);
        assert_eq!(places.take().number, 1);
        held.clear();
        assert_eq!(places.take().number, 0);
    }

    #[test]
    fn where_one_process_trains_there_is_one_place() {
        let places = Places::new(1);
        assert_eq!([places.take(), places.take()].map(|place| place.number), [0, 0]);
    }
}
