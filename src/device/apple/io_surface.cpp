#include "io_surface.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

namespace ane::device::apple {

namespace {

constexpr std::uint32_t kReadOnly = 1;

// Smaller surfaces are reported to fail (ane.md K3); there is no such report about larger ones.
constexpr std::size_t kSmallestSurface = 49'152;

constexpr std::uint32_t lock_options(bool for_write) { return for_write ? 0 : kReadOnly; }

}  // namespace

IoSurfaceMemory::~IoSurfaceMemory() { functions_->release(surface_); }

std::span<std::byte> IoSurfaceMemory::lock(bool for_write) {
  static_cast<void>(handle());
  const int status = functions_->lock(surface_, lock_options(for_write), nullptr);
  if (status != 0) {
    throw DeviceError(fmt::format("IOSurfaceLock of {} bytes for {} failed with {:#x}", size_bytes_,
                                  for_write ? "writing" : "reading", static_cast<unsigned>(status)));
  }
  auto* const bytes = static_cast<std::byte*>(functions_->base_address(surface_));
  if (bytes == nullptr) {
    unlock(for_write);
    throw DeviceError(fmt::format("IOSurfaceGetBaseAddress gave no address for a surface of {} bytes", size_bytes_));
  }
  return {bytes, size_bytes_};
}

void IoSurfaceMemory::unlock(bool for_write) noexcept {
  const int status = functions_->unlock(surface_, lock_options(for_write), nullptr);
  if (status != 0) unlock_status_ = status;
}

IoSurfaceRef IoSurfaceMemory::handle() const {
  if (unlock_status_ != 0) {
    throw DeviceError(fmt::format("IOSurfaceUnlock of {} bytes failed with {:#x}; the surface cannot be trusted",
                                  size_bytes_, static_cast<unsigned>(unlock_status_)));
  }
  return surface_;
}

std::unique_ptr<IoSurfaceMemory> create_io_surface(const Frameworks& frameworks, std::size_t size_bytes,
                                                   std::size_t allocated_bytes) {
  return objc::guarded("creating an IOSurface", [&] {
    const objc::AutoreleasePool pool(frameworks.runtime);
    const Foundation& foundation = frameworks.foundation;
    const IoSurfaceFunctions& io = frameworks.io_surface;
    const objc::Id bytes = foundation.number(allocated_bytes);
    const objc::Id one = foundation.number(1);
    const std::array<std::pair<objc::Id, objc::Id>, 6> properties{{{io.width, bytes},
                                                                   {io.height, one},
                                                                   {io.bytes_per_element, one},
                                                                   {io.bytes_per_row, bytes},
                                                                   {io.size_bytes, bytes},
                                                                   {io.pixel_format, foundation.number(0)}}};
    IoSurfaceRecord* const surface = io.create(foundation.dictionary(properties));
    if (surface == nullptr) {
      throw DeviceError(
          fmt::format("IOSurfaceCreate refused a surface of {} bytes; is there enough memory?", allocated_bytes));
    }
    auto memory = std::make_unique<IoSurfaceMemory>(io, surface, size_bytes);
    const std::size_t found = io.alloc_size(surface);
    if (found < allocated_bytes) {
      throw DeviceError(fmt::format("IOSurfaceCreate returned {} bytes instead of {}", found, allocated_bytes));
    }
    return memory;
  });
}

std::unique_ptr<surface::Memory> IoSurfaceAllocator::allocate(std::size_t size_bytes) {
  return create_io_surface(*frameworks_, size_bytes, std::max(size_bytes, kSmallestSurface));
}

}  // namespace ane::device::apple
