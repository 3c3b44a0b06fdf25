// What all that is computed by hand has in common.
#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

namespace spacewright {

using at::Tensor;

constexpr float SMALLEST_SCALE = 1e-7f;

inline Tensor dense(const Tensor& x) {
  return x.is_non_overlapping_and_dense() ? x : x.contiguous();
}

// In memory as `model`, which is dense, and of its type.
inline Tensor like(const Tensor& x, const Tensor& model) {
  bool is_like = x.scalar_type() == model.scalar_type();
  for (int64_t dimension = 0; dimension < x.dim(); ++dimension) {
    is_like &= x.size(dimension) == 1 || x.stride(dimension) == model.stride(dimension);
  }
  return is_like ? x : at::empty_like(model).copy_(x);
}

// The text of the last error of this thread; the buffer stays.
char* last_error();
constexpr size_t LONGEST_ERROR = 512;

inline void keep_error(const char* text) { std::strncpy(last_error(), text, LONGEST_ERROR - 1); }

// The tensor that `f` makes, on the heap; null where it throws.
template <typename F>
Tensor* guarded(F&& f) {
  try {
    return new Tensor(f());
  } catch (const std::exception& e) {
    keep_error(e.what());
    return nullptr;
  }
}

}  // namespace spacewright
