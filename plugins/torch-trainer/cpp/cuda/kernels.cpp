// Who launches kernels, and with what.
#include "../implementation.hpp"
#include "driver.hpp"

using namespace spacewright;
using cuda::empty;
using cuda::floats;
using cuda::launch;
using cuda::rounds;
using cuda::THREADS;

namespace {

// Most blocks of a kernel that adds up: enough for the largest GPUs.
constexpr int64_t MOST_BLOCKS = 1024;
// Vectors that a thread should have at least.
constexpr int64_t VECTORS_OF_THREAD = 8;
// Elements of a parameter that a block descends.
constexpr int64_t DESCENDED = 1 << 12;

// How a value with channels innermost is walked through; laid out as in the kernels' files.
struct Walk {
  int64_t rows, rows_of_block;
  int32_t vectors, width;
};

struct Plan {
  Walk walk;
  int vector;
  cuda::Blocks blocks;

  explicit Plan(const Tensor& x) {
    const int64_t channels = x.size(1);
    vector = cuda::vector_of(x);
    walk.rows = x.numel() / std::max<int64_t>(channels, 1);
    walk.vectors = static_cast<int32_t>(channels / vector);
    walk.width = static_cast<int32_t>(std::clamp<int64_t>(walk.vectors, 1, THREADS));
    blocks.y = rounds(walk.vectors, walk.width);
    const int64_t at_once = THREADS / walk.width;
    const int64_t wanted = std::max<int64_t>(rounds(walk.rows, at_once * VECTORS_OF_THREAD), 1);
    const int64_t most = std::max<int64_t>(MOST_BLOCKS / blocks.y, 1);
    const int64_t share = std::max<int64_t>(rounds(walk.rows, std::min(wanted, most)), 1);
    walk.rows_of_block = rounds(share, at_once) * at_once;
    blocks.x = rounds(walk.rows, walk.rows_of_block);
  }
};

Tensor channels_last(const Tensor& x) { return x.contiguous(at::MemoryFormat::ChannelsLast); }

// Elements that a thread takes at a time of these tensors, which may start anywhere.
int flat_vector(std::initializer_list<const Tensor*> tensors) {
  for (const Tensor* tensor : tensors) {
    const auto address = reinterpret_cast<uintptr_t>(tensor->data_ptr());
    if (address % (4 * tensor->element_size()) != 0) return 1;
  }
  return 4;
}

// Blocks for `n` elements, `vector` at a time.
cuda::Blocks blocks_of(int64_t n, int vector) {
  const int64_t wanted = rounds(n, vector * THREADS * VECTORS_OF_THREAD);
  return {std::min(std::max<int64_t>(wanted, 1), MOST_BLOCKS)};
}

Tensor round(const Tensor& input, const Rounding& rounding) {
  const Tensor x = dense(input);
  Tensor y = at::empty_like(x);
  const int vector = flat_vector({&x, &y});
  launch("activation_forward", x, vector, blocks_of(x.numel(), vector), x.data_ptr(), y.data_ptr(), x.numel(),
         floats(rounding.scale), floats(rounding.offset), int(rounding.non_negative),
         float(rounding.max_scale));
  return y;
}

// Gradients of scale and offset from the shares of blocks.
void sum_scalars(const Tensor& partial, int64_t blocks, const Rounding& rounding,
                 RoundingGradients& gradients) {
  gradients.scale = empty({1}, partial);
  Tensor offset = empty({1}, partial);
  launch("activation_sums", partial, 4, {}, floats(partial), int(blocks), floats(rounding.scale),
         floats(rounding.offset), int(rounding.non_negative), float(rounding.max_scale),
         float(rounding.factor), floats(gradients.scale), floats(offset));
  if (!rounding.non_negative) gradients.offset = offset;
}

RoundingGradients round_backward(const Tensor& input, const Tensor& upstream,
                                 const Rounding& rounding) {
  const Tensor x = dense(input), gy = like(upstream, x);
  RoundingGradients gradients{at::empty_like(x), {}, {}};
  const int vector = flat_vector({&x, &gy, &gradients.x});
  const cuda::Blocks blocks = blocks_of(x.numel(), vector);
  const Tensor partial = empty({blocks.x, 2}, x);
  launch("activation_backward", x, vector, blocks, x.data_ptr(), gy.data_ptr(), gradients.x.data_ptr(),
         x.numel(), floats(rounding.scale), floats(rounding.offset), int(rounding.non_negative),
         float(rounding.max_scale), floats(partial));
  sum_scalars(partial, blocks.x, rounding, gradients);
  return gradients;
}

// Where elements of a weight are; laid out as in the kernels' files.
struct Weight {
  int64_t output, input, row, column;
  int32_t inputs, columns;

