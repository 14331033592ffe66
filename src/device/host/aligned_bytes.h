#pragma once

#include <cstddef>
#include <memory>
#include <new>

#include "arena.h"

namespace ane::device::host {

/// Uninitialised memory at a multiple of kAlignment. Move-only.
class AlignedBytes {
 public:
  AlignedBytes() = default;
  /// Throws std::bad_alloc.
  explicit AlignedBytes(std::size_t size)
      : size_(size),
        data_(size == 0 ? nullptr : static_cast<std::byte*>(::operator new(size, std::align_val_t(kAlignment)))) {}

  [[nodiscard]] std::byte* data() const noexcept { return data_.get(); }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

 private:
  struct Delete {
    void operator()(std::byte* data) const noexcept { ::operator delete(data, std::align_val_t(kAlignment)); }
  };
  std::size_t size_ = 0;
  std::unique_ptr<std::byte, Delete> data_;
};

}  // namespace ane::device::host
