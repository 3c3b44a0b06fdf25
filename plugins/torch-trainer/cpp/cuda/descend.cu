// A step of descent: see processor/descend.cpp for what is computed.

// A part of a parameter that a block descends.
struct Descent {
  float* param;
  // Null where there is none.
  const float* gradient;
  float* momentum;
  long long count;
  float decay, largest_share;
};

extern "C" {

// Each block descends its part of a parameter.
__global__ void descend(const Descent* parts, float rate, float momentum, float largest) {
  const Descent part = parts[blockIdx.x];
  for (long long i = threadIdx.x; i < part.count; i += THREADS) {
    float p = part.param[i], m = part.momentum[i];
    if (part.gradient == nullptr) {
      m *= momentum;
      p -= m * momentum * rate;
    } else {
      float gradient = limited(part.gradient[i], -largest, largest);
      gradient += gradient != 0.0f ? p * part.decay : 0.0f;
      if (part.largest_share > 0.0f) {
        const float most = fabsf(p) * part.largest_share;
        gradient = limited(gradient, -most, most);
      }
      m = m * momentum + gradient;
      p -= (gradient + m * momentum) * rate;
    }
    part.param[i] = p;
    part.momentum[i] = m;
  }
}

}  // extern "C"
