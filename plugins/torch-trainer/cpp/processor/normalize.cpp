// Batch normalization on the processor together with what follows it, a rectifier and fake quantization, in as few
// passes over memory as can be: two forward (statistics; values), two backward (sums; gradients), where one
// operator after the other takes five and eight. What lies between is computed again.
//
// Channels are innermost. Sums are taken over chunks of fixed size and added in their order, so results
// do not depend on the number of threads.
#include "processor.hpp"

using namespace spacewright;
using processor::Reader;
using processor::Writer;

namespace {

// Floats of a chunk: few enough for the second level of cache.
constexpr int64_t CHUNK = 1 << 14;
// Rows are taken together until they make whole vectors and loops are long enough.
constexpr int64_t VECTOR = 16, SHORTEST_LOOP = 128;

// How a tensor of `rows` times `channels` is walked through.
struct Walk {
  int64_t rows, channels;
  // Floats that a loop takes: some rows.
  int64_t period;
  // Floats of a chunk: some periods.
  int64_t chunk;
  int64_t chunks;

  explicit Walk(const Tensor& x) : channels(x.size(1)) {
    rows = x.numel() / std::max<int64_t>(channels, 1);
    int64_t together = 1;
    while (together < VECTOR &&
           ((channels * together) % VECTOR != 0 || channels * together < SHORTEST_LOOP)) {
      ++together;
    }
    period = channels * together;
    chunk = std::max<int64_t>(CHUNK / period, 1) * period;
    chunks = (x.numel() + chunk - 1) / chunk;
  }

  int64_t floats() const { return rows * channels; }

  // A value of each channel, repeated for each row of a period.
  void repeat(const float* values, float* all) const {
    for (int64_t first = 0; first < period; first += channels) {
      std::copy(values, values + channels, all + first);
    }
  }

  std::vector<float> repeated(const std::vector<float>& values) const {
    std::vector<float> all(period);
    repeat(values.data(), all.data());
    return all;
  }

  // Sums of the rows of a period, by channel.
  void fold(const float* sums, float* folded) const {
    std::fill(folded, folded + channels, 0.0f);
    for (int64_t first = 0; first < period; first += channels) {
      for (int64_t c = 0; c < channels; ++c) folded[c] += sums[first + c];
    }
  }

  // Calls `work(chunk, first float, floats, scratch)` for each chunk, on several threads; there is room
  // for so many floats in `scratch`.
  template <typename Work>
  void each(int64_t room, const Work& work) const {
    at::parallel_for(0, chunks, 1, [&](int64_t first, int64_t last) {
      std::vector<float> scratch(room);
      for (int64_t c = first; c < last; ++c) {
        const int64_t begin = c * chunk;
        work(c, begin, std::min(chunk, floats() - begin), scratch.data());
      }
    });
  }

