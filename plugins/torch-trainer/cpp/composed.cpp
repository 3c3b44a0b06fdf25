// What is computed by hand, composed of tensor operations: slower, and right on every device.
#include "implementation.hpp"

using namespace spacewright;

namespace {

// The grid of a quantized activation, as tensors of one element: see processor/processor.hpp.
struct Grid {
  Tensor scale, zero, low, high, free_zero;

  explicit Grid(const Rounding& rounding) {
    scale = rounding.scale.detach().abs().clamp_min(SMALLEST_SCALE);
    if (rounding.max_scale > 0) scale = scale.clamp_max(rounding.max_scale);
    const Tensor wanted = rounding.non_negative ? at::full_like(scale, -1.0)
                                                : at::round(-rounding.offset.detach() / scale);
    zero = wanted.clamp(0.0, 255.0);
    free_zero = (wanted >= 0.0).logical_and(wanted <= 255.0).to(at::kFloat);
    low = -zero * (1.0 - free_zero);
    high = 255.0 - zero * (1.0 - free_zero);
  }

  Tensor round(const Tensor& x) const {
    return ((at::round(x / scale) + zero).clamp(0.0, 255.0) - zero) * scale;
  }

  // Where values are below and above the range.
  std::array<Tensor, 2> outside(const Tensor& rounded) const {
    const Tensor q = rounded + zero;
    return {q < 0.0, q > 255.0};
  }

