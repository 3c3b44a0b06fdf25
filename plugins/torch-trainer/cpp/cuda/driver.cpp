#include "driver.hpp"

#include <ATen/Context.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <dlfcn.h>

#include <atomic>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <tuple>

using namespace spacewright;

namespace {

// Of cuda.h and nvrtc.h, whose results are 0 where all is well.
using Result = int;
using Handle = void*;
constexpr int COMPUTE_CAPABILITY_MAJOR = 75, COMPUTE_CAPABILITY_MINOR = 76;

// The functions of the driver that are used.
struct Driver {
  Result (*cuInit)(unsigned);
  Result (*cuDeviceGet)(int* device, int ordinal);
  Result (*cuDeviceGetName)(char* name, int length, int device);
  Result (*cuDeviceGetAttribute)(int* value, int attribute, int device);
  Result (*cuDevicePrimaryCtxRetain)(Handle* context, int device);
  Result (*cuCtxSetCurrent)(Handle context);
  Result (*cuModuleLoadData)(Handle* module, const void* image);
  Result (*cuModuleGetFunction)(Handle* function, Handle module, const char* name);
  Result (*cuLaunchKernel)(Handle function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                           unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared,
                           Handle stream, void** arguments, void** extra);
  Result (*cuGetErrorString)(Result, const char** text);
};

// Those of the compiler.
struct Compiler {
  Result (*nvrtcCreateProgram)(Handle* program, const char* source, const char* name, int headers,
                               const char* const* contents, const char* const* names);
  Result (*nvrtcCompileProgram)(Handle program, int count, const char* const* options);
  Result (*nvrtcGetCUBINSize)(Handle program, size_t* size);
  Result (*nvrtcGetCUBIN)(Handle program, char* image);
  Result (*nvrtcGetProgramLogSize)(Handle program, size_t* size);
  Result (*nvrtcGetProgramLog)(Handle program, char* text);
  Result (*nvrtcDestroyProgram)(Handle* program);
};

// The first library of these that there is.
Handle opened(std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (Handle library = dlopen(name, RTLD_NOW)) return library;
  }
  throw std::runtime_error(std::string("there is no ") + *names.begin());
}

template <typename F>
void find(F& function, Handle library, const char* name) {
  function = reinterpret_cast<F>(dlsym(library, name));
  if (!function) throw std::runtime_error(std::string("there is no function ") + name);
}

#define FIND(name) find(functions.name, library, #name)

const Driver& driver() {
  static const Driver all = [] {
    Driver functions{};
    Handle library = opened({"libcuda.so.1"});
    FIND(cuInit);
    FIND(cuDeviceGet);
    FIND(cuDeviceGetName);
    FIND(cuDeviceGetAttribute);
    FIND(cuDevicePrimaryCtxRetain);
    FIND(cuCtxSetCurrent);
    FIND(cuModuleLoadData);
    FIND(cuModuleGetFunction);
    FIND(cuLaunchKernel);
    FIND(cuGetErrorString);
    return functions;
  }();
  return all;
}

const Compiler& compiler() {
  static const Compiler all = [] {
    Compiler functions{};
    // PyTorch's own is linked to the compiler that it came with.
    Handle library = opened({"libcaffe2_nvrtc.so", "libnvrtc.so.13", "libnvrtc.so"});
    FIND(nvrtcCreateProgram);
    FIND(nvrtcCompileProgram);
    FIND(nvrtcGetCUBINSize);
    FIND(nvrtcGetCUBIN);
    FIND(nvrtcGetProgramLogSize);
    FIND(nvrtcGetProgramLog);
    FIND(nvrtcDestroyProgram);
    return functions;
  }();
  return all;
}

#undef FIND

void check(Result result, const char* doing) {
  if (result == 0) return;
  const char* text = nullptr;
  driver().cuGetErrorString(result, &text);
  throw std::runtime_error(std::string(doing) + ": " + (text ? text : "unknown error"));
}

// The kernels' source, which the program hands over when it starts.
std::string& source() {
  static std::string text;
  return text;
}

// What the kernels are compiled to for a device: ELEMENT is the type of activations.
std::vector<char> compiled(at::ScalarType type, int vector, int device) {
  const Driver& d = driver();
  const Compiler& f = compiler();
  int number = 0, major = 0, minor = 0;
  check(d.cuDeviceGet(&number, device), "looking for the GPU");
  check(d.cuDeviceGetAttribute(&major, COMPUTE_CAPABILITY_MAJOR, number), "looking at the GPU");
  check(d.cuDeviceGetAttribute(&minor, COMPUTE_CAPABILITY_MINOR, number), "looking at the GPU");
  const std::string element =
      std::string("-DELEMENT=") + (type == at::kBFloat16 ? "bfloat16" : "float");
  const std::string options[] = {
      "--gpu-architecture=sm_" + std::to_string(major) + std::to_string(minor), "--std=c++17", element,
      "-DVECTOR=" + std::to_string(vector)};
  std::vector<const char*> texts;
  for (const std::string& option : options) texts.push_back(option.c_str());

  Handle program = nullptr;
  if (f.nvrtcCreateProgram(&program, source().c_str(), "kernels.cu", 0, nullptr, nullptr) != 0) {
    throw std::runtime_error("the compiler of kernels does not start");
  }
  std::vector<char> image;
  std::string log;
  if (f.nvrtcCompileProgram(program, static_cast<int>(texts.size()), texts.data()) == 0) {
    size_t size = 0;
    f.nvrtcGetCUBINSize(program, &size);
    image.resize(size);
    f.nvrtcGetCUBIN(program, image.data());
  } else {
    size_t size = 0;
    f.nvrtcGetProgramLogSize(program, &size);
    log.resize(size);
    f.nvrtcGetProgramLog(program, log.data());
  }
  f.nvrtcDestroyProgram(&program);
  if (image.empty()) throw std::runtime_error("kernels do not compile: " + log);
  return image;
}

