// Loops on the processor, for tensors of floats, and for those of bfloat16, which are widened chunk by chunk.
#pragma once

#include <ATen/Parallel.h>

#include "../implementation.hpp"

// One version for each generation of vector units, chosen when the program is loaded.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define MULTIVERSION __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define MULTIVERSION
#endif

namespace spacewright {

// The grid of a quantized activation: integers 0 to 255 with a step and an integer of real zero, and
// the gradients of the step outside of it.
struct Grid {
  float scale = 1.0f, zero = 0.0f;
  // Gradients of the scale below and above the range.
  float low = 0.0f, high = 255.0f;
  bool free_zero = false;

  explicit Grid(const Rounding& rounding) {
    if (!rounding.scale.defined()) return;
    scale = std::max(std::fabs(rounding.scale.item<float>()), SMALLEST_SCALE);
    if (rounding.max_scale > 0) scale = std::min(scale, static_cast<float>(rounding.max_scale));
    if (!rounding.non_negative) {
      const float wanted = std::nearbyint(-rounding.offset.item<float>() / scale);
      zero = std::min(std::max(wanted, 0.0f), 255.0f);
      free_zero = wanted >= 0.0f && wanted <= 255.0f;
    }
    // With a learned offset the lower end of the range is the offset itself, whatever the scale.
    low = free_zero ? 0.0f : -zero;
    high = free_zero ? 255.0f : 255.0f - zero;
  }

  // From the sums over all elements.
  RoundingGradients gradients(const Tensor& x, double scale_sum, double offset_sum,
                              const Rounding& rounding) const {
    const auto options = rounding.scale.options();
    RoundingGradients gradients{x, at::full({1}, scale_sum * rounding.factor, options), {}};
    if (!rounding.non_negative) {
      gradients.offset = at::full({1}, free_zero ? offset_sum * rounding.factor : 0.0, options);
    }
    return gradients;
  }
};

namespace processor {

// Elements as floats: where they lie, or widened, in the caller's room for `n` of them.
class Reader {
 public:
  explicit Reader(const Tensor& x);
  const float* read(int64_t begin, int64_t n, float* room) const;

 private:
  const float* floats = nullptr;
  const uint16_t* halves = nullptr;
};

// Elements that are computed as floats: where they shall lie, or in the caller's room until they are stored.
class Writer {
 public:
  explicit Writer(const Tensor& y);
  float* place(int64_t begin, float* room) const { return floats ? floats + begin : room; }
  void store(int64_t begin, int64_t n, const float* room) const;

 private:
  float* floats = nullptr;
  uint16_t* halves = nullptr;
};

// Floats of such room: for `tensors` times `n` elements of a tensor like this one; none where it holds floats.
inline int64_t room_for(const Tensor& x, int64_t tensors, int64_t n) {
  return x.scalar_type() == at::kFloat ? 0 : tensors * n;
}

Tensor round(const Tensor& x, const Rounding&);
RoundingGradients round_backward(const Tensor& x, const Tensor& gy, const Rounding&);
RoundedWeights round_weights(const Tensor& w, const Tensor& scales, int64_t max, bool pairs);
WeightGradients round_weights_backward(const Tensor& gy, const RoundedWeights&, int64_t max);
Statistics statistics(const Tensor& x, double eps);
Tensor normalize(const Tensor& x, const Normalization&);
NormalizationGradients normalize_backward(const Tensor& x, const Tensor& gy, const Normalization&);
void descend(const std::vector<Descent>&, const Rates&);
// Whether what all output pixels of an image contribute to its gradient stays in a core's cache.
bool has_small_product(const Tensor& x, const Tensor& w, int64_t stride, int64_t padding);
// Of a dense convolution of floats; `w` has out × in × rows × columns.
Tensor strided_input_gradient(const Tensor& x, const Tensor& gy, const Tensor& w, int64_t stride, int64_t padding);

}  // namespace processor

}  // namespace spacewright
