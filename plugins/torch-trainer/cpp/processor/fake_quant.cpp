// Fake quantization on the processor, one pass over memory each way. Sums are taken over chunks of fixed size
// and added in their order, so results do not depend on the number of threads.
#include "processor.hpp"

using namespace spacewright;
using processor::Reader;
using processor::Writer;

namespace {

constexpr int64_t ELEMENTS = 1 << 15;
// Sums of so many neighbours are added side by side, as vector units do.
constexpr int64_t LANES = 32;

MULTIVERSION
void activation_forward(const float* x, float* y, int64_t n, float scale, float zero) {
  for (int64_t i = 0; i < n; ++i) {
    float q = std::nearbyint(x[i] / scale) + zero;
    q = std::min(std::max(q, 0.0f), 255.0f);
    y[i] = (q - zero) * scale;
  }
}

MULTIVERSION
void activation_backward(const float* __restrict x, const float* __restrict gy, float* __restrict gx,
                         int64_t n, const Grid& grid, float* scale_sum, float* offset_sum) {
  const float scale = grid.scale, zero = grid.zero, low = grid.low, high = grid.high;
  float scale_sums[LANES] = {}, offset_sums[LANES] = {};
  for (int64_t first = 0; first < n; first += LANES) {
    const int64_t count = std::min(LANES, n - first);
    for (int64_t lane = 0; lane < count; ++lane) {
      const int64_t i = first + lane;
      const float v = x[i] / scale;
      const float r = std::nearbyint(v);
      const float q = r + zero;
      const bool below = q < 0.0f, above = q > 255.0f;
      const float inside = (below | above) ? 0.0f : 1.0f;
      gx[i] = gy[i] * inside;
      const float ds = below ? low : (above ? high : r - v);
      scale_sums[lane] += gy[i] * ds;
      offset_sums[lane] += gy[i] * (1.0f - inside);
    }
  }
  *scale_sum = *offset_sum = 0.0f;
  for (int64_t lane = 0; lane < LANES; ++lane) {
    *scale_sum += scale_sums[lane];
    *offset_sum += offset_sums[lane];
  }
}

// The smallest scale at which neighbouring pairs of integers, in the order (row, column, input
// channel), keep to the limit of 16-bit accumulation.
float pair_floor(const float* w, int64_t length) {
  float bound = 0.0f;
  for (int64_t p = 0; p < length; p += 2) {
    const float a = w[p], b = p + 1 < length ? w[p + 1] : 0.0f;
    bound = std::max(bound, std::max(a, 0.0f) + std::max(b, 0.0f));
    bound = std::max(bound, std::max(-a, 0.0f) + std::max(-b, 0.0f));
  }
  return bound / 127.0f;
}

// The weights of one output channel after the other, input channels innermost, as convolutions read them.
Tensor by_output(const Tensor& w) {
  return w.dim() == 4 ? w.contiguous(at::MemoryFormat::ChannelsLast) : w.contiguous();
}

MULTIVERSION
void weight_forward(const float* w, float* y, int64_t n, float scale, float max) {
  for (int64_t i = 0; i < n; ++i) {
    const float q = std::min(std::max(std::nearbyint(w[i] / scale), -max), max);
    y[i] = q * scale;
  }
}

// The gradient of a weight, and what it adds to that of its scale.
inline float weight_gradients(float w, float gy, float scale, float max, float* gw) {
  const float v = w / scale;
  const float r = std::nearbyint(v);
  const bool below = r < -max, above = r > max;
  *gw = (below | above) ? 0.0f : gy;
  return gy * (below ? -max : (above ? max : r - v));
}

MULTIVERSION
float weight_backward(const float* __restrict w, const float* __restrict gy, float* __restrict gw,
                      int64_t n, float scale, float max) {
  float sums[LANES] = {};
  const int64_t whole = n - n % LANES;
  for (int64_t first = 0; first < whole; first += LANES) {
    for (int64_t lane = 0; lane < LANES; ++lane) {
      const int64_t i = first + lane;
      sums[lane] += weight_gradients(w[i], gy[i], scale, max, gw + i);
    }
  }
  for (int64_t i = whole; i < n; ++i) {
    sums[i - whole] += weight_gradients(w[i], gy[i], scale, max, gw + i);
  }
  float sum = 0.0f;
  for (float lane : sums) sum += lane;
  return sum;
}

}  // namespace

