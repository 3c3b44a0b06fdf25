// A step of stochastic gradient descent with Nesterov momentum on the processor, in one pass over each
// parameter.
#include "processor.hpp"

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

// `g` is null where there is no gradient.
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

void processor::descend(const std::vector<Descent>& descents, const Rates& rates) {
  for (const Descent& descent : descents) {
    const Step step{rates.rate, rates.momentum, descent.decay, rates.largest_gradient,
                    descent.largest_share};
    Tensor gradient = descent.param.grad();
    if (gradient.defined()) gradient = like(gradient, descent.param);
    ::descend(descent.param.data_ptr<float>(),
              gradient.defined() ? gradient.data_ptr<float>() : nullptr,
              descent.momentum.data_ptr<float>(), descent.param.numel(), step);
  }
}