// Makes the context that libtorch uses on a device that of this thread.
void use(int device) {
  thread_local std::map<int, Handle> contexts;
  const Driver& f = driver();
  Handle& context = contexts[device];
  if (!context) {
    int number = 0;
    check(f.cuInit(0), "starting the driver");
    check(f.cuDeviceGet(&number, device), "looking for the GPU");
    check(f.cuDevicePrimaryCtxRetain(&context, number), "using the GPU");
  }
  check(f.cuCtxSetCurrent(context), "using the GPU");
}

using Key = std::tuple<at::ScalarType, int, int>;

// Modules and functions live as long as the process.
Handle kernel(const char* name, const Key& key) {
  static std::mutex lock;
  static std::map<Key, Handle> modules;
  static std::map<std::pair<Key, std::string>, Handle> kernels;
  const std::lock_guard<std::mutex> guard(lock);
  Handle& found = kernels[{key, name}];
  if (found) return found;
  const Driver& f = driver();
  Handle& module = modules[key];
  if (!module) {
    const auto [type, vector, device] = key;
    check(f.cuModuleLoadData(&module, compiled(type, vector, device).data()), "loading kernels");
  }
  check(f.cuModuleGetFunction(&found, module, name), name);
  return found;
}

}  // namespace

namespace {
std::atomic<bool> ready{false};
}  // namespace

bool cuda::is_ready() { return ready; }

void cuda::launch_with(const char* name, const Tensor& on, int vector, Blocks blocks,
                       void** arguments) {
  const int device = on.device().index();
  use(device);
  const c10::impl::VirtualGuardImpl guard(c10::DeviceType::CUDA);
  const Handle stream = guard.getStream(on.device()).native_handle();
  const Handle function = kernel(name, {on.scalar_type(), vector, device});
  check(driver().cuLaunchKernel(function, static_cast<unsigned>(blocks.x),
                                   static_cast<unsigned>(blocks.y), 1, THREADS, 1, 1, 0, stream,
                                   arguments, nullptr),
        name);
}

extern "C" {

// Loads PyTorch's CUDA library, which has to be done before anything else of PyTorch is called, and takes over
// the source of the kernels. What went wrong, or null.
const char* spacewright_cuda_load(const char* kernels) {
  source() = kernels;
  thread_local std::string error;
  if (dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL)) return nullptr;
  const char* text = dlerror();
  error = text ? text : "unknown error";
  return error.c_str();
}

bool spacewright_cuda_has_driver() { return dlopen("libcuda.so.1", RTLD_NOW) != nullptr; }

// The name of a GPU, or null where it cannot be asked.
const char* spacewright_cuda_name(int device) {
  thread_local char name[256];
  try {
    use(device);
    int number = 0;
    check(driver().cuDeviceGet(&number, device), "looking for the GPU");
    check(driver().cuDeviceGetName(name, sizeof name, number), "looking at the GPU");
    return name;
  } catch (const std::exception& e) {
    keep_error(e.what());
    return nullptr;
  }
}

// Compiles kernels for a GPU, which are used from then on. False where that cannot be.
bool spacewright_cuda_compile(int device) {
  try {
    use(device);
    kernel("descend", {at::kFloat, 4, device});
    ready = true;
  } catch (const std::exception& e) {
    keep_error(e.what());
  }
  return ready;
}

// Whether factors of convolutions and matrix products may be rounded to TensorFloat-32; algorithms of
// convolutions are the same each time. False where it fails.
bool spacewright_cuda_precision(bool tf32) {
  try {
    at::globalContext().setAllowTF32CuBLAS(tf32);
    at::globalContext().setAllowTF32CuDNN(tf32);
    at::globalContext().setDeterministicCuDNN(true);
    at::globalContext().setBenchmarkCuDNN(false);
    return true;
  } catch (const std::exception& e) {
    keep_error(e.what());
    return false;
  }
}

// A tensor of the processor on a GPU, copied while this thread goes on.
Tensor* spacewright_cuda_upload(Tensor* x, int device) {
  return guarded([&] {
    const at::Device to(at::kCUDA, static_cast<c10::DeviceIndex>(device));
    return x->pin_memory().to(to, x->scalar_type(), /*non_blocking=*/true);
  });
}
}
