// Depth-wise convolutions on NVIDIA GPUs, with gradients.
#include <torch/csrc/autograd/custom_function.h>

#include <string>

#include "driver.hpp"

using namespace spacewright;
using cuda::floats;
using cuda::launch;
using cuda::rounds;
using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

namespace {

// Neighbouring outputs of a row that a thread computes.
constexpr int64_t STRIP = 4;
// Most blocks whose gradients of weights are added up, and rows that each should have at least.
constexpr int64_t MOST_BLOCKS = 128, ROWS_OF_BLOCK = 4 * cuda::LANES;

// Laid out as in depthwise.cu.
struct Depthwise {
  int32_t images, height, width, channels, out_height, out_width, padding;
};

struct Sizes {
  int64_t kernel, stride, padding;

  Depthwise of(const Tensor& x, int64_t height, int64_t width, int64_t padding) const {
    const auto size = [](int64_t value) { return static_cast<int32_t>(value); };
    return {size(x.size(0)), size(x.size(2)), size(x.size(3)), size(x.size(1)),
            size(height),    size(width),     size(padding)};
  }

  int64_t out(int64_t side) const { return (side + 2 * padding - kernel) / stride + 1; }

  std::string name(const char* what, int64_t stride) const {
    return std::string(what) + "_" + std::to_string(kernel) + "_" + std::to_string(stride);
  }
};

Tensor channels_last(const Tensor& x) { return x.contiguous(at::MemoryFormat::ChannelsLast); }

Tensor empty_value(const Tensor& like, int64_t height, int64_t width) {
  return at::empty({like.size(0), like.size(1), height, width},
                   like.options().memory_format(at::MemoryFormat::ChannelsLast));
}

Tensor ordered(const Tensor& w, bool flip) {
  const int64_t channels = w.size(0), area = w.size(2) * w.size(3);
  Tensor all = cuda::empty({area, channels}, w);
  launch("depthwise_order", w, 4, {rounds(channels * area, cuda::THREADS)}, floats(w), area,
         int(channels), int(area), int(flip), floats(all));
  return all;
}

// Outputs of `height` by `width` pixels for `x`, by weights that are in order.
Tensor convolved(const Tensor& x, const Tensor& w, const Sizes& sizes, int64_t stride, int64_t padding,
                 int64_t height, int64_t width) {
  const int vector = cuda::vector_of(x);
  Tensor y = empty_value(x, height, width);
  const int64_t threads =
      x.size(0) * height * rounds(width, STRIP) * (x.size(1) / vector);
  launch(sizes.name("depthwise", stride).c_str(), x, vector, {rounds(threads, cuda::THREADS)},
         x.data_ptr(), floats(w), y.data_ptr(), sizes.of(x, height, width, padding));
  return y;
}

struct DepthwiseConvolution : Function<DepthwiseConvolution> {
  static Tensor forward(AutogradContext* ctx, const Tensor& input, const Tensor& weight, int64_t stride,
                        int64_t padding) {
    const Tensor x = channels_last(input), w = weight.to(at::kFloat).contiguous();
    ctx->save_for_backward({x, w});
    ctx->saved_data["stride"] = stride;
    ctx->saved_data["padding"] = padding;
    ctx->saved_data["type"] = weight.scalar_type();
    const Sizes sizes{w.size(2), stride, padding};
    return convolved(x, ordered(w, false), sizes, stride, padding, sizes.out(x.size(2)),
                     sizes.out(x.size(3)));
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &x = saved[0], &w = saved[1], gy = channels_last(grads[0]);
    const Sizes sizes{w.size(2), ctx->saved_data["stride"].toInt(), ctx->saved_data["padding"].toInt()};
    const int64_t channels = x.size(1), area = w.size(2) * w.size(3);
    Tensor gx;
    if (ctx->needs_input_grad(0) && sizes.stride == 1) {
      const int64_t padding = sizes.kernel - 1 - sizes.padding;
      gx = convolved(gy, ordered(w, true), sizes, 1, padding, x.size(2), x.size(3));
    } else if (ctx->needs_input_grad(0)) {
      const int vector = cuda::vector_of(x);
      gx = at::empty_like(x);
      launch(sizes.name("depthwise_back", sizes.stride).c_str(), x, vector,
             {rounds(x.numel() / vector, cuda::THREADS)}, gy.data_ptr(), floats(ordered(w, false)),
             gx.data_ptr(), sizes.of(x, gy.size(2), gy.size(3), sizes.padding));
    }
    const int64_t rows = x.size(0) * gy.size(2);
    const int64_t wanted = std::clamp<int64_t>(rounds(rows, ROWS_OF_BLOCK), 1, MOST_BLOCKS);
    const int64_t rows_of_block = std::max<int64_t>(rounds(rows, wanted), 1);
    const cuda::Blocks blocks{rounds(rows, rows_of_block), rounds(channels, cuda::JOINED)};
    const Tensor partial = cuda::empty({blocks.x, area, channels}, x);
    launch(sizes.name("depthwise_weights", sizes.stride).c_str(), x, 4, blocks, x.data_ptr(),
           gy.data_ptr(), sizes.of(x, gy.size(2), gy.size(3), sizes.padding), rows_of_block,
           floats(partial));
    Tensor gw = at::empty_like(w);
    launch("depthwise_join", x, 4, {rounds(channels * area, cuda::THREADS)}, floats(partial),
           int(blocks.x), int(channels), int(area), floats(gw));
    const Tensor none;
    return {gx, gw.to(ctx->saved_data["type"].toScalarType()), none, none};
  }
};

bool has_kernels(const Tensor& x, const Tensor& w, int64_t stride) {
  const int64_t kernel = w.size(2);
  const bool of_size = kernel == w.size(3) && (kernel == 3 || kernel == 5 || kernel == 7);
  return x.is_cuda() && of_size && (stride == 1 || stride == 2) && cuda::is_ready();
}

}  // namespace

// Convolves each channel of `x` with a kernel of its own; as many pixels are added at all sides.
extern "C" Tensor* spacewright_depthwise(Tensor* x, Tensor* w, int64_t stride, int64_t padding) {
  return guarded([&] {
    if (has_kernels(*x, *w, stride)) return DepthwiseConvolution::apply(*x, *w, stride, padding);
    return at::conv2d(*x, *w, {}, stride, padding, 1, x->size(1));
  });
}
