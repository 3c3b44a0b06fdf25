// Depth-wise convolutions of values with channels innermost. The library's own
// are several times slower where channels are innermost.

// Sizes of a convolution whose channels are each convolved with a kernel of their own.
struct Depthwise {
  int images, height, width, channels, out_height, out_width, padding;
};

// Neighbouring outputs of a row that a thread computes: they share inputs.
#define STRIP 4

// `w` is K × K × channels. Each thread has VECTOR channels of a strip.
template <int K, int S>
__device__ inline void convolve(const ELEMENT* x, const float* w, ELEMENT* y, const Depthwise& d) {
  const int vectors = d.channels / VECTOR, strips = (d.out_width + STRIP - 1) / STRIP;
  long long index = blockIdx.x * static_cast<long long>(THREADS) + threadIdx.x;
  const int vector = index % vectors;
  index /= vectors;
  const int first = index % strips * STRIP;
  index /= strips;
  const int row = index % d.out_height;
  const long long image = index / d.out_height;
  if (image >= d.images) return;
  float sums[STRIP][VECTOR] = {};
#pragma unroll
  for (int i = 0; i < K; ++i) {
    const int from = row * S - d.padding + i;
    if (from < 0 || from >= d.height) continue;
    float weights[K][VECTOR];
#pragma unroll
    for (int j = 0; j < K; ++j) {
      for (int v = 0; v < VECTOR; ++v) {
        weights[j][v] = w[(i * K + j) * d.channels + vector * VECTOR + v];
      }
    }
    const long long line = (image * d.height + from) * d.width;
#pragma unroll
    for (int c = 0; c < (STRIP - 1) * S + K; ++c) {
      const int column = first * S - d.padding + c;
      if (column < 0 || column >= d.width) continue;
      const Elements in = elements(x, (line + column) * vectors + vector);
#pragma unroll
      for (int t = 0; t < STRIP; ++t) {
        const int j = c - t * S;
        if (j < 0 || j >= K) continue;
        for (int v = 0; v < VECTOR; ++v) sums[t][v] += number(in.at[v]) * weights[j][v];
      }
    }
  }
  const long long line = (image * d.out_height + row) * d.out_width + first;
#pragma unroll
  for (int t = 0; t < STRIP; ++t) {
    if (first + t >= d.out_width) break;
    Elements out;
    for (int v = 0; v < VECTOR; ++v) store(out.at[v], sums[t][v]);
    elements(y, (line + t) * vectors + vector) = out;
  }
}

// Gradients of the inputs; each thread has VECTOR channels of one pixel.
template <int K, int S>
__device__ inline void convolve_back(const ELEMENT* gy, const float* w, ELEMENT* gx,
                                     const Depthwise& d) {
  const int vectors = d.channels / VECTOR;
  long long index = blockIdx.x * static_cast<long long>(THREADS) + threadIdx.x;
  const int vector = index % vectors;
  index /= vectors;
  const int column = index % d.width;
  index /= d.width;
  const int row = index % d.height;
  const long long image = index / d.height;
  if (image >= d.images) return;
  float sums[VECTOR] = {};
#pragma unroll
  for (int i = 0; i < K; ++i) {
    const int from = row + d.padding - i;
    if (from < 0 || from % S != 0 || from / S >= d.out_height) continue;
#pragma unroll
    for (int j = 0; j < K; ++j) {
      const int at = column + d.padding - j;
      if (at < 0 || at % S != 0 || at / S >= d.out_width) continue;
      const long long pixel = (image * d.out_height + from / S) * d.out_width + at / S;
      const Elements up = elements(gy, pixel * vectors + vector);
      for (int v = 0; v < VECTOR; ++v) {
        sums[v] += number(up.at[v]) * w[(i * K + j) * d.channels + vector * VECTOR + v];
      }
    }
  }
  Elements out;
  for (int v = 0; v < VECTOR; ++v) store(out.at[v], sums[v]);
  elements(gx, ((image * d.height + row) * d.width + column) * vectors + vector) = out;
}