  explicit Weight(const Tensor& w)
      : output(w.stride(0)), input(w.stride(1)), inputs(static_cast<int32_t>(w.size(1))) {
    const bool is_kernel = w.dim() == 4;
    row = is_kernel ? w.stride(2) : 0;
    column = is_kernel ? w.stride(3) : 0;
    columns = is_kernel ? static_cast<int32_t>(w.size(3)) : 1;
  }
};

// Weights with input channels innermost.
at::MemoryFormat innermost(const Tensor& w) {
  return w.dim() == 4 ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
}

Tensor empty_weights(const Tensor& w) {
  return at::empty(w.sizes(), w.options().memory_format(innermost(w)));
}

RoundedWeights round_weights(const Tensor& w, const Tensor& scales, int64_t max, bool pairs) {
  const int64_t outputs = w.size(0), length = w.numel() / outputs;
  RoundedWeights rounded{empty_weights(w), empty({outputs}, w), empty({outputs}, w), w};
  launch("weight_forward", w, 4, {outputs}, floats(w), Weight(w), int(length), floats(scales),
         scales.stride(0), float(max), int(pairs), floats(rounded.y), floats(rounded.used),
         floats(rounded.free));
  return rounded;
}

WeightGradients round_weights_backward(const Tensor& upstream, const RoundedWeights& rounded,
                                       int64_t max) {
  const Tensor& w = rounded.w;
  const int64_t outputs = w.size(0), length = w.numel() / outputs;
  const Tensor gy = upstream.contiguous(innermost(w));
  WeightGradients gradients{empty_weights(w), empty({outputs}, w)};
  const float factor = 1.0f / std::sqrt(static_cast<float>(length) * static_cast<float>(max));
  launch("weight_backward", w, 4, {outputs}, floats(w), Weight(w), int(length), floats(gy),
         floats(rounded.used), floats(rounded.free), float(max), factor, floats(gradients.w),
         floats(gradients.scales));
  return gradients;
}

Statistics statistics(const Tensor& input, double eps) {
  const Tensor x = channels_last(input);
  const Plan plan(x);
  const int64_t channels = x.size(1);
  const Tensor partial = empty({plan.blocks.x, 2, channels}, x);
  Statistics found{empty({channels}, x), empty({channels}, x)};
  launch("statistics", x, plan.vector, plan.blocks, x.data_ptr(), plan.walk, floats(partial));
  launch("join_statistics", x, plan.vector, {rounds(channels, cuda::JOINED)}, floats(partial),
         int(plan.blocks.x), int(channels), plan.walk.rows, plan.walk.rows_of_block, eps,
         floats(found.mean), floats(found.inverse));
  return found;
}

// What tells how values are normalized: each a vector of floats without gaps.
struct Dense {
  Tensor mean, inverse, gamma, beta;

