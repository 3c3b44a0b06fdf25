// What the kernels share.
#pragma once

#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

// One version for each generation of vector units, chosen when the program is loaded.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define MULTIVERSION __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define MULTIVERSION
#endif

namespace spacewright {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

constexpr float SMALLEST_SCALE = 1e-7f;

inline Tensor dense(const Tensor& x) {
  return x.is_non_overlapping_and_dense() ? x : x.contiguous();
}

inline Tensor like(const Tensor& x, const Tensor& model) {
  return x.strides() == model.strides() ? x : torch::empty_like(model).copy_(x);
}

// The grid of a quantized activation: integers 0 to 255 with a step and an integer of real zero, and
// the gradients of the step outside of it.
struct Grid {
  float scale = 1.0f, zero = 0.0f;
  // Gradients of the scale below and above the range.
  float low = 0.0f, high = 255.0f;
  bool free_zero = false;

  // `offset` counts only where values may be negative; 0 as `max_scale` is no limit.
  Grid(const Tensor& scale_param, const Tensor& offset_param, bool non_negative, double max_scale) {
    scale = std::max(std::fabs(scale_param.item<float>()), SMALLEST_SCALE);
    if (max_scale > 0) scale = std::min(scale, static_cast<float>(max_scale));
    if (!non_negative) {
      const float wanted = std::nearbyint(-offset_param.item<float>() / scale);
      zero = std::min(std::max(wanted, 0.0f), 255.0f);
      free_zero = wanted >= 0.0f && wanted <= 255.0f;
    }
    // With a learned offset the lower end of the range is the offset itself, whatever the scale.
    low = free_zero ? 0.0f : -zero;
    high = free_zero ? 255.0f : 255.0f - zero;
  }
};

// The text of the last error of this thread; the buffer stays.
char* last_error();
constexpr size_t LONGEST_ERROR = 512;

// The tensor that `f` makes, on the heap; null where it throws.
template <typename F>
Tensor* guarded(F&& f) {
  try {
    return new Tensor(f());
  } catch (const std::exception& e) {
    std::strncpy(last_error(), e.what(), LONGEST_ERROR - 1);
    return nullptr;
  }
}

}  // namespace spacewright
