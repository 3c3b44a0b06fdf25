//! Optimizers on plain tensors, whose state can be saved: `tch` keeps its own out of reach.

use std::collections::BTreeMap;

use spacewright_core::train::TrainError;
use tch::Tensor;
use torch_sys::C_tensor;

use crate::{
    kernels::last_error,
    params::{OFFSET, Params, SCALE, is_decayed, is_quantizer, is_scale, node_of},
};

/// Which rule updates the parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Stochastic gradient descent with Nesterov momentum 0.9.
    Sgd,
    /// Adam (arXiv 1412.6980) with β = (0.9, 0.999). Steps of quantizers are relative to the
    /// size of the scale, as Adam's steps do not shrink with the gradient.
    Adam,
}

/// That of AlphaNet's supernets (arXiv 2102.07954).
const MOMENTUM: f64 = 0.9;
/// Those that Adam's paper suggests.
const BETAS: (f64, f64) = (0.9, 0.999);
/// That of Adam's paper.
const EPSILON: f64 = 1e-8;
/// Largest element of a gradient that is followed, as in AlphaNet's training: a step adds the
/// gradients of four subnets, of which a random one's may be huge.
const LARGEST_GRADIENT: f64 = 1.0;
/// Largest share of itself by which one gradient changes a scale in all. Scales are a hundred times smaller than
/// weights, so that the noise of one gradient can make one zero or negative, or so large that all weights
/// become zero; steps of a range that is learned in its logarithm are relative by nature (TQT, arXiv
/// 1903.08066).
const LARGEST_SCALE_STEP: f64 = 0.02;
/// Shortest decay of the learning rate, as a share of the steps: no division by zero where the whole
/// phase is warm-up.
const SHORTEST_DECAY: f64 = 1e-9;

/// An optimizer with its buffers.
#[derive(Debug)]
pub struct Optimizer {
    rule: Rule,
    weight_decay: f64,
    learns_quantizers: bool,
    /// Rates of nodes' parameters as shares of a step's; 1 where a node has none.
    rates: BTreeMap<String, f64>,
    /// `m.<name>` and, for Adam, `v.<name>`.
    pub buffers: BTreeMap<String, Tensor>,
}

impl Optimizer {
    /// An optimizer without history; scales and offsets stay as they are unless it
    /// `learns_quantizers`.
    pub fn new(rule: Rule, weight_decay: f64, learns_quantizers: bool) -> Self {
        let (rates, buffers) = (BTreeMap::new(), BTreeMap::new());
        Self { rule, weight_decay, learns_quantizers, rates, buffers }
    }

    /// The same with other rates for the parameters of some nodes, as shares of a step's; of the rule
    /// [`Rule::Sgd`].
    pub fn with_rates(self, rates: BTreeMap<String, f64>) -> Self {
        Self { rates, ..self }
    }

    /// One step over all parameters that have or had a gradient; gradients are clipped by value and
    /// cleared. A parameter that this step did not use goes on by its momentum. `step` counts from 0.
    pub fn step(&mut self, params: &mut Params, rate: f64, step: usize) -> Result<(), TrainError> {
        tch::no_grad(|| match self.rule {
            Rule::Sgd => self.descend(params, rate),
            Rule::Adam => {
                self.adapt(params, rate, step);
                Ok(())
            }
        })
    }

    fn decay(&self, name: &str) -> f64 {
        if is_decayed(name) { self.weight_decay } else { 0.0 }
    }

    fn descend(&mut self, params: &Params, rate: f64) -> Result<(), TrainError> {
        let mut by_share: BTreeMap<u64, Vec<Descent<'_>>> = BTreeMap::new();
        for (name, param) in &params.0 {
            let of_rate = self.rates.get(node_of(name)).copied().unwrap_or(1.0);
            let rate = rate * of_rate;
            let key = format!("m.{name}");
            let is_used = param.grad().defined() || self.buffers.contains_key(&key);
            if !is_used || is_quantizer(name) && !self.learns_quantizers {
                continue;
            }
            let decay = self.decay(name);
            // Momentum repeats a gradient until it counts 1 / (1 - momentum) times.
            let share =
                if is_scale(name) { LARGEST_SCALE_STEP * (1.0 - MOMENTUM) / rate } else { 0.0 };
            let momentum = buffer(&mut self.buffers, key, param).shallow_clone();
            let largest_share = share.min(f64::from(f32::MAX));
            let descents = by_share.entry(of_rate.to_bits()).or_default();
            descents.push(Descent { param, momentum, decay, largest_share });
        }
        let mut each = by_share.into_iter();
        each.try_for_each(|(share, descents)| descend(&descents, rate * f64::from_bits(share)))
    }

