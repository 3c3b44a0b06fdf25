// Strided convolutions on the processor, whose library takes longer for the gradient of their input than a product of
// matrices does (benches/strided.rs); all else of them is the library's.
#include <torch/csrc/autograd/custom_function.h>

#include "processor/processor.hpp"

using namespace spacewright;
using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

namespace {

// Kernels of more elements make larger products, for which the library is faster.
constexpr int64_t MOST_TAPS = 9;

struct StridedConvolution : Function<StridedConvolution> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& w, int64_t stride, int64_t padding) {
    ctx->save_for_backward({x, w});
    ctx->saved_data["stride"] = stride;
    ctx->saved_data["padding"] = padding;
    return at::conv2d(x, w, {}, stride, padding);
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &x = saved[0], &w = saved[1], &gy = grads[0];
    const int64_t stride = ctx->saved_data["stride"].toInt(), padding = ctx->saved_data["padding"].toInt();
    Tensor gx, gw;
    if (ctx->needs_input_grad(0)) gx = processor::strided_input_gradient(x, gy, w, stride, padding);
    if (ctx->needs_input_grad(1)) {
      gw = std::get<1>(at::convolution_backward(gy, x, w, std::nullopt, {stride, stride}, {padding, padding},
                                                {1, 1}, false, {0, 0}, 1, {false, true, false}));
    }
    const Tensor none;
    return {gx, gw, none, none};
  }
};

bool pays(const Tensor& x, const Tensor& w, int64_t stride, int64_t padding) {
  const bool is_float = x.scalar_type() == at::kFloat && w.scalar_type() == at::kFloat;
  return is_float && x.requires_grad() && w.size(2) * w.size(3) <= MOST_TAPS &&
         processor::has_small_product(x, w, stride, padding);
}

}  // namespace

// A dense convolution without bias on the processor, with a stride above 1; as many pixels are added at all sides.
extern "C" Tensor* spacewright_strided(Tensor* x, Tensor* w, int64_t stride, int64_t padding) {
  return guarded([&] {
    if (pays(*x, *w, stride, padding)) return StridedConvolution::apply(*x, *w, stride, padding);
    return at::conv2d(*x, *w, {}, stride, padding);
  });
}