Tensor processor::round(const Tensor& input, const Rounding& rounding) {
  const Tensor x = dense(input);
  const Grid grid(rounding);
  Tensor y = at::empty_like(x);
  const Reader from(x);
  const Writer to(y);
  const int64_t n = x.numel(), chunks = (n + ELEMENTS - 1) / ELEMENTS;
  at::parallel_for(0, chunks, 1, [&](int64_t first, int64_t last) {
    std::vector<float> room(processor::room_for(x, 2, ELEMENTS));
    for (int64_t c = first; c < last; ++c) {
      const int64_t begin = c * ELEMENTS, length = std::min(ELEMENTS, n - begin);
      float* dst = to.place(begin, room.data() + ELEMENTS);
      activation_forward(from.read(begin, length, room.data()), dst, length, grid.scale, grid.zero);
      to.store(begin, length, dst);
    }
  });
  return y;
}

RoundingGradients processor::round_backward(const Tensor& input, const Tensor& upstream,
                                            const Rounding& rounding) {
  const Tensor x = dense(input), gy = like(upstream, x);
  const Grid grid(rounding);
  Tensor gx = at::empty_like(x);
  const int64_t n = x.numel(), chunks = (n + ELEMENTS - 1) / ELEMENTS;
  std::vector<float> scale_sums(chunks), offset_sums(chunks);
  const Reader values(x), upstreams(gy);
  const Writer downstreams(gx);
  at::parallel_for(0, chunks, 1, [&](int64_t first, int64_t last) {
    std::vector<float> room(processor::room_for(x, 3, ELEMENTS));
    for (int64_t c = first; c < last; ++c) {
      const int64_t begin = c * ELEMENTS, length = std::min(ELEMENTS, n - begin);
      const float* src = values.read(begin, length, room.data());
      const float* up = upstreams.read(begin, length, room.data() + ELEMENTS);
      float* down = downstreams.place(begin, room.data() + 2 * ELEMENTS);
      activation_backward(src, up, down, length, grid, &scale_sums[c], &offset_sums[c]);
      downstreams.store(begin, length, down);
    }
  });
  double scale_grad = 0, offset_grad = 0;
  for (int64_t c = 0; c < chunks; ++c) {
    scale_grad += scale_sums[c];
    offset_grad += offset_sums[c];
  }
  return grid.gradients(gx, scale_grad, offset_grad, rounding);
}

RoundedWeights processor::round_weights(const Tensor& weight, const Tensor& scales, int64_t max,
                                        bool pairs) {
  const Tensor w = by_output(weight);
  const int64_t outputs = w.size(0), n = w.numel() / outputs;
  Tensor used = at::empty({outputs}, w.options());
  Tensor free = at::ones({outputs}, w.options());
  Tensor y = at::empty_like(w);
  const Tensor learned = scales.contiguous();
  const float* src = w.data_ptr<float>();
  for (int64_t c = 0; c < outputs; ++c) {
    float scale = std::max(std::fabs(learned.data_ptr<float>()[c]), SMALLEST_SCALE);
    if (pairs) {
      const float floor = pair_floor(src + c * n, n);
      // The learned scale has no effect below the floor, so it gets no gradient there.
      if (floor > scale) free.data_ptr<float>()[c] = 0.0f;
      scale = std::max(scale, floor);
    }
    used.data_ptr<float>()[c] = scale;
    weight_forward(src + c * n, y.data_ptr<float>() + c * n, n, scale, static_cast<float>(max));
  }
  return {y, used, free, w};
}

WeightGradients processor::round_weights_backward(const Tensor& upstream,
                                                  const RoundedWeights& rounded, int64_t most) {
  const Tensor &w = rounded.w, gy = by_output(upstream);
  const float max = static_cast<float>(most);
  const int64_t outputs = w.size(0), n = w.numel() / outputs;
  Tensor gw = at::empty_like(w), gs = at::empty({outputs}, w.options());
  const float factor = 1.0f / std::sqrt(static_cast<float>(n) * max);
  for (int64_t c = 0; c < outputs; ++c) {
    gs.data_ptr<float>()[c] =
        factor * rounded.free.data_ptr<float>()[c] *
        weight_backward(w.data_ptr<float>() + c * n, gy.data_ptr<float>() + c * n,
                        gw.data_ptr<float>() + c * n, n, rounded.used.data_ptr<float>()[c], max);
  }
  return {gw, gs};
}