    fn adapt(&mut self, params: &mut Params, rate: f64, step: usize) {
        let sizes = quantizer_sizes(params);
        for (name, param) in &mut params.0 {
            if is_quantizer(name) && !self.learns_quantizers {
                continue;
            }
            let gradient = param.grad();
            // Whether or not its gradient exists: after a restart it does not.
            let mut gradient = if gradient.defined() {
                let clipped = gradient.clamp(-LARGEST_GRADIENT, LARGEST_GRADIENT);
                param.zero_grad();
                clipped
            } else if self.buffers.contains_key(&format!("m.{name}")) {
                param.zeros_like().detach()
            } else {
                continue;
            };
            let decay = self.decay(name);
            if decay > 0.0 {
                // The tail of an elastic weight that no subnet used has no gradient.
                let used = gradient.ne(0.0);
                gradient += &*param * decay * used;
            }
            let first = buffer(&mut self.buffers, format!("m.{name}"), param);
            *first = &*first * BETAS.0 + &gradient * (1.0 - BETAS.0);
            let mean = &*first / (1.0 - BETAS.0.powi(step as i32 + 1));
            let second = buffer(&mut self.buffers, format!("v.{name}"), param);
            *second = &*second * BETAS.1 + &gradient * &gradient * (1.0 - BETAS.1);
            let square = &*second / (1.0 - BETAS.1.powi(step as i32 + 1));
            let mut update = mean / (square.sqrt() + EPSILON) * rate;
            if let Some(size) = sizes.get(name) {
                update *= size;
            }
            *param -= update;
        }
    }
}

/// A parameter that follows its gradient.
struct Descent<'a> {
    param: &'a Tensor,
    momentum: Tensor,
    decay: f64,
    /// Of itself, by which it may change.
    largest_share: f64,
}

#[allow(unsafe_code, reason = "calls the kernel of cpp/descend.cpp with live tensors")]
fn descend(descents: &[Descent<'_>], rate: f64) -> Result<(), TrainError> {
    unsafe extern "C" {
        fn spacewright_descend(
            params: *const *const C_tensor,
            buffers: *const *const C_tensor,
            decays: *const f64,
            largest_shares: *const f64,
            count: i64,
            rate: f64,
            momentum: f64,
            largest_gradient: f64,
        ) -> bool;
    }
    let params: Vec<_> = descents.iter().map(|descent| descent.param.as_ptr()).collect();
    let buffers: Vec<_> = descents.iter().map(|descent| descent.momentum.as_ptr()).collect();
    let decays: Vec<f64> = descents.iter().map(|descent| descent.decay).collect();
    let shares: Vec<f64> = descents.iter().map(|descent| descent.largest_share).collect();
    // SAFETY: all are dense tensors of floats, in pairs of one shape and order in memory, which outlive the
    // call.
    let done = unsafe {
        spacewright_descend(
            params.as_ptr(),
            buffers.as_ptr(),
            decays.as_ptr(),
            shares.as_ptr(),
            descents.len() as i64,
            rate,
            MOMENTUM,
            LARGEST_GRADIENT,
        )
    };
    let failed = || TrainError::Computation { doing: "descending", source: last_error().into() };
    if done { Ok(()) } else { Err(failed()) }
}

/// What Adam's steps of scales and offsets are relative to. An offset may be zero, so its scale
/// counts, too.
fn quantizer_sizes(params: &Params) -> BTreeMap<String, Tensor> {
    let size = |(name, param): (&String, &Tensor)| {
        let own = param.detach().abs();
        let scale = name.strip_suffix(OFFSET).map(|value| params.0.get(&format!("{value}{SCALE}")));
        let size = match scale.flatten() {
            Some(scale) => own.maximum(&scale.detach().abs()),
            None => own.copy(),
        };
        is_quantizer(name).then(|| (name.clone(), size))
    };
    params.0.iter().filter_map(size).collect()
}

fn buffer<'a>(
    buffers: &'a mut BTreeMap<String, Tensor>,
    name: String,
    like: &Tensor,
) -> &'a mut Tensor {
    buffers.entry(name).or_insert_with(|| like.zeros_like().detach())
}

