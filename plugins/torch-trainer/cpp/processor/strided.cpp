// The gradient of a strided convolution's input: a product of matrices gives what each output pixel contributes to
// the pixels below its kernel, and these contributions are added up where they belong (col2im).
#include <ATen/core/grad_mode.h>

#include "processor.hpp"

using namespace spacewright;

namespace {

// Most floats of a product: until they are added up, they should stay in a core's cache.
constexpr int64_t MOST_FLOATS = 1 << 18;
// Into how many groups images are put at least, so that threads get about as many.
constexpr int64_t LEAST_GROUPS = 16;

struct Sizes {
  int64_t channels, height, width, rows, columns, stride, padding;

  int64_t out_height() const { return (height + 2 * padding - rows) / stride + 1; }
  int64_t out_width() const { return (width + 2 * padding - columns) / stride + 1; }
  int64_t area() const { return out_height() * out_width(); }
  // Of one output pixel.
  int64_t contributions() const { return rows * columns * channels; }
};

Sizes sizes_of(const Tensor& x, const Tensor& w, int64_t stride, int64_t padding) {
  return {x.size(1), x.size(2), x.size(3), w.size(2), w.size(3), stride, padding};
}

// Of one image. What an output pixel contributes to the pixels below one row of its kernel lies together in memory, as
// these pixels do.
MULTIVERSION
void col2im(const float* __restrict products, const Sizes& sizes, float* __restrict to) {
  const int64_t channels = sizes.channels, run = sizes.columns * channels;
  const int64_t out_height = sizes.out_height(), out_width = sizes.out_width();
  std::fill_n(to, sizes.height * sizes.width * channels, 0.0f);
  for (int64_t out_y = 0; out_y < out_height; ++out_y) {
    for (int64_t out_x = 0; out_x < out_width; ++out_x) {
      const int64_t left = out_x * sizes.stride - sizes.padding;
      const int64_t begin = std::max<int64_t>(-left, 0) * channels;
      const int64_t end = std::min(sizes.width - left, sizes.columns) * channels;
      for (int64_t row = 0; row < sizes.rows; ++row, products += run) {
        const int64_t y = out_y * sizes.stride - sizes.padding + row;
        if (y < 0 || y >= sizes.height) continue;
        const int64_t first = (y * sizes.width + left) * channels;
        for (int64_t i = begin; i < end; ++i) to[first + i] += products[i];
      }
    }
  }
}

}  // namespace

bool processor::has_small_product(const Tensor& x, const Tensor& w, int64_t stride, int64_t padding) {
  const Sizes sizes = sizes_of(x, w, stride, padding);
  return sizes.area() * sizes.contributions() <= MOST_FLOATS;
}

Tensor processor::strided_input_gradient(const Tensor& x, const Tensor& gy, const Tensor& w, int64_t stride,
                                         int64_t padding) {
  const Sizes sizes = sizes_of(x, w, stride, padding);
  const int64_t images = x.size(0), area = sizes.area(), contributions = sizes.contributions();
  const Tensor by_pixel = gy.permute({0, 2, 3, 1}).reshape({images * area, w.size(0)});
  const Tensor weights = w.permute({0, 2, 3, 1}).reshape({w.size(0), contributions});
  Tensor gx = at::empty(x.sizes(), x.options().memory_format(at::MemoryFormat::ChannelsLast));
  float* const results = gx.data_ptr<float>();
  const int64_t pixels = sizes.height * sizes.width * sizes.channels;
  // How images are grouped does not depend on the number of threads, so that results do not either.
  const int64_t fitting = MOST_FLOATS / std::max<int64_t>(1, area * contributions);
  const int64_t group_size = std::clamp<int64_t>(images / LEAST_GROUPS, 1, std::max<int64_t>(1, fitting));
  at::parallel_for(0, (images + group_size - 1) / group_size, 1, [&](int64_t begin, int64_t end) {
    at::NoGradGuard no_gradients;
    const Tensor room = at::empty({group_size * area, contributions}, x.options());
    for (int64_t group = begin; group < end; ++group) {
      const int64_t first = group * group_size, count = std::min(group_size, images - first);
      Tensor product = room.narrow(0, 0, count * area);
      at::mm_out(product, by_pixel.narrow(0, first * area, count * area), weights);
      const float* const products = product.data_ptr<float>();
      for (int64_t image = 0; image < count; ++image) {
        col2im(products + image * area * contributions, sizes, results + (first + image) * pixels);
      }
    }
  });
  return gx;
}