  // Gradients of scale and offset for values with these gradients.
  RoundingGradients gradients(const Tensor& x, const Tensor& gy, const Rounding& rounding) const {
    const Tensor v = x / scale, r = at::round(v);
    const auto [below, above] = outside(r);
    const Tensor beyond = below.logical_or(above);
    const Tensor slope = at::where(below, low, at::where(above, high, r - v));
    RoundingGradients gradients;
    gradients.x = gy.masked_fill(beyond, 0.0);
    gradients.scale = (gy * slope).sum().reshape({1}) * rounding.factor;
    if (!rounding.non_negative) {
      gradients.offset =
          (gy * beyond).sum().reshape({1}) * free_zero.reshape({1}) * rounding.factor;
    }
    return gradients;
  }
};

Tensor floats(const Tensor& x) { return x.to(at::kFloat); }

Tensor round(const Tensor& x, const Rounding& rounding) {
  return Grid(rounding).round(floats(x)).to(x.scalar_type());
}

RoundingGradients round_backward(const Tensor& x, const Tensor& gy, const Rounding& rounding) {
  RoundingGradients gradients = Grid(rounding).gradients(floats(x), floats(gy), rounding);
  gradients.x = gradients.x.to(x.scalar_type());
  return gradients;
}

// A value of each output channel beside weights.
Tensor by_output(const Tensor& values, const Tensor& w) {
  std::vector<int64_t> shape(w.dim(), 1);
  shape[0] = w.size(0);
  return values.reshape(shape);
}

// The smallest scale of each output channel at which neighbouring pairs of integers, in the order (row,
// column, input channel), keep to the limit of 16-bit accumulation.
Tensor pair_floor(const Tensor& w) {
  const Tensor last = w.dim() == 4 ? w.permute({0, 2, 3, 1}).flatten(1) : w.flatten(1);
  const Tensor even = at::constant_pad_nd(last, {0, last.size(1) % 2});
  const Tensor pairs = even.reshape({w.size(0), -1, 2});
  const Tensor bounds = at::maximum(pairs.clamp_min(0.0).sum(2), (-pairs).clamp_min(0.0).sum(2));
  // The weight itself tells what is no number.
  return bounds.nan_to_num(0.0).amax({1}) / 127.0;
}

RoundedWeights round_weights(const Tensor& w, const Tensor& scales, int64_t max, bool pairs) {
  const Tensor learned = scales.abs().clamp_min(SMALLEST_SCALE);
  const Tensor floor = pairs ? pair_floor(w) : at::zeros_like(learned);
  const Tensor used = at::maximum(learned, floor), free = (floor <= learned).to(w.scalar_type());
  const Tensor scale = by_output(used, w);
  const double most = static_cast<double>(max);
  return {at::round(w / scale).clamp(-most, most) * scale, used, free, w};
}

WeightGradients round_weights_backward(const Tensor& gy, const RoundedWeights& rounded, int64_t max) {
  const Tensor& w = rounded.w;
  const double most = static_cast<double>(max), length = static_cast<double>(w.numel() / w.size(0));
  const Tensor v = w / by_output(rounded.used, w), r = at::round(v);
  const Tensor below = r < -most, above = r > most;
  Tensor slope = (r - v).masked_fill(below, -most).masked_fill(above, most);
  return {gy.masked_fill(below.logical_or(above), 0.0),
          (gy * slope).flatten(1).sum(1) * rounded.free / std::sqrt(length * most)};
}

Statistics statistics(const Tensor& x, double eps) {
  const auto [variance, mean] = at::var_mean(floats(x), {0, 2, 3}, /*unbiased=*/false);
  return {mean, (variance + eps).rsqrt()};
}

Tensor by_channel(const Tensor& values) { return values.reshape({1, -1, 1, 1}); }

Tensor normalized(const Tensor& x, const Statistics& by) {
  return (floats(x) - by_channel(by.mean)) * by_channel(by.inverse);
}

Tensor normalize(const Tensor& x, const Normalization& normalization) {
  const Tensor u = normalized(x, normalization.by) * by_channel(normalization.gamma) +
                   by_channel(normalization.beta);
  const Tensor y = u.clamp(normalization.least, normalization.most);
  const bool quantized = normalization.rounding.scale.defined();
  return (quantized ? Grid(normalization.rounding).round(y) : y).to(x.scalar_type());
}

NormalizationGradients normalize_backward(const Tensor& x, const Tensor& upstream,
                                          const Normalization& normalization) {
  const Tensor n = normalized(x, normalization.by);
  const Tensor u = n * by_channel(normalization.gamma) + by_channel(normalization.beta);
  const double least = normalization.least, most = normalization.most;
  RoundingGradients rounded{floats(upstream), {}, {}};
  if (normalization.rounding.scale.defined()) {
    const Grid grid(normalization.rounding);
    rounded = grid.gradients(u.clamp(least, most), rounded.x, normalization.rounding);
  }
  const Tensor g = rounded.x.masked_fill((u > least).logical_and(u < most).logical_not(), 0.0);
  const Tensor beta = g.sum({0, 2, 3}), gamma = (g * n).sum({0, 2, 3});
  const double rows = static_cast<double>(x.numel() / x.size(1));
  const Tensor gx = by_channel(normalization.gamma * normalization.by.inverse) *
                    (g - by_channel(beta / rows) - n * by_channel(gamma / rows));
  return {gx.to(x.scalar_type()), gamma, beta, rounded.scale, rounded.offset};
}

void descend(const std::vector<Descent>& descents, const Rates& rates) {
  for (const Descent& descent : descents) {
    Tensor param = descent.param, momentum = descent.momentum, gradient = param.grad();
    momentum.mul_(rates.momentum);
    if (!gradient.defined()) {
      param.sub_(momentum * (rates.momentum * rates.rate));
      continue;
    }
    gradient = gradient.clamp(-rates.largest_gradient, rates.largest_gradient);
    gradient = gradient + (gradient != 0.0) * param * descent.decay;
    if (descent.largest_share > 0.0f) {
      const Tensor most = param.abs() * descent.largest_share;
      gradient = at::minimum(at::maximum(gradient, -most), most);
    }
    momentum.add_(gradient);
    param.sub_((gradient + momentum * rates.momentum) * rates.rate);
  }
}

}  // namespace

const Implementation spacewright::COMPOSED = {
    1, round,      round_backward, round_weights,      round_weights_backward,
    statistics, normalize,      normalize_backward, descend,
};
