// Fake quantization with learned step sizes: see processor/fake_quant.cpp for what is computed.

extern "C" {

// Rounds `n` activations; the last vector may be cut short.
__global__ void activation_forward(const ELEMENT* x, ELEMENT* y, long long n, const float* scale,
                                   const float* offset, int non_negative, float max_scale) {
  const Grid grid(scale, offset, non_negative, max_scale);
  const long long vectors = n / VECTOR, step = static_cast<long long>(gridDim.x) * THREADS;
  for (long long v = blockIdx.x * static_cast<long long>(THREADS) + threadIdx.x; v < vectors; v += step) {
    const Elements in = elements(x, v);
    Elements out;
    for (int i = 0; i < VECTOR; ++i) store(out.at[i], on_grid(number(in.at[i]), grid));
    elements(y, v) = out;
  }
  const long long last = vectors * VECTOR + threadIdx.x;
  if (blockIdx.x == 0 && last < n) store(y[last], on_grid(number(x[last]), grid));
}

struct ActivationSums {
  float scale, offset;
};

__device__ inline float activation_gradient(float x, float up, const Grid& grid, ActivationSums& sums) {
  const float v = x / grid.scale, r = rintf(v), q = r + grid.zero;
  const bool below = q < 0.0f, above = q > 255.0f, outside = below || above;
  sums.scale += up * (below ? grid.low : (above ? grid.high : r - v));
  sums.offset += outside ? up : 0.0f;
  return outside ? 0.0f : up;
}

// Gradients of activations, and of each block its share in those of scale and offset.
__global__ void activation_backward(const ELEMENT* x, const ELEMENT* gy, ELEMENT* gx, long long n,
                                    const float* scale, const float* offset, int non_negative,
                                    float max_scale, float* partial) {
  __shared__ float shared[THREADS];
  const Grid grid(scale, offset, non_negative, max_scale);
  ActivationSums sums{0.0f, 0.0f};
  const long long vectors = n / VECTOR, step = static_cast<long long>(gridDim.x) * THREADS;
  for (long long v = blockIdx.x * static_cast<long long>(THREADS) + threadIdx.x; v < vectors; v += step) {
    const Elements in = elements(x, v), up = elements(gy, v);
    Elements out;
    for (int i = 0; i < VECTOR; ++i) {
      store(out.at[i], activation_gradient(number(in.at[i]), number(up.at[i]), grid, sums));
    }
    elements(gx, v) = out;
  }
  const long long last = vectors * VECTOR + threadIdx.x;
  if (blockIdx.x == 0 && last < n) {
    store(gx[last], activation_gradient(number(x[last]), number(gy[last]), grid, sums));
  }
  const float scales = sum_of_block(sums.scale, shared), offsets = sum_of_block(sums.offset, shared);
  if (threadIdx.x == 0) {
    partial[2 * blockIdx.x] = scales;
    partial[2 * blockIdx.x + 1] = offsets;
  }
}

// Gradients of scale and offset from the shares of blocks; one block.
__global__ void activation_sums(const float* partial, int blocks, const float* scale,
                                const float* offset, int non_negative, float max_scale, float factor,
                                float* scale_gradient, float* offset_gradient) {
  __shared__ float shared[THREADS];
  float scales = 0.0f, offsets = 0.0f;
  for (int block = threadIdx.x; block < blocks; block += THREADS) {
    scales += partial[2 * block];
    offsets += partial[2 * block + 1];
  }
  scales = sum_of_block(scales, shared);
  offsets = sum_of_block(offsets, shared);
  if (threadIdx.x == 0) {
    const Grid grid(scale, offset, non_negative, max_scale);
    *scale_gradient = scales * factor;
    *offset_gradient = grid.free_zero ? offsets * factor : 0.0f;
  }
}

// Where an element of a weight is: `index` counts input channels fastest, then columns, then rows.
struct Weight {
  long long output, input, row, column;
  int inputs, columns;

  __device__ long long at(int channel, int index) const {
    const int c = index % inputs, pixel = index / inputs;
    return channel * output + c * input + (pixel / columns) * row + (pixel % columns) * column;
  }
};

// Rounds the weights of one output channel for each block; `y` has input channels innermost.
__global__ void weight_forward(const float* w, Weight weight, int length, const float* scales,
                               long long scale_stride, float max, int pairs, float* y, float* used,
                               float* is_free) {
  __shared__ float shared[THREADS];
  const int channel = blockIdx.x;
  float scale = at_least(fabsf(scales[channel * scale_stride]), SMALLEST_SCALE);
  if (pairs) {
    // The smallest scale at which neighbouring pairs of integers keep to the limit of 16-bit accumulation.
    float bound = 0.0f;
    for (int p = 2 * threadIdx.x; p < length; p += 2 * THREADS) {
      const float a = w[weight.at(channel, p)];
      const float b = p + 1 < length ? w[weight.at(channel, p + 1)] : 0.0f;
      bound = fmaxf(bound, fmaxf(a, 0.0f) + fmaxf(b, 0.0f));
      bound = fmaxf(bound, fmaxf(-a, 0.0f) + fmaxf(-b, 0.0f));
    }
    shared[threadIdx.x] = bound;
    __syncthreads();
    for (int half = THREADS / 2; half > 0; half /= 2) {
      if (threadIdx.x < half) {
        shared[threadIdx.x] = fmaxf(shared[threadIdx.x], shared[threadIdx.x + half]);
      }
      __syncthreads();
    }
    const float floor = shared[0] / 127.0f;
    // The learned scale has no effect below the floor, so it gets no gradient there.
    if (threadIdx.x == 0) is_free[channel] = floor > scale ? 0.0f : 1.0f;
    scale = at_least(scale, floor);
  } else if (threadIdx.x == 0) {
    is_free[channel] = 1.0f;
  }
  if (threadIdx.x == 0) used[channel] = scale;
  for (int i = threadIdx.x; i < length; i += THREADS) {
    const float q = limited(rintf(w[weight.at(channel, i)] / scale), -max, max);
    y[static_cast<long long>(channel) * length + i] = q * scale;
  }
}

// Gradients of the weights and the scale of one output channel for each block; `gy` and `gw` have input
// channels innermost.
__global__ void weight_backward(const float* w, Weight weight, int length, const float* gy,
                                const float* used, const float* is_free, float max, float factor,
                                float* gw, float* scale_gradient) {
  __shared__ float shared[THREADS];
  const int channel = blockIdx.x;
  const float scale = used[channel];
  float sum = 0.0f;
  for (int i = threadIdx.x; i < length; i += THREADS) {
    const long long place = static_cast<long long>(channel) * length + i;
    const float v = w[weight.at(channel, i)] / scale, r = rintf(v), up = gy[place];
    const bool below = r < -max, above = r > max;
    gw[place] = below || above ? 0.0f : up;
    sum += up * (below ? -max : (above ? max : r - v));
  }
  sum = sum_of_block(sum, shared);
  if (threadIdx.x == 0) scale_gradient[channel] = factor * is_free[channel] * sum;
}

}  // extern "C"
