// Kernels for NVIDIA GPUs, compiled when the program runs: for elements of type ELEMENT (float or bfloat16),
// VECTOR of them at a time. All sums are taken in one order, so that results repeat bit for bit.
//
// The files of this folder are compiled as one text, this one first. Blocks have THREADS threads.

#define THREADS 256

// What a number that is stored as bfloat16 is: the upper half of a float.
struct bfloat16 {
  unsigned short bits;
};

__device__ inline float number(float stored) { return stored; }

__device__ inline float number(bfloat16 stored) {
  return __uint_as_float(static_cast<unsigned int>(stored.bits) << 16);
}

__device__ inline void store(float& place, float value) { place = value; }

// To the nearest, ties to even; what is not a number stays so.
__device__ inline void store(bfloat16& place, float value) {
  const unsigned int bits = __float_as_uint(value);
  const unsigned int rounded = bits + 0x7fff + ((bits >> 16) & 1);
  place.bits = value != value ? 0x7fc0 : static_cast<unsigned short>(rounded >> 16);
}

struct alignas(sizeof(ELEMENT) * VECTOR) Elements {
  ELEMENT at[VECTOR];
};

__device__ inline const Elements& elements(const ELEMENT* x, long long vector) {
  return reinterpret_cast<const Elements*>(x)[vector];
}

__device__ inline Elements& elements(ELEMENT* x, long long vector) {
  return reinterpret_cast<Elements*>(x)[vector];
}

#define SMALLEST_SCALE 1e-7f

// Limits that keep what is not a number.
__device__ inline float at_least(float value, float least) { return value < least ? least : value; }

__device__ inline float at_most(float value, float most) { return value > most ? most : value; }

// A value within limits.
__device__ inline float limited(float u, float least, float most) {
  return at_most(at_least(u, least), most);
}

// The grid of a quantized activation: see processor/processor.hpp.
struct Grid {
  float scale, zero, low, high;
  bool free_zero;

  __device__ Grid(const float* scale_param, const float* offset_param, int non_negative,
                  float max_scale)
      : zero(0.0f), free_zero(false) {
    scale = at_least(fabsf(*scale_param), SMALLEST_SCALE);
    if (max_scale > 0.0f) scale = at_most(scale, max_scale);
    if (!non_negative) {
      const float wanted = rintf(-*offset_param / scale);
      zero = limited(wanted, 0.0f, 255.0f);
      free_zero = wanted >= 0.0f && wanted <= 255.0f;
    }
    low = free_zero ? 0.0f : -zero;
    high = free_zero ? 255.0f : 255.0f - zero;
  }
};

__device__ inline float on_grid(float value, const Grid& grid) {
  const float q = limited(rintf(value / grid.scale) + grid.zero, 0.0f, 255.0f);
  return (q - grid.zero) * grid.scale;
}

// The sum of a value of each thread, for thread 0.
__device__ inline float sum_of_block(float value, float* shared) {
  shared[threadIdx.x] = value;
  __syncthreads();
  for (int half = THREADS / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) shared[threadIdx.x] += shared[threadIdx.x + half];
    __syncthreads();
  }
  const float sum = shared[0];
  __syncthreads();
  return sum;
}
