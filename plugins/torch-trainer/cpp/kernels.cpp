// Who computes what is computed by hand.
#include <stdexcept>

#include "cuda/driver.hpp"
#include "implementation.hpp"
#include "processor/processor.hpp"

using namespace spacewright;

char* spacewright::last_error() {
  thread_local char text[LONGEST_ERROR];
  return text;
}

const Implementation spacewright::PROCESSOR = {
    0, processor::round,           processor::round_backward, processor::round_weights,
    processor::round_weights_backward, processor::statistics,     processor::normalize,
    processor::normalize_backward,     processor::descend,
};

namespace {

// Of a thread, for tests.
thread_local bool composes = false;

}  // namespace

const Implementation& spacewright::implementation_for(const Tensor& x) {
  if (composes) return COMPOSED;
  if (x.is_cpu()) return PROCESSOR;
  return x.is_cuda() && cuda::is_ready() ? GPU : COMPOSED;
}

const Implementation& spacewright::implementation_of(int64_t number) {
  for (const Implementation* known : {&PROCESSOR, &COMPOSED, &GPU}) {
    if (known->number == number) return *known;
  }
  throw std::out_of_range("no such implementation");
}

extern "C" {

const char* spacewright_last_error() { return spacewright::last_error(); }

// Whether this thread uses tensor operations where there is something better: to compare.
void spacewright_compose(bool yes) { composes = yes; }

// Convolutions are faster on this layout, and keep it.
Tensor* spacewright_channels_last(Tensor* x) {
  return guarded([&] { return x->contiguous(at::MemoryFormat::ChannelsLast); });
}

// Gives a parameter a gradient that was computed elsewhere.
void spacewright_set_gradient(Tensor* param, Tensor* gradient) noexcept {
  param->mutable_grad() = *gradient;
}
}
