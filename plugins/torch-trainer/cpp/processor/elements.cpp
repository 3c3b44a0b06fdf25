// Elements of tensors as floats. A bfloat16 is the upper half of a float.
#include "processor.hpp"

using namespace spacewright;
using namespace spacewright::processor;

namespace {

MULTIVERSION
void widen(const uint16_t* __restrict halves, int64_t n, float* __restrict floats) {
  for (int64_t i = 0; i < n; ++i) {
    const uint32_t bits = static_cast<uint32_t>(halves[i]) << 16;
    std::memcpy(floats + i, &bits, sizeof bits);
  }
}

// To the nearest, ties to even; what is not a number stays so.
MULTIVERSION
void narrow(const float* __restrict floats, int64_t n, uint16_t* __restrict halves) {
  for (int64_t i = 0; i < n; ++i) {
    uint32_t bits;
    std::memcpy(&bits, floats + i, sizeof bits);
    const uint32_t nearest = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    const bool is_number = (bits & 0x7fffffff) <= 0x7f800000;
    halves[i] = static_cast<uint16_t>(is_number ? nearest : (bits >> 16) | 0x40);
  }
}

}  // namespace

Reader::Reader(const Tensor& x) {
  if (x.scalar_type() == at::kBFloat16) {
    halves = reinterpret_cast<const uint16_t*>(x.data_ptr<at::BFloat16>());
  } else {
    floats = x.data_ptr<float>();
  }
}

const float* Reader::read(int64_t begin, int64_t n, float* room) const {
  if (floats) return floats + begin;
  widen(halves + begin, n, room);
  return room;
}

Writer::Writer(const Tensor& y) {
  if (y.scalar_type() == at::kBFloat16) {
    halves = reinterpret_cast<uint16_t*>(y.data_ptr<at::BFloat16>());
  } else {
    floats = y.data_ptr<float>();
  }
}

void Writer::store(int64_t begin, int64_t n, const float* room) const {
  if (halves) narrow(room, n, halves + begin);
}
