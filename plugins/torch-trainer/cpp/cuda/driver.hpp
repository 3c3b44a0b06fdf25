// NVIDIA's driver and compiler, found when the program runs: nothing is linked to them.
#pragma once

#include "../kernels.hpp"

namespace spacewright::cuda {

// Whether kernels were compiled for a GPU.
bool is_ready();

// A number of blocks, in two dimensions.
struct Blocks {
  int64_t x = 1, y = 1;
};

// Threads of each block of each kernel.
constexpr int64_t THREADS = 256;
// Of a block that joins what other blocks found: channels, and threads of each.
constexpr int64_t JOINED = 32, LANES = THREADS / JOINED;

inline int64_t rounds(int64_t count, int64_t at_once) { return (count + at_once - 1) / at_once; }

inline float* floats(const Tensor& tensor) {
  return tensor.defined() ? tensor.data_ptr<float>() : nullptr;
}

inline Tensor empty(at::IntArrayRef size, const Tensor& beside) {
  return at::empty(size, beside.options().dtype(at::kFloat));
}

// Elements that a thread has at a time of a value with channels innermost.
inline int vector_of(const Tensor& x) { return x.size(1) % 4 == 0 ? 4 : 1; }

// Launches the kernel of this name, made for elements of the type of `on`, `vector` at a time, on its device, on
// the stream that is current; `arguments` are pointers to the kernel's arguments.
void launch_with(const char* name, const Tensor& on, int vector, Blocks blocks, void** arguments);

template <typename... Arguments>
void launch(const char* name, const Tensor& on, int vector, Blocks blocks, Arguments... arguments) {
  void* pointers[] = {&arguments...};
  launch_with(name, on, vector, blocks, pointers);
}

}  // namespace spacewright::cuda
