// Fake quantization with learned step sizes (LSQ+, arXiv 2004.09576), with gradients.
#include <torch/csrc/autograd/custom_function.h>

#include "implementation.hpp"

using namespace spacewright;
using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

namespace {

struct ActivationQuant : Function<ActivationQuant> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& scale,
                        const Tensor& offset, bool non_negative, double max_scale, double factor) {
    ctx->save_for_backward({x, scale, offset});
    ctx->saved_data["non_negative"] = non_negative;
    ctx->saved_data["max_scale"] = max_scale;
    ctx->saved_data["factor"] = factor;
    const Implementation& implementation = implementation_for(x);
    ctx->saved_data["by"] = implementation.number;
    return implementation.round(x, {scale, offset, non_negative, max_scale, factor});
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const Rounding rounding{saved[1], saved[2], ctx->saved_data["non_negative"].toBool(),
                            ctx->saved_data["max_scale"].toDouble(),
                            ctx->saved_data["factor"].toDouble()};
    const Implementation& by = implementation_of(ctx->saved_data["by"].toInt());
    const RoundingGradients gradients = by.round_backward(saved[0], grads[0], rounding);
    const Tensor none;
    return {gradients.x, gradients.scale, gradients.offset, none, none, none};
  }
};

struct WeightQuant : Function<WeightQuant> {
  static Tensor forward(AutogradContext* ctx, const Tensor& w, const Tensor& scales, int64_t max,
                        bool pairs) {
    const Implementation& by = implementation_for(w);
    const RoundedWeights rounded = by.round_weights(w, scales, max, pairs);
    ctx->saved_data["by"] = by.number;
    ctx->save_for_backward({rounded.w, rounded.used, rounded.free});
    ctx->saved_data["max"] = max;
    return rounded.y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const RoundedWeights rounded{Tensor(), saved[1], saved[2], saved[0]};
    const Implementation& by = implementation_of(ctx->saved_data["by"].toInt());
    const WeightGradients gradients =
        by.round_weights_backward(grads[0], rounded, ctx->saved_data["max"].toInt());
    return {gradients.w, gradients.scales, Tensor(), Tensor()};
  }
};

}  // namespace

extern "C" {

Tensor* spacewright_quant_activation(Tensor* x, Tensor* scale, Tensor* offset, int non_negative,
                                     double max_scale, double factor) {
  return guarded([&] {
    return ActivationQuant::apply(*x, *scale, *offset, non_negative != 0, max_scale, factor);
  });
}

Tensor* spacewright_quant_weight(Tensor* w, Tensor* scales, int64_t max, int pairs) {
  return guarded([&] { return WeightQuant::apply(*w, *scales, max, pairs != 0); });
}
}
