// A step of stochastic gradient descent with Nesterov momentum, in one pass over each parameter.
#include "kernels.hpp"

using namespace spacewright;

namespace {

// A value within ± most; what is not a number stays so.
inline float within(float value, float most) {
  const float above = value < -most ? -most : value;
  return above > most ? most : above;
}

struct Step {
  float rate, momentum, decay, largest_gradient, largest_share;
};

// `g` is null where there is no gradient. Without a decay or a largest share these are 0.
MULTIVERSION
void descend(float* __restrict p, const float* __restrict g, float* __restrict m, int64_t n,
             const Step& step) {
  const float rate = step.rate, momentum = step.momentum, decay = step.decay;
  const float largest = step.largest_gradient, share = step.largest_share;
  if (g == nullptr) {
    for (int64_t i = 0; i < n; ++i) {
      m[i] *= momentum;
      p[i] -= m[i] * momentum * rate;
    }
    return;
  }
  for (int64_t i = 0; i < n; ++i) {
    float gradient = within(g[i], largest);
    // What no network used has no gradient, and does not decay.
    gradient += gradient != 0.0f ? p[i] * decay : 0.0f;
    const float most = std::fabs(p[i]) * share;
    gradient = share > 0.0f ? within(gradient, most) : gradient;
    m[i] = m[i] * momentum + gradient;
    p[i] -= (gradient + m[i] * momentum) * rate;
  }
}

}  // namespace

// Follows the gradient of a parameter, which has none afterwards; `buffer` is its momentum.
extern "C" void spacewright_descend(Tensor* param, Tensor* buffer, double rate, double momentum,
                                    double decay, double largest_gradient,
                                    double largest_share) noexcept {
  torch::NoGradGuard no_gradients;
  const Step step{static_cast<float>(rate), static_cast<float>(momentum), static_cast<float>(decay),
                  static_cast<float>(largest_gradient), static_cast<float>(largest_share)};
  Tensor gradient = param->grad();
  if (gradient.defined()) gradient = like(gradient, *param);
  descend(param->data_ptr<float>(), gradient.defined() ? gradient.data_ptr<float>() : nullptr,
          buffer->data_ptr<float>(), param->numel(), step);
  param->mutable_grad().reset();
}