  explicit Dense(const Normalization& n)
      : mean(n.by.mean.contiguous()),
        inverse(n.by.inverse.contiguous()),
        gamma(n.gamma.contiguous()),
        beta(n.beta.contiguous()) {}
};

Tensor normalize(const Tensor& input, const Normalization& normalization) {
  const Tensor x = channels_last(input);
  const Plan plan(x);
  const Dense by(normalization);
  const Rounding& rounding = normalization.rounding;
  Tensor y = at::empty_like(x);
  launch("normalize_forward", x, plan.vector, plan.blocks, x.data_ptr(), y.data_ptr(), plan.walk,
         floats(by.mean), floats(by.inverse), floats(by.gamma), floats(by.beta),
         float(normalization.least), float(normalization.most), floats(rounding.scale),
         floats(rounding.offset), int(rounding.non_negative), float(rounding.max_scale));
  return y;
}

NormalizationGradients normalize_backward(const Tensor& input, const Tensor& upstream,
                                          const Normalization& normalization) {
  const Tensor x = channels_last(input), gy = like(upstream, x);
  const Plan plan(x);
  const Dense by(normalization);
  const Rounding& rounding = normalization.rounding;
  const int64_t channels = x.size(1);
  const float least = normalization.least, most = normalization.most;
  const Tensor partial = empty({plan.blocks.x, 2, channels}, x);
  const int64_t blocks = plan.blocks.x * plan.blocks.y;
  const Tensor scalars = empty({blocks, 2}, x);
  launch("normalize_sums", x, plan.vector, plan.blocks, x.data_ptr(), gy.data_ptr(), plan.walk,
         floats(by.mean), floats(by.inverse), floats(by.gamma), floats(by.beta), least, most,
         floats(rounding.scale), floats(rounding.offset), int(rounding.non_negative),
         float(rounding.max_scale), floats(partial), floats(scalars));
  NormalizationGradients gradients{at::empty_like(x), empty({channels}, x), empty({channels}, x),
                                   {}, {}};
  const Tensor slope = empty({channels}, x), constant = empty({channels}, x);
  launch("join_sums", x, plan.vector, {rounds(channels, cuda::JOINED)}, floats(partial), int(plan.blocks.x),
         int(channels), plan.walk.rows, floats(by.mean), floats(by.inverse), floats(by.gamma),
         floats(gradients.gamma), floats(gradients.beta), floats(slope), floats(constant));
  launch("normalize_backward", x, plan.vector, plan.blocks, x.data_ptr(), gy.data_ptr(),
         gradients.x.data_ptr(), plan.walk, floats(by.mean), floats(by.inverse), floats(by.gamma),
         floats(by.beta), floats(slope), floats(constant), least, most, floats(rounding.scale),
         floats(rounding.offset), int(rounding.non_negative), float(rounding.max_scale));
  if (rounding.scale.defined()) {
    RoundingGradients rounded;
    sum_scalars(scalars, blocks, rounding, rounded);
    gradients.scale = rounded.scale;
    gradients.offset = rounded.offset;
  }
  return gradients;
}

// A part of a parameter; laid out as in the kernels' files.
struct Part {
  float* param;
  const float* gradient;
  float* momentum;
  int64_t count;
  float decay, largest_share;
};

void descend(const std::vector<Descent>& descents, const Rates& rates) {
  std::vector<Part> parts;
  std::vector<Tensor> kept;
  for (const Descent& descent : descents) {
    Tensor gradient = descent.param.grad();
    if (gradient.defined()) kept.push_back(gradient = like(gradient, descent.param));
    float *param = floats(descent.param), *momentum = floats(descent.momentum);
    const float* slope = floats(gradient);
    for (int64_t first = 0; first < descent.param.numel(); first += DESCENDED) {
      const int64_t count = std::min(DESCENDED, descent.param.numel() - first);
      parts.push_back({param + first, slope ? slope + first : nullptr, momentum + first, count,
                       descent.decay, descent.largest_share});
    }
  }
  const Tensor& on = descents.front().param;
  const int64_t bytes = static_cast<int64_t>(parts.size() * sizeof(Part));
  const Tensor table = at::from_blob(parts.data(), {bytes}, at::kByte).to(on.device());
  launch("descend", on, 4, {static_cast<int64_t>(parts.size())}, table.data_ptr(), rates.rate,
         rates.momentum, rates.largest_gradient);
}

}  // namespace

const Implementation spacewright::GPU = {
    2, round,      round_backward, round_weights,      round_weights_backward,
    statistics, normalize,      normalize_backward, descend,
};
