// Fake quantization with learned step sizes (LSQ+, arXiv 2004.09576), forward and backward, one
// pass over memory each. Sums are taken over chunks of fixed size and added in their order, so
// results do not depend on the number of threads.
#include "kernels.hpp"

using namespace spacewright;

namespace {

constexpr int64_t CHUNK = 1 << 15;
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

struct ActivationQuant : Function<ActivationQuant> {
  static Tensor forward(AutogradContext* ctx, const Tensor& input, const Tensor& scale_param,
                        const Tensor& offset_param, bool non_negative, double max_scale,
                        double factor) {
    const Tensor x = dense(input);
    const Grid grid(scale_param, offset_param, non_negative, max_scale);
    Tensor y = torch::empty_like(x);
    const float* src = x.data_ptr<float>();
    float* dst = y.data_ptr<float>();
    at::parallel_for(0, x.numel(), CHUNK, [&](int64_t begin, int64_t end) {
      activation_forward(src + begin, dst + begin, end - begin, grid.scale, grid.zero);
    });
    ctx->save_for_backward({x, scale_param, offset_param});
    ctx->saved_data["non_negative"] = non_negative;
    ctx->saved_data["max_scale"] = max_scale;
    ctx->saved_data["factor"] = factor;
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const Tensor& x = saved[0];
    const Tensor gy = like(grads[0], x);
    const bool non_negative = ctx->saved_data["non_negative"].toBool();
    const Grid grid(saved[1], saved[2], non_negative, ctx->saved_data["max_scale"].toDouble());
    const double factor = ctx->saved_data["factor"].toDouble();
    Tensor gx = torch::empty_like(x);
    const int64_t n = x.numel(), chunks = (n + CHUNK - 1) / CHUNK;
    std::vector<float> scale_sums(chunks), offset_sums(chunks);
    const float* src = x.data_ptr<float>();
    const float* up = gy.data_ptr<float>();
    float* down = gx.data_ptr<float>();
    at::parallel_for(0, chunks, 1, [&](int64_t first, int64_t last) {
      for (int64_t c = first; c < last; ++c) {
        const int64_t begin = c * CHUNK, length = std::min(CHUNK, n - begin);
        activation_backward(src + begin, up + begin, down + begin, length, grid, &scale_sums[c],
                            &offset_sums[c]);
      }
    });
    double scale_grad = 0, offset_grad = 0;
    for (int64_t c = 0; c < chunks; ++c) {
      scale_grad += scale_sums[c];
      offset_grad += offset_sums[c];
    }
    Tensor offset;
    if (!non_negative) {
      offset = torch::full({1}, grid.free_zero ? offset_grad * factor : 0.0, x.options());
    }
    return {gx, torch::full({1}, scale_grad * factor, x.options()), offset, Tensor(), Tensor(),
            Tensor()};
  }
};

// The smallest scale at which neighbouring pairs of integers, in the order (row, column, input
// channel), keep to the limit of 16-bit accumulation.
float pair_floor(const float* w, int64_t inputs, int64_t area) {
  const int64_t length = inputs * area;
  float bound = 0.0f;
  for (int64_t p = 0; p < length; p += 2) {
    const float a = w[(p % inputs) * area + p / inputs];
    const float b = p + 1 < length ? w[((p + 1) % inputs) * area + (p + 1) / inputs] : 0.0f;
    bound = std::max(bound, std::max(a, 0.0f) + std::max(b, 0.0f));
    bound = std::max(bound, std::max(-a, 0.0f) + std::max(-b, 0.0f));
  }
  return bound / 127.0f;
}

MULTIVERSION
void weight_forward(const float* w, float* y, int64_t n, float scale, float max) {
  for (int64_t i = 0; i < n; ++i) {
    const float q = std::min(std::max(std::nearbyint(w[i] / scale), -max), max);
    y[i] = q * scale;
  }
}

MULTIVERSION
float weight_backward(const float* __restrict w, const float* __restrict gy, float* __restrict gw,
                      int64_t n, float scale, float max) {
  float sums[LANES] = {};
  for (int64_t first = 0; first < n; first += LANES) {
    const int64_t count = std::min(LANES, n - first);
    for (int64_t lane = 0; lane < count; ++lane) {
      const int64_t i = first + lane;
      const float v = w[i] / scale;
      const float r = std::nearbyint(v);
      const bool below = r < -max, above = r > max;
      gw[i] = (below | above) ? 0.0f : gy[i];
      sums[lane] += gy[i] * (below ? -max : (above ? max : r - v));
    }
  }
  float sum = 0.0f;
  for (float lane : sums) sum += lane;
  return sum;
}

struct WeightQuant : Function<WeightQuant> {
  static Tensor forward(AutogradContext* ctx, const Tensor& weight, const Tensor& scales, int64_t max,
                        bool pairs) {
    const Tensor w = weight.contiguous();
    const int64_t outputs = w.size(0), n = w.numel() / outputs, inputs = w.size(1);
    Tensor used = torch::empty({outputs}, w.options());
    Tensor free = torch::ones({outputs}, w.options());
    Tensor y = torch::empty_like(w);
    const Tensor learned = scales.contiguous();
    const float* src = w.data_ptr<float>();
    for (int64_t c = 0; c < outputs; ++c) {
      float scale = std::max(std::fabs(learned.data_ptr<float>()[c]), SMALLEST_SCALE);
      if (pairs) {
        const float floor = pair_floor(src + c * n, inputs, n / inputs);
        // The learned scale has no effect below the floor, so it gets no gradient there.
        if (floor > scale) free.data_ptr<float>()[c] = 0.0f;
        scale = std::max(scale, floor);
      }
      used.data_ptr<float>()[c] = scale;
      weight_forward(src + c * n, y.data_ptr<float>() + c * n, n, scale, static_cast<float>(max));
    }
    ctx->save_for_backward({w, used, free});
    ctx->saved_data["max"] = max;
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &w = saved[0], &used = saved[1], &free = saved[2];
    const Tensor gy = grads[0].contiguous();
    const float max = static_cast<float>(ctx->saved_data["max"].toInt());
    const int64_t outputs = w.size(0), n = w.numel() / outputs;
    Tensor gw = torch::empty_like(w), gs = torch::empty({outputs}, w.options());
    const float factor = 1.0f / std::sqrt(static_cast<float>(n) * max);
    for (int64_t c = 0; c < outputs; ++c) {
      gs.data_ptr<float>()[c] =
          factor * free.data_ptr<float>()[c] *
          weight_backward(w.data_ptr<float>() + c * n, gy.data_ptr<float>() + c * n,
                                   gw.data_ptr<float>() + c * n, n, used.data_ptr<float>()[c], max);
    }
    return {gw, gs, Tensor(), Tensor()};
  }
};

}  // namespace

extern "C" {

Tensor* spacewright_quant_activation(Tensor* x, Tensor* scale, Tensor* offset, int non_negative,
                                     double max_scale, double factor) {
  return guarded([&] {
    return ActivationQuant::apply(*x, *scale, *offset, non_negative != 0, max_scale, factor);
  });
}

// Convolutions of oneDNN are faster on this layout, and keep it.
Tensor* spacewright_channels_last(Tensor* x) {
  return guarded([&] { return x->contiguous(at::MemoryFormat::ChannelsLast); });
}

Tensor* spacewright_quant_weight(Tensor* w, Tensor* scales, int64_t max, int pairs) {
  return guarded([&] { return WeightQuant::apply(*w, *scales, max, pairs != 0); });
}
}
