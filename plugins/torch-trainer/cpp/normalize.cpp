// Batch normalization with what follows it, a rectifier and fake quantization, with gradients.
#include <optional>

#include <torch/csrc/autograd/custom_function.h>

#include "implementation.hpp"

using namespace spacewright;
using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

namespace {

struct Normalize : Function<Normalize> {
  static Tensor forward(AutogradContext* ctx, const Tensor& input, const Tensor& gamma,
                        const Tensor& beta, const std::optional<Tensor>& scale,
                        const std::optional<Tensor>& offset, double eps, double least, double most,
                        bool non_negative, double max_scale, double factor) {
    const Tensor x = input.contiguous(at::MemoryFormat::ChannelsLast);
    const Implementation& implementation = implementation_for(x);
    ctx->saved_data["by"] = implementation.number;
    const Rounding rounding{scale.value_or(Tensor()), offset.value_or(Tensor()), non_negative, max_scale,
                            factor};
    const Statistics by = implementation.statistics(x, eps);
    ctx->save_for_backward({x, gamma, beta, rounding.scale, rounding.offset, by.mean, by.inverse});
    ctx->saved_data["least"] = least;
    ctx->saved_data["most"] = most;
    ctx->saved_data["non_negative"] = non_negative;
    ctx->saved_data["max_scale"] = max_scale;
    ctx->saved_data["factor"] = factor;
    return implementation.normalize(x, {by, gamma, beta, least, most, rounding});
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const auto number = [&](const char* name) { return ctx->saved_data[name].toDouble(); };
    const Rounding rounding{saved[3], saved[4], ctx->saved_data["non_negative"].toBool(),
                            number("max_scale"), number("factor")};
    const Normalization normalization{{saved[5], saved[6]}, saved[1], saved[2], number("least"),
                                      number("most"), rounding};
    const Implementation& by = implementation_of(ctx->saved_data["by"].toInt());
    const NormalizationGradients gradients =
        by.normalize_backward(saved[0], grads[0], normalization);
    const Tensor none;
    return {gradients.x, gradients.gamma, gradients.beta, gradients.scale, gradients.offset,
            none,        none,            none,           none,            none,
            none};
  }
};

std::optional<Tensor> given(const Tensor* tensor) {
  return tensor ? std::optional<Tensor>(*tensor) : std::nullopt;
}

}  // namespace

extern "C" {

// By the statistics of the batch, or by a mean and a variance that are given, without gradients then.
// `least` and `most` are the rectifier's limits; no quantization where `scale` is null.
Tensor* spacewright_normalize(Tensor* x, Tensor* mean, Tensor* variance, Tensor* gamma, Tensor* beta,
                              Tensor* scale, Tensor* offset, double eps, double least, double most,
                              int non_negative, double max_scale, double factor) {
  return guarded([&] {
    if (mean == nullptr) {
      return Normalize::apply(*x, *gamma, *beta, given(scale), given(offset), eps, least, most,
                              non_negative != 0, max_scale, factor);
    }
    c10::NoGradGuard no_gradients;
    const Rounding rounding{given(scale).value_or(Tensor()), given(offset).value_or(Tensor()),
                            non_negative != 0, max_scale, factor};
    const Statistics by{*mean, (*variance + eps).rsqrt()};
    return implementation_for(*x).normalize(*x, {by, *gamma, *beta, least, most, rounding});
  });
}
}
