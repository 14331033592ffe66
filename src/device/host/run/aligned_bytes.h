#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <system_error>

#include "ane/core/mapped_memory.h"

#include "plan/arena.h"

namespace ane::device::host {

/// Uninitialized memory aligned to kAlignment: large blocks in huge pages, small ones from the heap. Move-only.
class AlignedBytes {
 public:
  AlignedBytes() = default;
  /// Throws std::bad_alloc.
  explicit AlignedBytes(std::size_t size) : size_(size) {
    if (size >= kHugePageBytes) {
      large_ = map(size);
    } else if (size > 0) {
      small_.reset(static_cast<std::byte*>(::operator new(size, std::align_val_t(kAlignment))));
    }
  }

  [[nodiscard]] std::byte* data() const noexcept { return small_ != nullptr ? small_.get() : large_.data(); }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

 private:
  struct Delete {
    void operator()(std::byte* data) const noexcept { ::operator delete(data, std::align_val_t(kAlignment)); }
  };
  static MappedMemory map(std::size_t size) try {
    return MappedMemory::anonymous(size);
  } catch (const std::system_error&) {
    throw std::bad_alloc();
  }

  std::size_t size_ = 0;
  std::unique_ptr<std::byte, Delete> small_;
  MappedMemory large_;
};

}  // namespace ane::device::host
