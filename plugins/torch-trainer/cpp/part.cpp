// The part of an elastic parameter that a network uses, with gradients.
#include <torch/csrc/autograd/custom_function.h>

#include "kernels.hpp"

using namespace spacewright;
using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

namespace {

// The first channels, and the centre of a kernel, in one call of the library instead of one for each dimension.
Tensor part_of(const Tensor& full, const std::vector<int64_t>& sizes) {
  int64_t offset = full.storage_offset();
  for (int64_t dimension = 2; dimension < full.dim(); ++dimension) {
    offset += (full.size(dimension) - sizes[dimension]) / 2 * full.stride(dimension);
  }
  return full.as_strided(sizes, full.strides(), offset);
}

// Its gradient is added to the part of the parameter's gradient that it belongs to, where what the library does
// by itself makes a gradient of zeros for each dimension and each network that uses a part.
struct Part : Function<Part> {
  static Tensor forward(AutogradContext* ctx, const Tensor& full, const std::vector<int64_t>& sizes) {
    ctx->save_for_backward({full});
    ctx->saved_data["sizes"] = sizes;
    return part_of(full.detach(), sizes);
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const Tensor full = ctx->get_saved_variables()[0];
    Tensor& gradient = full.mutable_grad();
    if (!gradient.defined()) gradient = at::zeros_like(full);
    part_of(gradient, ctx->saved_data["sizes"].toIntVector()).add_(grads[0]);
    return {Tensor(), Tensor()};
  }
};

}  // namespace

// The part of a parameter that has these sizes, one of each of its dimensions and none above it.
extern "C" Tensor* spacewright_part(Tensor* full, const int64_t* sizes) {
  return guarded(
      [&] {
        TORCH_CHECK(full->is_leaf(), "only parameters have parts");
        return Part::apply(*full, std::vector<int64_t>(sizes, sizes + full->dim()));
      });
}