  // Floats of room for so many tensors' elements of a chunk, where these are not floats themselves.
  int64_t room(const Tensor& x, int64_t tensors) const {
    return processor::room_for(x, tensors, chunk);
  }
};

MULTIVERSION
void add_all(const float* __restrict x, int64_t n, int64_t period, float* __restrict sums) {
  for (int64_t first = 0; first < n; first += period) {
    const int64_t count = std::min(period, n - first);
    for (int64_t i = 0; i < count; ++i) sums[i] += x[first + i];
  }
}

MULTIVERSION
void add_squares(const float* __restrict x, int64_t n, int64_t period, const float* __restrict mean,
                 float* __restrict sums) {
  for (int64_t first = 0; first < n; first += period) {
    const int64_t count = std::min(period, n - first);
    for (int64_t i = 0; i < count; ++i) {
      const float distance = x[first + i] - mean[i];
      sums[i] += distance * distance;
    }
  }
}

// Forward divides by the scale, as runtimes do; backward, where a tie may fall to either side, multiplies
// by its inverse. Conditions are joined by `&`, which has both sides computed: loops with branches are not vectorized.

// A value within limits; what is not a number stays so.
inline float limited(float u, float least, float most) {
  const float above = u < least ? least : u;
  return above > most ? most : above;
}

MULTIVERSION
void forward_plain(const float* __restrict x, float* __restrict y, int64_t n, int64_t period,
                   const float* __restrict a, const float* __restrict b, float least, float most) {
  for (int64_t first = 0; first < n; first += period) {
    const int64_t count = std::min(period, n - first);
    for (int64_t i = 0; i < count; ++i) {
      y[first + i] = limited(x[first + i] * a[i] + b[i], least, most);
    }
  }
}

MULTIVERSION
void forward_quantized(const float* __restrict x, float* __restrict y, int64_t n, int64_t period,
                       const float* __restrict a, const float* __restrict b, float least, float most,
                       float scale, float zero) {
  for (int64_t first = 0; first < n; first += period) {
    const int64_t count = std::min(period, n - first);
    for (int64_t i = 0; i < count; ++i) {
      const float r = limited(x[first + i] * a[i] + b[i], least, most);
      const float q = limited(std::nearbyint(r / scale) + zero, 0.0f, 255.0f);
      y[first + i] = (q - zero) * scale;
    }
  }
}

// Per channel, repeated over a period: y = a x + b is what the rectifier gets, h x + m is normalized.
struct Affine {
  std::vector<float> a, b, h, m;
};

MULTIVERSION
void backward_sums(const float* __restrict x, const float* __restrict gy, int64_t n, int64_t period,
                   const float* __restrict a, const float* __restrict b, const float* __restrict h,
                   const float* __restrict m, float least, float most, float* __restrict gradients,
                   float* __restrict moments) {
  for (int64_t first = 0; first < n; first += period) {
    const int64_t count = std::min(period, n - first);
    for (int64_t i = 0; i < count; ++i) {
      const float value = x[first + i], up = gy[first + i], u = value * a[i] + b[i];
      const float g = ((u > least) & (u < most)) ? up : 0.0f;
      gradients[i] += g;
      moments[i] += g * (value * h[i] + m[i]);
    }
  }
}

MULTIVERSION
void backward_sums_quantized(const float* __restrict x, const float* __restrict gy, int64_t n,
                             int64_t period, const float* __restrict a, const float* __restrict b,
                             const float* __restrict h, const float* __restrict m, float least,
                             float most, const Grid& grid, float* __restrict gradients,
                             float* __restrict moments, float* __restrict scales,
                             float* __restrict offsets) {
  const float inverse = 1.0f / grid.scale, zero = grid.zero, low = grid.low, high = grid.high;
  for (int64_t first = 0; first < n; first += period) {
    const int64_t count = std::min(period, n - first);
    for (int64_t i = 0; i < count; ++i) {
      const float value = x[first + i], up = gy[first + i], u = value * a[i] + b[i];
      const float v = limited(u, least, most) * inverse;
      const float r = std::nearbyint(v), q = r + zero;
      const bool below = q < 0.0f, above = q > 255.0f, outside = below | above;
      const float g = ((u > least) & (u < most) & !outside) ? up : 0.0f;
      gradients[i] += g;
      moments[i] += g * (value * h[i] + m[i]);
      scales[i] += up * (below ? low : (above ? high : r - v));
      offsets[i] += outside ? up : 0.0f;
    }
  }
}

MULTIVERSION
void backward_values(const float* __restrict x, const float* __restrict gy, float* __restrict gx,
                     int64_t n, int64_t period, const float* __restrict a, const float* __restrict b,
                     const float* __restrict slope, const float* __restrict constant, float least,
                     float most) {
  for (int64_t first = 0; first < n; first += period) {
    const int64_t count = std::min(period, n - first);
    for (int64_t i = 0; i < count; ++i) {
      const float value = x[first + i], up = gy[first + i], u = value * a[i] + b[i];
      const float g = ((u > least) & (u < most)) ? up : 0.0f;
      gx[first + i] = a[i] * g - (slope[i] * value + constant[i]);
    }
  }
}

MULTIVERSION
void backward_values_quantized(const float* __restrict x, const float* __restrict gy,
                               float* __restrict gx, int64_t n, int64_t period,
                               const float* __restrict a, const float* __restrict b,
                               const float* __restrict slope, const float* __restrict constant,
                               float least, float most, float scale, float zero) {
  const float inverse = 1.0f / scale;
  for (int64_t first = 0; first < n; first += period) {
    const int64_t count = std::min(period, n - first);
    for (int64_t i = 0; i < count; ++i) {
      const float value = x[first + i], up = gy[first + i], u = value * a[i] + b[i];
      const float q = std::nearbyint(limited(u, least, most) * inverse) + zero;
      const bool inside = (u > least) & (u < most) & (q >= 0.0f) & (q <= 255.0f);
      gx[first + i] = a[i] * (inside ? up : 0.0f) - (slope[i] * value + constant[i]);
    }
  }
}

Affine affine(const Walk& walk, const Normalization& by) {
  const Tensor gammas = by.gamma.contiguous(), betas = by.beta.contiguous();
  const Tensor means = by.by.mean.contiguous(), inverses = by.by.inverse.contiguous();
  const float *g = gammas.data_ptr<float>(), *s = betas.data_ptr<float>();
  const float *mean = means.data_ptr<float>(), *inverse = inverses.data_ptr<float>();
  const int64_t channels = walk.channels;
  std::vector<float> a(channels), b(channels), h(channels), m(channels);
  for (int64_t c = 0; c < channels; ++c) {
    h[c] = inverse[c];
    m[c] = -mean[c] * inverse[c];
    a[c] = g[c] * h[c];
    b[c] = s[c] + g[c] * m[c];
  }
  return {walk.repeated(a), walk.repeated(b), walk.repeated(h), walk.repeated(m)};
}

Tensor channels_last(const Tensor& x) { return x.contiguous(at::MemoryFormat::ChannelsLast); }

}  // namespace

