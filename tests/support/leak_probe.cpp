#include <cstdlib>
#include <thread>
#include <vector>

#include "ane/math/gemm.h"

// Leaks a block; memory that a library loaded at run time keeps for a thread is not a leak.
int main() {
  std::thread([] {
    void* volatile lost = std::malloc(1234);
    if (lost == nullptr) std::abort();
    lost = nullptr;
    constexpr std::size_t kSize = 64;
    const std::vector<float> a(kSize * kSize, 1);
    std::vector<float> c(kSize * kSize);
    ane::math::gemm_serial(kSize, kSize, kSize, 1, {a.data(), kSize}, {a.data(), kSize}, 0, c.data(), kSize);
  }).join();
}
