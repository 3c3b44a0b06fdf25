#include "nccl.hpp"

#include <c10/core/impl/VirtualGuardImpl.h>
#include <dlfcn.h>

#include <stdexcept>
#include <string>

#include "driver.hpp"

using namespace spacewright;

namespace {

// Of nccl.h, version 2, whose results are 0 where all is well.
using Result = int;
constexpr int FLOAT32 = 7, SUM = 0;
struct Id {
  char bytes[128];
};

struct Functions {
  Result (*ncclGetUniqueId)(Id* id);
  Result (*ncclCommInitRank)(void** communicator, int size, Id id, int rank);
  Result (*ncclCommDestroy)(void* communicator);
  Result (*ncclAllReduce)(const void* from, void* to, size_t count, int type, int operation,
                          void* communicator, void* stream);
  const char* (*ncclGetErrorString)(Result);
};

template <typename F>
void find(F& function, void* library, const char* name) {
  function = reinterpret_cast<F>(dlsym(library, name));
  if (!function) throw std::runtime_error(std::string("NCCL has no function ") + name);
}

const Functions& nccl() {
  static const Functions all = [] {
    void* library = dlopen("libnccl.so.2", RTLD_NOW);
    if (!library) throw std::runtime_error("there is no libnccl.so.2");
    Functions functions{};
    find(functions.ncclGetUniqueId, library, "ncclGetUniqueId");
    find(functions.ncclCommInitRank, library, "ncclCommInitRank");
    find(functions.ncclCommDestroy, library, "ncclCommDestroy");
    find(functions.ncclAllReduce, library, "ncclAllReduce");
    find(functions.ncclGetErrorString, library, "ncclGetErrorString");
    return functions;
  }();
  return all;
}

void check(Result result, const char* doing) {
  if (result != 0) {
    throw std::runtime_error(std::string(doing) + ": " + nccl().ncclGetErrorString(result));
  }
}

}  // namespace

std::vector<uint8_t> cuda::Nccl::new_id() {
  Id id{};
  check(nccl().ncclGetUniqueId(&id), "naming a group of GPUs");
  return {id.bytes, id.bytes + sizeof id.bytes};
}

cuda::Nccl::Nccl(int rank, int size, const std::vector<uint8_t>& given) {
  Id id{};
  if (given.size() != sizeof id.bytes) throw std::runtime_error("that is no name of a group of GPUs");
  std::memcpy(id.bytes, given.data(), given.size());
  check(nccl().ncclCommInitRank(&communicator, size, id, rank), "joining GPUs");
}

cuda::Nccl::~Nccl() { nccl().ncclCommDestroy(communicator); }

void cuda::Nccl::sum(Tensor& x) const {
  const c10::impl::VirtualGuardImpl guard(c10::DeviceType::CUDA);
  void* stream = guard.getStream(x.device()).native_handle();
  const Result result = nccl().ncclAllReduce(floats(x), floats(x), static_cast<size_t>(x.numel()),
                                             FLOAT32, SUM, communicator, stream);
  check(result, "adding up what GPUs have computed");
}
