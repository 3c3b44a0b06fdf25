// Fake quantization with learned step sizes (LSQ+, arXiv 2004.09576), forward and backward, one
// pass over memory each. Sums are taken over chunks of fixed size and added in their order, so
// results do not depend on the number of threads.
#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define MULTIVERSION __attribute__((target_clones("avx2", "default")))
#else
#define MULTIVERSION
#endif

namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

constexpr int64_t CHUNK = 1 << 15;
constexpr float SMALLEST_SCALE = 1e-7f;

MULTIVERSION
void activation_forward(const float* x, float* y, int64_t n, float scale, float zero) {
  for (int64_t i = 0; i < n; ++i) {
    float q = std::nearbyint(x[i] / scale) + zero;
    q = std::min(std::max(q, 0.0f), 255.0f);
    y[i] = (q - zero) * scale;
  }
}

// `low` and `high` are the gradients of the scale outside the range.
MULTIVERSION
void activation_backward(const float* x, const float* gy, float* gx, int64_t n, float scale,
                         float zero, float low, float high, float* scale_sum, float* offset_sum) {
  float scale_grad = 0.0f, offset_grad = 0.0f;
  for (int64_t i = 0; i < n; ++i) {
    const float v = x[i] / scale;
    const float r = std::nearbyint(v);
    const float q = r + zero;
    const bool below = q < 0.0f, above = q > 255.0f;
    const float inside = (below || above) ? 0.0f : 1.0f;
    gx[i] = gy[i] * inside;
    const float ds = below ? low : (above ? high : r - v);
    scale_grad += gy[i] * ds;
    offset_grad += gy[i] * (1.0f - inside);
  }
  *scale_sum = scale_grad;
  *offset_sum = offset_grad;
}

Tensor dense(const Tensor& x) {
  return x.is_non_overlapping_and_dense() ? x : x.contiguous();
}

Tensor like(const Tensor& x, const Tensor& model) {
  return x.strides() == model.strides() ? x : torch::empty_like(model).copy_(x);
}

struct ActivationQuant : Function<ActivationQuant> {
  static Tensor forward(AutogradContext* ctx, const Tensor& input, const Tensor& scale_param,
                        const Tensor& offset_param, bool non_negative, double max_scale,
                        double factor) {
    const Tensor x = dense(input);
    float scale = std::max(std::fabs(scale_param.item<float>()), SMALLEST_SCALE);
    if (max_scale > 0) scale = std::min(scale, static_cast<float>(max_scale));
    float zero = 0.0f;
    bool free_zero = false;
    if (!non_negative) {
      const float wanted = std::nearbyint(-offset_param.item<float>() / scale);
      zero = std::min(std::max(wanted, 0.0f), 255.0f);
      free_zero = wanted >= 0.0f && wanted <= 255.0f;
    }
    Tensor y = torch::empty_like(x);
    const float* src = x.data_ptr<float>();
    float* dst = y.data_ptr<float>();
    at::parallel_for(0, x.numel(), CHUNK, [&](int64_t begin, int64_t end) {
      activation_forward(src + begin, dst + begin, end - begin, scale, zero);
    });
    ctx->save_for_backward({x});
    ctx->saved_data["scale"] = static_cast<double>(scale);
    ctx->saved_data["zero"] = static_cast<double>(zero);
    ctx->saved_data["free_zero"] = free_zero;
    ctx->saved_data["factor"] = factor;
    ctx->saved_data["offset_defined"] = !non_negative;
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const Tensor x = ctx->get_saved_variables()[0];
    const Tensor gy = like(grads[0], x);
    const float scale = static_cast<float>(ctx->saved_data["scale"].toDouble());
    const float zero = static_cast<float>(ctx->saved_data["zero"].toDouble());
    const bool free_zero = ctx->saved_data["free_zero"].toBool();
    const double factor = ctx->saved_data["factor"].toDouble();
    // With a learned offset the lower end of the range is the offset itself, whatever the scale.
    const float low = free_zero ? 0.0f : -zero;
    const float high = free_zero ? 255.0f : 255.0f - zero;
    Tensor gx = torch::empty_like(x);
    const int64_t n = x.numel(), chunks = (n + CHUNK - 1) / CHUNK;
    std::vector<float> scale_sums(chunks), offset_sums(chunks);
    const float* src = x.data_ptr<float>();
    const float* up = gy.data_ptr<float>();
    float* down = gx.data_ptr<float>();
    at::parallel_for(0, chunks, 1, [&](int64_t first, int64_t last) {
      for (int64_t c = first; c < last; ++c) {
        const int64_t begin = c * CHUNK, length = std::min(CHUNK, n - begin);
        activation_backward(src + begin, up + begin, down + begin, length, scale, zero, low, high,
                            &scale_sums[c], &offset_sums[c]);
      }
    });
    double scale_grad = 0, offset_grad = 0;
    for (int64_t c = 0; c < chunks; ++c) {
      scale_grad += scale_sums[c];
      offset_grad += offset_sums[c];
    }
    Tensor offset;
    if (ctx->saved_data["offset_defined"].toBool()) {
      offset = torch::full({1}, free_zero ? offset_grad * factor : 0.0, x.options());
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
float weight_backward(const float* w, const float* gy, float* gw, int64_t n, float scale, float max) {
  float sum = 0.0f;
  for (int64_t i = 0; i < n; ++i) {
    const float v = w[i] / scale;
    const float r = std::nearbyint(v);
    const bool below = r < -max, above = r > max;
    gw[i] = (below || above) ? 0.0f : gy[i];
    sum += gy[i] * (below ? -max : (above ? max : r - v));
  }
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

thread_local char last_error[512];

template <typename F>
Tensor* guarded(F&& f) {
  try {
    return new Tensor(f());
  } catch (const std::exception& e) {
    std::strncpy(last_error, e.what(), sizeof(last_error) - 1);
    return nullptr;
  }
}

}  // namespace

extern "C" {

const char* spacewright_last_error() { return last_error; }

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
