// What other kernels have in common.
#include "kernels.hpp"

char* spacewright::last_error() {
  thread_local char text[LONGEST_ERROR];
  return text;
}

extern "C" {

const char* spacewright_last_error() { return spacewright::last_error(); }

// Gives a parameter a gradient that was computed elsewhere.
void spacewright_set_gradient(torch::Tensor* param, torch::Tensor* gradient) noexcept {
  param->mutable_grad() = *gradient;
}
}
