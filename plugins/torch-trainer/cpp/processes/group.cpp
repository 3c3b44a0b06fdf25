// Processes that compute together, by c10d: a store where they meet, Gloo between processors, NCCL between GPUs.
#define USE_C10D_GLOO

#include <torch/csrc/distributed/c10d/FileStore.hpp>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <unistd.h>

#include <set>
#include <string>

#include "../cuda/nccl.hpp"
#include "../kernels.hpp"

using namespace spacewright;

namespace {

// How long processes wait for each other: one may be judging a network, or reading images.
constexpr std::chrono::hours PATIENCE(6);

using StorePointer = c10::intrusive_ptr<c10d::Store>;

std::vector<uint8_t> bytes(const std::string& text) { return {text.begin(), text.end()}; }

std::string text(const std::vector<uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }

struct Group {
  StorePointer store;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> processors;
  std::unique_ptr<cuda::Nccl> gpus;

  // Whether each process has a GPU of its own.
  bool gpus_differ(int rank, int size, int own) {
    char machine[256] = {};
    gethostname(machine, sizeof machine - 1);
    store->set("gpu/" + std::to_string(rank), bytes(machine + (' ' + std::to_string(own))));
    std::set<std::string> all;
    for (int other = 0; other < size; ++other) {
      all.insert(text(store->get("gpu/" + std::to_string(other))));
    }
    return static_cast<int>(all.size()) == size;
  }

  void join_gpus(int rank, int size) {
    if (rank == 0) store->set("nccl", cuda::Nccl::new_id());
    gpus = std::make_unique<cuda::Nccl>(rank, size, store->get("nccl"));
  }

  // Does `work` on a tensor of the processor, whose content is that of `x` before and after.
  template <typename Work>
  void on_processor(Tensor& x, Work work) {
    if (x.is_cpu()) {
      work(x);
    } else {
      Tensor copy = x.cpu();
      work(copy);
      x.copy_(copy);
    }
  }
};

// What `f` gives, or `otherwise` where it throws.
template <typename T, typename F>
T guarded_as(T otherwise, F&& f) {
  try {
    return f();
  } catch (const std::exception& e) {
    keep_error(e.what());
    return otherwise;
  }
}

}  // namespace

extern "C" {

// Where processes of one machine meet: a file that does not exist yet.
StorePointer* spacewright_store_in_file(const char* path, int size) {
  return guarded_as<StorePointer*>(nullptr, [&] {
    return new StorePointer(c10::make_intrusive<c10d::FileStore>(path, size));
  });
}

// Where processes of several machines meet: one of them `serves`.
StorePointer* spacewright_store_at(const char* host, int port, bool serves) {
  return guarded_as<StorePointer*>(nullptr, [&] {
    c10d::TCPStoreOptions options;
    options.port = static_cast<uint16_t>(port);
    options.isServer = serves;
    options.waitWorkers = false;
    options.timeout = PATIENCE;
    const StorePointer shared = c10::make_intrusive<c10d::TCPStore>(host, options);
    return new StorePointer(c10::make_intrusive<c10d::PrefixStore>("spacewright", shared));
  });
}

void spacewright_store_close(StorePointer* store) { delete store; }

// Tells all processes something under a name. False where that fails.
bool spacewright_store_set(StorePointer* store, const char* name, const char* value) {
  return guarded_as(false, [&] {
    (*store)->set(name, bytes(value));
    return true;
  });
}

// What a process has told or tells under a name, as a text that stays until the next call from this thread; null
// where that fails.
const char* spacewright_store_get(StorePointer* store, const char* name) {
  return guarded_as<const char*>(nullptr, [&] {
    thread_local std::string value;
    (*store)->setTimeout(PATIENCE);
    value = text((*store)->get(name));
    return value.c_str();
  });
}

// Waits until all processes are there. They reach each other under `address`, if it is not empty, else by the
// name of their machine. This one computes on the GPU of this number, or, below 0, on the processor.
Group* spacewright_group_open(StorePointer* store, int rank, int size, const char* address, int gpu) {
  return guarded_as<Group*>(nullptr, [&] {
    (*store)->setTimeout(PATIENCE);
    using Gloo = c10d::ProcessGroupGloo;
    auto options = Gloo::Options::create(PATIENCE);
    options->devices.push_back(*address ? Gloo::createDeviceForHostname(address)
                                        : Gloo::createDefaultDevice());
    auto group = std::make_unique<Group>();
    group->store = *store;
    group->processors = c10::make_intrusive<Gloo>(*store, rank, size, options);
    if (gpu >= 0 && group->gpus_differ(rank, size, gpu)) group->join_gpus(rank, size);
    return group.release();
  });
}

void spacewright_group_close(Group* group) { delete group; }

// Whether GPUs speak with each other, not through processors.
bool spacewright_group_joins_gpus(const Group* group) { return group->gpus != nullptr; }

// Puts the sum of all processes' tensors into each of them. False where that fails.
bool spacewright_group_sum(Group* group, Tensor* x) {
  return guarded_as(false, [&] {
    if (group->gpus && x->is_cuda()) {
      group->gpus->sum(*x);
    } else {
      group->on_processor(*x, [&](Tensor& own) {
        std::vector<Tensor> tensors{own};
        group->processors->allreduce(tensors)->wait();
      });
    }
    return true;
  });
}

// Puts the tensor of the first process into that of each. False where that fails.
bool spacewright_group_broadcast(Group* group, Tensor* x) {
  return guarded_as(false, [&] {
    group->on_processor(*x, [&](Tensor& own) {
      std::vector<Tensor> tensors{own};
      group->processors->broadcast(tensors)->wait();
    });
    return true;
  });
}
}
