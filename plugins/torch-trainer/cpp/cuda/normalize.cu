// Batch normalization with what follows it: see processor/normalize.cpp for what is computed.
//
// Values have channels innermost; rows are images times pixels. `width` threads of a block share a row; each stays
// with its VECTOR channels.

// How blocks walk through a value.
struct Walk {
  // Rows in all, and those of one block of the grid's first dimension.
  long long rows, rows_of_block;
  // Vectors of a row, and those that a block of the grid's second dimension has.
  int vectors, width;

  // Rows that a block takes at a time.
  __device__ int groups() const { return THREADS / width; }
  __device__ int group() const { return threadIdx.x / width; }
  // The vector of a row that this thread stays with.
  __device__ int vector() const { return blockIdx.y * width + threadIdx.x % width; }
  __device__ bool works() const { return group() < groups() && vector() < vectors; }
  __device__ long long first() const { return blockIdx.x * rows_of_block; }
  __device__ long long end() const {
    const long long end = first() + rows_of_block;
    return end < rows ? end : rows;
  }
};

// Sums that a thread has of each of its channels.
#define SUMS 2

// Adds up what the threads have that stay with the same channels; those of group 0 have the totals.
__device__ inline void sum_groups(const Walk& walk, float (&sums)[SUMS][VECTOR]) {
  __shared__ float shared[SUMS * VECTOR][THREADS];
  for (int s = 0; s < SUMS; ++s) {
    for (int i = 0; i < VECTOR; ++i) shared[s * VECTOR + i][threadIdx.x] = sums[s][i];
  }
  __syncthreads();
  const int groups = walk.groups(), group = walk.group();
  int half = 1;
  while (half < groups) half *= 2;
  for (half /= 2; half > 0; half /= 2) {
    if (group < half && group + half < groups) {
      for (int s = 0; s < SUMS * VECTOR; ++s) {
        shared[s][threadIdx.x] += shared[s][threadIdx.x + half * walk.width];
      }
    }
    __syncthreads();
  }
  for (int s = 0; s < SUMS; ++s) {
    for (int i = 0; i < VECTOR; ++i) sums[s][i] = shared[s * VECTOR + i][threadIdx.x];
  }
}

