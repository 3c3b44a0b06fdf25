//! Gradients of several networks that share their weights, computed side by side.

use rayon::{ThreadPool, ThreadPoolBuilder};
use spacewright_core::train::TrainError;
use tch::Tensor;

use crate::params::Params;

/// What is computed for one network.
pub type Work<'a, T> = Box<dyn FnOnce() -> Result<T, TrainError> + Send + 'a>;

/// Computes what networks ask for side by side, each on a share of the threads: small networks leave threads
/// waiting for each other where all work on one.
pub struct SideBySide {
    /// `None` where the system gives no more threads.
    pool: Option<ThreadPool>,
    /// Threads of each network.
    of_each: usize,
}

impl SideBySide {
    /// For so many networks at a time on so many threads. Results depend on the number of threads that each
    /// has, `threads / networks` rounded down, but at least one.
    pub fn new(networks: usize, threads: usize) -> Self {
        let workers = networks.min(threads).max(1);
        let of_each = (threads / workers).max(1);
        let builder = ThreadPoolBuilder::new().num_threads(workers);
        let builder = builder.start_handler(move |_| tch::set_num_threads(of_each as i32));
        Self { pool: builder.build().ok(), of_each }
    }

    /// Does all of `work`, given by descending effort, and gives the results in its order.
    pub fn each<T: Send>(&self, work: Vec<Work<'_, T>>) -> Result<Vec<T>, TrainError> {
        let Some(pool) = &self.pool else {
            // With as many threads each, so that the results are the same.
            let threads = tch::get_num_threads();
            tch::set_num_threads(self.of_each as i32);
            let results = work.into_iter().map(|work| work()).collect();
            tch::set_num_threads(threads);
            return results;
        };
        let mut results: Vec<Option<Result<T, TrainError>>> = work.iter().map(|_| None).collect();
        pool.in_place_scope_fifo(|scope| {
            for (work, result) in work.into_iter().zip(&mut results) {
                scope.spawn_fifo(move |_| *result = Some(work()));
            }
        });
        results.into_iter().flatten().collect()
    }
}

/// The same parameters, in the same memory, with gradients of their own.
pub fn replica(params: &Params) -> Params {
    let own = |(name, tensor): (&String, &Tensor)| {
        (name.clone(), tensor.detach().set_requires_grad(true))
    };
    Params(params.0.iter().map(own).collect())
}

/// Makes the gradients of `params` the sum of those of replicas, in their order.
pub fn gather(params: &Params, replicas: &[Params]) {
    for (name, param) in &params.0 {
        let of_replicas = replicas.iter().map(|replica| replica.0[name].grad());
        let mut defined = of_replicas.filter(Tensor::defined);
        let Some(mut sum) = defined.next() else { continue };
        for gradient in defined {
            sum += gradient;
        }
        set_gradient(param, &sum);
    }
}

#[allow(unsafe_code, reason = "calls a function of cpp/kernels.cpp with live tensors")]
fn set_gradient(param: &Tensor, gradient: &Tensor) {
    unsafe extern "C" {
        fn spacewright_set_gradient(
            param: *const torch_sys::C_tensor,
            gradient: *const torch_sys::C_tensor,
        );
    }
    // SAFETY: both tensors outlive the call; the parameter then holds the gradient, too.
    unsafe { spacewright_set_gradient(param.as_ptr(), gradient.as_ptr()) }
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;

    #[test]
    fn gradients_of_replicas_are_added() {
        let mut params = Params::default();
        params.insert("a".into(), Tensor::from_slice(&[2.0f32, 3.0]));
        params.insert("unused".into(), Tensor::from_slice(&[1.0f32]));
        let replicas: Vec<Params> = (0..3).map(|_| replica(&params)).collect();
        let work = replicas.iter().enumerate().map(|(index, replica)| {
            let a = replica.0["a"].shallow_clone();
            let work = move || {
                (a.square() * index as f64).sum(Kind::Float).backward();
                Ok(index)
            };
            Box::new(work) as Work<'_, usize>
        });
        let side_by_side = SideBySide::new(3, 2);
        assert_eq!(side_by_side.each(work.collect()).unwrap(), [0, 1, 2]);
        gather(&params, &replicas);
        // 2x (0 + 1 + 2)
        assert_eq!(Vec::<f32>::try_from(params.0["a"].grad()).unwrap(), [12.0, 18.0]);
        assert!(!params.0["unused"].grad().defined());
    }

    #[test]
    fn the_first_error_is_told() {
        let work: Vec<Work<'_, ()>> =
            vec![Box::new(|| Ok(())), Box::new(|| Err(TrainError::Cancelled))];
        let error = SideBySide::new(2, 2).each(work).unwrap_err();
        assert!(matches!(error, TrainError::Cancelled));
    }
}