// Of each block's rows of outputs the gradients of the weights: `partial` is blocks × K × K × channels. A block
// has JOINED channels; LANES rows at a time, along which the inputs of an output slide.
template <int K, int S>
__device__ inline void convolve_weights(const ELEMENT* x, const ELEMENT* gy, const Depthwise& d,
                                        long long rows_of_block, float* partial) {
  __shared__ float shared[LANES][JOINED];
  const int lane = threadIdx.x / JOINED, own = threadIdx.x % JOINED;
  const int channel = blockIdx.y * JOINED + own;
  const bool works = channel < d.channels;
  const long long rows = static_cast<long long>(d.images) * d.out_height;
  const long long first = blockIdx.x * rows_of_block;
  const long long end = first + rows_of_block < rows ? first + rows_of_block : rows;
  float sums[K][K] = {};
  for (long long line = first + lane; works && line < end; line += LANES) {
    const long long image = line / d.out_height;
    const int top = static_cast<int>(line % d.out_height) * S - d.padding;
    const ELEMENT* lines[K];
#pragma unroll
    for (int i = 0; i < K; ++i) {
      const int from = top + i;
      const bool inside = from >= 0 && from < d.height;
      lines[i] = inside ? x + (image * d.height + from) * d.width * d.channels + channel : nullptr;
    }
    float window[K][K] = {};
    // All columns of the first window but the last S.
#pragma unroll
    for (int i = 0; i < K; ++i) {
#pragma unroll
      for (int j = S; j < K; ++j) {
        const int column = j - S - d.padding;
        const bool inside = lines[i] && column >= 0 && column < d.width;
        window[i][j] = inside ? number(lines[i][static_cast<long long>(column) * d.channels]) : 0.0f;
      }
    }
    const ELEMENT* up = gy + line * d.out_width * d.channels + channel;
    for (int out = 0; out < d.out_width; ++out) {
      const float g = number(up[static_cast<long long>(out) * d.channels]);
#pragma unroll
      for (int i = 0; i < K; ++i) {
#pragma unroll
        for (int j = 0; j + S < K; ++j) window[i][j] = window[i][j + S];
#pragma unroll
        for (int j = K - S; j < K; ++j) {
          const int column = out * S - d.padding + j;
          const bool inside = lines[i] && column >= 0 && column < d.width;
          window[i][j] = inside ? number(lines[i][static_cast<long long>(column) * d.channels]) : 0.0f;
        }
#pragma unroll
        for (int j = 0; j < K; ++j) sums[i][j] += g * window[i][j];
      }
    }
  }
#pragma unroll
  for (int i = 0; i < K; ++i) {
#pragma unroll
    for (int j = 0; j < K; ++j) {
      shared[lane][own] = sums[i][j];
      __syncthreads();
      if (lane == 0 && works) {
        float sum = 0.0f;
        for (int other = 0; other < LANES; ++other) sum += shared[other][own];
        partial[((blockIdx.x * K + i) * K + j) * static_cast<long long>(d.channels) + channel] = sum;
      }
      __syncthreads();
    }
  }
}

extern "C" {

#define DEPTHWISE(K, S)                                                                             \
  __global__ void depthwise_##K##_##S(const ELEMENT* x, const float* w, ELEMENT* y, Depthwise d) {   \
    convolve<K, S>(x, w, y, d);                                                                     \
  }                                                                                                 \
  __global__ void depthwise_back_##K##_##S(const ELEMENT* gy, const float* w, ELEMENT* gx,           \
                                           Depthwise d) {                                           \
    convolve_back<K, S>(gy, w, gx, d);                                                              \
  }                                                                                                 \
  __global__ void depthwise_weights_##K##_##S(const ELEMENT* x, const ELEMENT* gy, Depthwise d,      \
                                              long long rows_of_block, float* partial) {            \
    convolve_weights<K, S>(x, gy, d, rows_of_block, partial);                                       \
  }

DEPTHWISE(3, 1)
DEPTHWISE(3, 2)
DEPTHWISE(5, 1)
DEPTHWISE(5, 2)
DEPTHWISE(7, 1)
DEPTHWISE(7, 2)

// Weights, channels × `area`, with channels innermost and, if `flip`, from the last to the first.
__global__ void depthwise_order(const float* w, long long stride, int channels, int area, int flip,
                                float* ordered) {
  const int index = blockIdx.x * THREADS + threadIdx.x;
  if (index >= channels * area) return;
  const int channel = index % channels, at = index / channels;
  ordered[index] = w[channel * stride + (flip ? area - 1 - at : at)];
}

// The sums over blocks of `count` values, `area` × channels, with channels outermost.
__global__ void depthwise_join(const float* partial, int blocks, int channels, int area, float* w) {
  const int index = blockIdx.x * THREADS + threadIdx.x, count = channels * area;
  if (index >= count) return;
  double sum = 0.0;
  for (int block = 0; block < blocks; ++block) sum += partial[block * static_cast<long long>(count) + index];
  w[index % channels * area + index / channels] = static_cast<float>(sum);
}

}  // extern "C"
