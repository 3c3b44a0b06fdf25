// Sums over GPUs by NVIDIA's NCCL, found when the program runs.
#pragma once

#include "../kernels.hpp"

namespace spacewright::cuda {

class Nccl {
 public:
  // What the processes of a group have in common; made by one of them.
  static std::vector<uint8_t> new_id();

  // Waits for the other processes, each with another GPU that is current.
  Nccl(int rank, int size, const std::vector<uint8_t>& id);
  ~Nccl();
  Nccl(const Nccl&) = delete;
  Nccl& operator=(const Nccl&) = delete;

  // Puts the sum of all processes' tensors, contiguous and in single precision, into each of them.
  void sum(Tensor& x) const;

 private:
  void* communicator = nullptr;
};

}  // namespace spacewright::cuda