// Chan et al. 1983: chunks are joined by their means and their sums of squares about them.
Statistics processor::statistics(const Tensor& input, double eps) {
  const Tensor x = channels_last(input);
  const Walk walk(x);
  const int64_t channels = walk.channels;
  std::vector<float> means(walk.chunks * channels), squares(walk.chunks * channels);
  const Reader from(x);
  walk.each(2 * walk.period + walk.room(x, 1), [&](int64_t c, int64_t begin, int64_t n, float* sums) {
    float *repeated = sums + walk.period, *own = means.data() + c * channels;
    const float* src = from.read(begin, n, repeated + walk.period);
    std::fill(sums, sums + walk.period, 0.0f);
    add_all(src, n, walk.period, sums);
    walk.fold(sums, own);
    for (int64_t channel = 0; channel < channels; ++channel) {
      own[channel] /= static_cast<float>(n / channels);
    }
    walk.repeat(own, repeated);
    std::fill(sums, sums + walk.period, 0.0f);
    add_squares(src, n, walk.period, repeated, sums);
    walk.fold(sums, squares.data() + c * channels);
  });
  Tensor mean = at::empty({channels}, at::kFloat), inverse = at::empty_like(mean);
  for (int64_t channel = 0; channel < channels; ++channel) {
    double count = 0, average = 0, square = 0;
    for (int64_t c = 0; c < walk.chunks; ++c) {
      const double n = std::min(walk.chunk, walk.floats() - c * walk.chunk) / channels;
      const double distance = means[c * channels + channel] - average;
      square += squares[c * channels + channel] + distance * distance * count * n / (count + n);
      average += distance * n / (count + n);
      count += n;
    }
    mean.data_ptr<float>()[channel] = static_cast<float>(average);
    inverse.data_ptr<float>()[channel] =
        static_cast<float>(1.0 / std::sqrt(square / std::max(count, 1.0) + eps));
  }
  return {mean, inverse};
}

Tensor processor::normalize(const Tensor& input, const Normalization& normalization) {
  const Tensor x = channels_last(input);
  const Walk walk(x);
  const Affine by = affine(walk, normalization);
  const float least = normalization.least, most = normalization.most;
  Tensor y = at::empty_like(x);
  const Reader from(x);
  const Writer to(y);
  const bool quantized = normalization.rounding.scale.defined();
  const Grid grid(normalization.rounding);
  walk.each(walk.room(x, 2), [&](int64_t, int64_t begin, int64_t n, float* room) {
    const float* src = from.read(begin, n, room);
    float* dst = to.place(begin, room + walk.chunk);
    if (quantized) {
      forward_quantized(src, dst, n, walk.period, by.a.data(), by.b.data(), least, most, grid.scale,
                        grid.zero);
    } else {
      forward_plain(src, dst, n, walk.period, by.a.data(), by.b.data(), least, most);
    }
    to.store(begin, n, dst);
  });
  return y;
}

