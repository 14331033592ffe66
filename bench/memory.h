#pragma once

#include <cstddef>
#include <memory>
#include <span>

namespace ane::bench {

/// Floats in memory of their own, in large pages where the system gives them: what a bound is measured on. Filled with
/// values of ordinary size. Throws std::bad_alloc.
class Floats {
 public:
  Floats() = default;
  explicit Floats(std::size_t count);

  [[nodiscard]] float* data() const noexcept { return data_.get(); }
  [[nodiscard]] std::span<float> all() const noexcept { return {data_.get(), count_}; }
  [[nodiscard]] std::size_t size() const noexcept { return count_; }

 private:
  struct Unmap {
    std::size_t bytes;
    void operator()(float* data) const noexcept;
  };
  std::size_t count_ = 0;
  std::unique_ptr<float, Unmap> data_;
};

}  // namespace ane::bench
