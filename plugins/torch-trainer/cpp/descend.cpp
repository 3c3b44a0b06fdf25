// Steps of descent for many parameters at once.
#include <c10/core/GradMode.h>

#include "implementation.hpp"

using namespace spacewright;

// Follows the gradients of `count` parameters of one device, which have none afterwards; `buffers` are their
// momenta. False where it fails.
extern "C" bool spacewright_descend(Tensor* const* params, Tensor* const* buffers, const double* decays,
                                    const double* largest_shares, int64_t count, double rate,
                                    double momentum, double largest_gradient) noexcept {
  if (count == 0) return true;
  try {
    c10::NoGradGuard no_gradients;
    std::vector<Descent> descents;
    for (int64_t i = 0; i < count; ++i) {
      descents.push_back({*params[i], *buffers[i], static_cast<float>(decays[i]),
                          static_cast<float>(largest_shares[i])});
    }
    const Rates rates{static_cast<float>(rate), static_cast<float>(momentum),
                      static_cast<float>(largest_gradient)};
    implementation_for(*params[0]).descend(descents, rates);
    for (Descent& descent : descents) descent.param.mutable_grad().reset();
    return true;
  } catch (const std::exception& e) {
    keep_error(e.what());
    return false;
  }
}