extern "C" {

// Of each block's rows the mean of each channel, then the sum of squares about it: `partial` is blocks × 2 ×
// channels. Distances are from the first row, so that squares are not large numbers with a small difference.
__global__ void statistics(const ELEMENT* x, Walk walk, float* partial) {
  float sums[2][VECTOR] = {}, origin[VECTOR] = {};
  const int channels = walk.vectors * VECTOR;
  const float count = static_cast<float>(walk.end() - walk.first());
  if (walk.works()) {
    const Elements first = elements(x, walk.first() * walk.vectors + walk.vector());
    for (int i = 0; i < VECTOR; ++i) origin[i] = number(first.at[i]);
    for (long long row = walk.first() + walk.group(); row < walk.end(); row += walk.groups()) {
      const Elements in = elements(x, row * walk.vectors + walk.vector());
      for (int i = 0; i < VECTOR; ++i) {
        const float distance = number(in.at[i]) - origin[i];
        sums[0][i] += distance;
        sums[1][i] += distance * distance;
      }
    }
  }
  sum_groups(walk, sums);
  if (walk.works() && walk.group() == 0) {
    float* own = partial + blockIdx.x * 2LL * channels + walk.vector() * VECTOR;
    for (int i = 0; i < VECTOR; ++i) {
      own[i] = origin[i] + sums[0][i] / count;
      own[channels + i] = fmaxf(sums[1][i] - sums[0][i] * sums[0][i] / count, 0.0f);
    }
  }
}

// Channels of a block that joins what other blocks found, and threads of each.
#define JOINED 32
#define LANES (THREADS / JOINED)

// The sum over the lanes of a channel, for all of them.
__device__ inline double sum_lanes(double value, double (*shared)[JOINED]) {
  const int channel = threadIdx.x % JOINED, lane = threadIdx.x / JOINED;
  shared[lane][channel] = value;
  __syncthreads();
  double sum = 0.0;
  for (int other = 0; other < LANES; ++other) sum += shared[other][channel];
  __syncthreads();
  return sum;
}

// Mean and 1 / sqrt(variance + eps) of each channel (Chan et al. 1983).
__global__ void join_statistics(const float* partial, int blocks, int channels, long long rows,
                                long long rows_of_block, double eps, float* mean, float* inverse) {
  __shared__ double shared[LANES][JOINED];
  const int channel = blockIdx.x * JOINED + threadIdx.x % JOINED, lane = threadIdx.x / JOINED;
  const bool works = channel < channels;
  double sum = 0.0;
  for (int block = lane; works && block < blocks; block += LANES) {
    const long long left = rows - block * rows_of_block;
    sum += static_cast<double>(left < rows_of_block ? left : rows_of_block) *
           partial[block * 2LL * channels + channel];
  }
  const double average = sum_lanes(sum, shared) / rows;
  double squares = 0.0;
  for (int block = lane; works && block < blocks; block += LANES) {
    const long long left = rows - block * rows_of_block;
    const double distance = partial[block * 2LL * channels + channel] - average;
    squares += partial[(block * 2LL + 1) * channels + channel] +
               distance * distance * static_cast<double>(left < rows_of_block ? left : rows_of_block);
  }
  squares = sum_lanes(squares, shared);
  if (works && lane == 0) {
    mean[channel] = static_cast<float>(average);
    inverse[channel] = static_cast<float>(1.0 / sqrt(squares / rows + eps));
  }
}

// What a thread needs of its channels: y = a x + b is what the rectifier gets, h x + m is normalized.
struct Affine {
  float a[VECTOR], b[VECTOR], h[VECTOR], m[VECTOR];

  __device__ Affine(int first, const float* mean, const float* inverse, const float* gamma,
                    const float* beta) {
    for (int i = 0; i < VECTOR; ++i) {
      h[i] = inverse[first + i];
      m[i] = -mean[first + i] * h[i];
      a[i] = gamma[first + i] * h[i];
      b[i] = beta[first + i] + gamma[first + i] * m[i];
    }
  }
};

// Normalizes, limits and, where `scale` is not null, rounds.
__global__ void normalize_forward(const ELEMENT* x, ELEMENT* y, Walk walk, const float* mean,
                                  const float* inverse, const float* gamma, const float* beta,
                                  float least, float most, const float* scale, const float* offset,
                                  int non_negative, float max_scale) {
  if (!walk.works()) return;
  const Affine by(walk.vector() * VECTOR, mean, inverse, gamma, beta);
  const float one = 1.0f;
  const Grid grid(scale ? scale : &one, offset, scale ? non_negative : 1, max_scale);
  for (long long row = walk.first() + walk.group(); row < walk.end(); row += walk.groups()) {
    const long long at = row * walk.vectors + walk.vector();
    const Elements in = elements(x, at);
    Elements out;
    for (int i = 0; i < VECTOR; ++i) {
      const float value = limited(number(in.at[i]) * by.a[i] + by.b[i], least, most);
      store(out.at[i], scale ? on_grid(value, grid) : value);
    }
    elements(y, at) = out;
  }
}

// What passes the rectifier and the quantizer of a gradient.
__device__ inline float passed(float u, float up, float least, float most, bool quantized,
                               const Grid& grid, float inverse_scale) {
  bool inside = u > least && u < most;
  if (quantized) {
    const float q = rintf(limited(u, least, most) * inverse_scale) + grid.zero;
    inside = inside && q >= 0.0f && q <= 255.0f;
  }
  return inside ? up : 0.0f;
}

// Of each block's rows the sums of the gradients of each channel, then of their products with normalized
// values: `partial` is blocks × 2 × channels; `scalars` has each block's share in the gradients of scale and
// offset.
__global__ void normalize_sums(const ELEMENT* x, const ELEMENT* gy, Walk walk, const float* mean,
                               const float* inverse, const float* gamma, const float* beta,
                               float least, float most, const float* scale, const float* offset,
                               int non_negative, float max_scale, float* partial, float* scalars) {
  __shared__ float shared[THREADS];
  const float one = 1.0f;
  const Grid grid(scale ? scale : &one, offset, scale ? non_negative : 1, max_scale);
  const float inverse_scale = 1.0f / grid.scale;
  const int channels = walk.vectors * VECTOR;
  float sums[2][VECTOR] = {}, of_scale = 0.0f, of_offset = 0.0f;
  if (walk.works()) {
    const Affine by(walk.vector() * VECTOR, mean, inverse, gamma, beta);
    for (long long row = walk.first() + walk.group(); row < walk.end(); row += walk.groups()) {
      const long long at = row * walk.vectors + walk.vector();
      const Elements in = elements(x, at), up = elements(gy, at);
      for (int i = 0; i < VECTOR; ++i) {
        const float value = number(in.at[i]), u = value * by.a[i] + by.b[i], g = number(up.at[i]);
        const float through = passed(u, g, least, most, scale != nullptr, grid, inverse_scale);
        sums[0][i] += through;
        sums[1][i] += through * (value * by.h[i] + by.m[i]);
        if (scale) {
          const float v = limited(u, least, most) * inverse_scale, r = rintf(v), q = r + grid.zero;
          const bool below = q < 0.0f, above = q > 255.0f;
          of_scale += g * (below ? grid.low : (above ? grid.high : r - v));
          of_offset += below || above ? g : 0.0f;
        }
      }
    }
  }
  sum_groups(walk, sums);
  if (walk.works() && walk.group() == 0) {
    float* own = partial + blockIdx.x * 2LL * channels + walk.vector() * VECTOR;
    for (int i = 0; i < VECTOR; ++i) {
      own[i] = sums[0][i];
      own[channels + i] = sums[1][i];
    }
  }
  if (!scale) return;
  of_scale = sum_of_block(of_scale, shared);
  of_offset = sum_of_block(of_offset, shared);
  if (threadIdx.x == 0) {
    float* own = scalars + 2LL * (blockIdx.x * gridDim.y + blockIdx.y);
    own[0] = of_scale;
    own[1] = of_offset;
  }
}

// Gradients of gamma and beta, and what those of values take from: gx = a g − (slope x + constant).
__global__ void join_sums(const float* partial, int blocks, int channels, long long rows,
                          const float* mean, const float* inverse, const float* gamma,
                          float* gamma_gradient, float* beta_gradient, float* slope,
                          float* constant) {
  __shared__ double shared[LANES][JOINED];
  const int channel = blockIdx.x * JOINED + threadIdx.x % JOINED, lane = threadIdx.x / JOINED;
  const bool works = channel < channels;
  double gradient = 0.0, moment = 0.0;
  for (int block = lane; works && block < blocks; block += LANES) {
    gradient += partial[block * 2LL * channels + channel];
    moment += partial[(block * 2LL + 1) * channels + channel];
  }
  gradient = sum_lanes(gradient, shared);
  moment = sum_lanes(moment, shared);
  if (works && lane == 0) {
    const double h = inverse[channel], m = -mean[channel] * h, a = gamma[channel] * h;
    const double mean_gradient = gradient / rows, mean_moment = moment / rows;
    beta_gradient[channel] = static_cast<float>(gradient);
    gamma_gradient[channel] = static_cast<float>(moment);
    slope[channel] = static_cast<float>(a * h * mean_moment);
    constant[channel] = static_cast<float>(a * (mean_gradient + m * mean_moment));
  }
}

__global__ void normalize_backward(const ELEMENT* x, const ELEMENT* gy, ELEMENT* gx, Walk walk,
                                   const float* mean, const float* inverse, const float* gamma,
                                   const float* beta, const float* slope, const float* constant,
                                   float least, float most, const float* scale, const float* offset,
                                   int non_negative, float max_scale) {
  if (!walk.works()) return;
  const int first = walk.vector() * VECTOR;
  const Affine by(first, mean, inverse, gamma, beta);
  const float one = 1.0f;
  const Grid grid(scale ? scale : &one, offset, scale ? non_negative : 1, max_scale);
  const float inverse_scale = 1.0f / grid.scale;
  float slopes[VECTOR], constants[VECTOR];
  for (int i = 0; i < VECTOR; ++i) {
    slopes[i] = slope[first + i];
    constants[i] = constant[first + i];
  }
  for (long long row = walk.first() + walk.group(); row < walk.end(); row += walk.groups()) {
    const long long at = row * walk.vectors + walk.vector();
    const Elements in = elements(x, at), up = elements(gy, at);
    Elements out;
    for (int i = 0; i < VECTOR; ++i) {
      const float value = number(in.at[i]), u = value * by.a[i] + by.b[i];
      const float through =
          passed(u, number(up.at[i]), least, most, scale != nullptr, grid, inverse_scale);
      store(out.at[i], by.a[i] * through - (slopes[i] * value + constants[i]));
    }
    elements(gx, at) = out;
  }
}

}  // extern "C"
