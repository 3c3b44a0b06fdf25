// What is computed by hand, in three ways: by loops on the processor, by kernels on NVIDIA GPUs, and composed of
// tensor operations, which every device has. Gradients are part of it; fake_quant.cpp and normalize.cpp join
// them to values.
#pragma once

#include "kernels.hpp"

namespace spacewright {

// How activations are rounded to integers 0 to 255 and back. Scale and offset have one element; an undefined
// scale rounds nothing. The offset counts only where values may be negative; 0 as `max_scale` is no limit.
struct Rounding {
  Tensor scale, offset;
  bool non_negative;
  double max_scale;
  // On gradients of scale and offset.
  double factor;
};

struct RoundingGradients {
  // The offset's is undefined where it does not count.
  Tensor x, scale, offset;
};

// Weights that were rounded, the scale of each output channel that was used, and whether it was the learned
// one (1) or the smallest that pairs of weights allow (0).
struct RoundedWeights {
  Tensor y, used, free;
  // The weights as backward reads them.
  Tensor w;
};

struct WeightGradients {
  Tensor w, scales;
};

// Of each channel.
struct Statistics {
  Tensor mean;
  // 1 / sqrt(variance + eps).
  Tensor inverse;
};

// How a value is normalized and what follows: limits, then rounding.
struct Normalization {
  Statistics by;
  Tensor gamma, beta;
  double least, most;
  Rounding rounding;
};

struct NormalizationGradients {
  Tensor x, gamma, beta, scale, offset;
};

// A step of descent with Nesterov momentum. Without a decay or a largest share these are 0.
struct Descent {
  // Its gradient is undefined where it has none.
  Tensor param, momentum;
  float decay, largest_share;
};

struct Rates {
  float rate, momentum, largest_gradient;
};

struct Implementation {
  // Tells them apart.
  int64_t number;
  Tensor (*round)(const Tensor& x, const Rounding&);
  RoundingGradients (*round_backward)(const Tensor& x, const Tensor& gy, const Rounding&);
  // Integers of ± `max`; `pairs` are limited, too.
  RoundedWeights (*round_weights)(const Tensor& w, const Tensor& scales, int64_t max, bool pairs);
  WeightGradients (*round_weights_backward)(const Tensor& gy, const RoundedWeights&, int64_t max);
  // Channels are the second dimension of four.
  Statistics (*statistics)(const Tensor& x, double eps);
  Tensor (*normalize)(const Tensor& x, const Normalization&);
  NormalizationGradients (*normalize_backward)(const Tensor& x, const Tensor& gy, const Normalization&);
  void (*descend)(const std::vector<Descent>&, const Rates&);
};

extern const Implementation PROCESSOR, COMPOSED, GPU;

// The one for tensors that lie where this one does. Gradients are computed by the one of this number that
// computed the values.
const Implementation& implementation_for(const Tensor& x);
const Implementation& implementation_of(int64_t number);

}  // namespace spacewright