NormalizationGradients processor::normalize_backward(const Tensor& input, const Tensor& upstream,
                                                     const Normalization& normalization) {
  const Tensor x = channels_last(input), gy = like(upstream, x);
  const Walk walk(x);
  const Affine by = affine(walk, normalization);
  const Rounding& rounding = normalization.rounding;
  const bool quantized = rounding.scale.defined();
  const Grid grid(rounding);
  const float least = normalization.least, most = normalization.most;
  const Reader values(x), upstreams(gy);
  const int64_t channels = walk.channels, chunks = walk.chunks;

  std::vector<float> gradients(chunks * channels), moments(chunks * channels);
  std::vector<double> scales(chunks), offsets(chunks);
  walk.each(4 * walk.period + walk.room(x, 2), [&](int64_t c, int64_t begin, int64_t n, float* gradient) {
    const int64_t period = walk.period;
    float *moment = gradient + period, *scale = moment + period, *offset = scale + period;
    float* room = offset + period;
    const float *src = values.read(begin, n, room), *up = upstreams.read(begin, n, room + walk.chunk);
    std::fill(gradient, offset + period, 0.0f);
    if (quantized) {
      backward_sums_quantized(src, up, n, period, by.a.data(), by.b.data(),
                              by.h.data(), by.m.data(), least, most, grid, gradient, moment, scale,
                              offset);
      for (int64_t i = 0; i < period; ++i) {
        scales[c] += scale[i];
        offsets[c] += offset[i];
      }
    } else {
      backward_sums(src, up, n, period, by.a.data(), by.b.data(), by.h.data(),
                    by.m.data(), least, most, gradient, moment);
    }
    walk.fold(gradient, gradients.data() + c * channels);
    walk.fold(moment, moments.data() + c * channels);
  });

  // gx = a (g − mean(g) − n mean(g n)), where n = h x + m is the normalized value.
  Tensor g_gamma = at::empty({channels}, at::kFloat), g_beta = at::empty_like(g_gamma);
  std::vector<float> slope(channels), constant(channels);
  for (int64_t channel = 0; channel < channels; ++channel) {
    double gradient = 0, moment = 0;
    for (int64_t c = 0; c < chunks; ++c) {
      gradient += gradients[c * channels + channel];
      moment += moments[c * channels + channel];
    }
    g_beta.data_ptr<float>()[channel] = static_cast<float>(gradient);
    g_gamma.data_ptr<float>()[channel] = static_cast<float>(moment);
    const double a = by.a[channel], h = by.h[channel], m = by.m[channel];
    const double mean_gradient = gradient / walk.rows, mean_moment = moment / walk.rows;
    slope[channel] = static_cast<float>(a * h * mean_moment);
    constant[channel] = static_cast<float>(a * (mean_gradient + m * mean_moment));
  }
  const std::vector<float> slopes = walk.repeated(slope), constants = walk.repeated(constant);
  Tensor gx = at::empty_like(x);
  const Writer downstreams(gx);
  walk.each(walk.room(x, 3), [&](int64_t, int64_t begin, int64_t n, float* room) {
    const float *src = values.read(begin, n, room), *up = upstreams.read(begin, n, room + walk.chunk);
    float* down = downstreams.place(begin, room + 2 * walk.chunk);
    if (quantized) {
      backward_values_quantized(src, up, down, n, walk.period, by.a.data(),
                                by.b.data(), slopes.data(), constants.data(), least, most, grid.scale,
                                grid.zero);
    } else {
      backward_values(src, up, down, n, walk.period, by.a.data(), by.b.data(), slopes.data(),
                      constants.data(), least, most);
    }
    downstreams.store(begin, n, down);
  });
  if (!quantized) return {gx, g_gamma, g_beta, {}, {}};
  double scale = 0, offset = 0;
  for (int64_t c = 0; c < chunks; ++c) {
    scale += scales[c];
    offset += offsets[c];
  }
  const RoundingGradients rounded = grid.gradients({}, scale, offset, rounding);
  return {gx, g_gamma, g_beta, rounded.scale, rounded.offset};
}