/// Learning rate of step `step` of `steps`, counted from 0: it rises linearly to `peak` in the first
/// `warmup` of the steps (a share), then falls to zero along a cosine.
pub fn rate(peak: f64, warmup: f64, step: usize, steps: usize) -> f64 {
    let position = (step as f64 + 0.5) / steps.max(1) as f64;
    if position < warmup {
        return peak * position / warmup;
    }
    let progress = (position - warmup) / (1.0 - warmup).max(SHORTEST_DECAY);
    peak * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minimise(rule: Rule, peak: f64) -> f64 {
        let mut params = Params::default();
        params.insert("a.weight".into(), Tensor::from_slice(&[3.0f32, -4.0]));
        let mut optimizer = Optimizer::new(rule, 0.0, true);
        for step in 0..200 {
            let loss = params.0["a.weight"].square().sum(tch::Kind::Float);
            loss.backward();
            optimizer.step(&mut params, rate(peak, 0.1, step, 200), step).unwrap();
        }
        params.0["a.weight"].norm().double_value(&[])
    }

    #[test]
    fn both_rules_find_a_minimum() {
        assert!(minimise(Rule::Sgd, 0.1) < 1e-2);
        assert!(minimise(Rule::Adam, 0.2) < 1e-2);
    }

    #[test]
    fn one_gradient_hardly_changes_a_scale() {
        for gradient in [900.0, -900.0] {
            let mut params = Params::default();
            params.insert("a.weight_scale".into(), Tensor::from_slice(&[0.001f32]));
            params.insert("a.weight".into(), Tensor::from_slice(&[0.001f32]));
            let mut optimizer = Optimizer::new(Rule::Sgd, 0.0, true);
            let loss = (&params.0["a.weight_scale"] + &params.0["a.weight"]) * gradient;
            loss.sum(tch::Kind::Float).backward();
            for step in 0..60 {
                optimizer.step(&mut params, 0.01, step).unwrap();
            }
            let change = |name: &str| (params.0[name].double_value(&[0]) / 0.001 - 1.0).abs();
            assert!((0.01..0.021).contains(&change("a.weight_scale")));
            assert!(change("a.weight") > 10.0);
        }
    }

    #[test]
    fn nodes_have_rates_of_their_own() {
        let mut params = Params::default();
        for name in ["slow.weight", "slow.bn.gamma", "frozen.weight"] {
            params.insert(name.into(), Tensor::from_slice(&[1.0f32]));
        }
        let rates = BTreeMap::from([("slow".to_owned(), 0.25), ("frozen".to_owned(), 0.0)]);
        let mut optimizer = Optimizer::new(Rule::Sgd, 0.0, true).with_rates(rates);
        let sum: Tensor = params.0.values().sum();
        sum.backward();
        optimizer.step(&mut params, 0.1, 0).unwrap();
        let change = |name: &str| 1.0 - params.0[name].double_value(&[0]);
        assert!((change("slow.weight") / change("slow.bn.gamma") - 0.25).abs() < 1e-5);
        assert_eq!(change("frozen.weight"), 0.0);
    }

    #[test]
    fn decay_spares_what_no_gradient_reached() {
        let mut params = Params::default();
        params.insert("a.weight".into(), Tensor::from_slice(&[1.0f32, 1.0]));
        let mut optimizer = Optimizer::new(Rule::Sgd, 0.5, true);
        params.0["a.weight"].narrow(0, 0, 1).sum(tch::Kind::Float).backward();
        optimizer.step(&mut params, 0.1, 0).unwrap();
        assert_eq!(params.0["a.weight"].double_value(&[1]), 1.0);
        assert!(params.0["a.weight"].double_value(&[0]) < 0.8);
    }

    #[test]
    fn the_rate_rises_and_falls() {
        let rates: Vec<f64> = (0..10).map(|step| rate(1.0, 0.2, step, 10)).collect();
        assert!(rates[0] < rates[1] && rates[2] > rates[5] && rates[9] < 0.05);
    }
}
