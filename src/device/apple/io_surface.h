#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "ane/surface/surface.h"

#include "frameworks.h"

namespace ane::device::apple {

/// An IOSurface as a flat buffer. Locks do not nest.
class IoSurfaceMemory final : public surface::Memory {
 public:
  IoSurfaceMemory(const IoSurfaceFunctions& functions, IoSurfaceRef surface, std::size_t size_bytes) noexcept
      : functions_(&functions), surface_(surface), size_bytes_(size_bytes) {}
  ~IoSurfaceMemory() override;
  IoSurfaceMemory(const IoSurfaceMemory&) = delete;
  IoSurfaceMemory& operator=(const IoSurfaceMemory&) = delete;

  [[nodiscard]] std::size_t size_bytes() const noexcept override { return size_bytes_; }
  std::span<std::byte> lock(bool for_write) override;
  /// A failure is stored and thrown by the next use.
  void unlock(bool for_write) noexcept override;

  /// Throws DeviceError if an unlock failed, since the bytes may then not have reached the device.
  [[nodiscard]] IoSurfaceRef handle() const;

 private:
  const IoSurfaceFunctions* functions_;
  IoSurfaceRef surface_;
  std::size_t size_bytes_;
  int unlock_status_ = 0;
};

/// A new surface that shows `size_bytes` of `allocated_bytes`, which may be more. Throws DeviceError.
[[nodiscard]] std::unique_ptr<IoSurfaceMemory> create_io_surface(const Frameworks& frameworks, std::size_t size_bytes,
                                                                 std::size_t allocated_bytes);

class IoSurfaceAllocator final : public surface::Allocator {
 public:
  /// `frameworks` must outlive all allocations.
  explicit IoSurfaceAllocator(const Frameworks& frameworks) : frameworks_(&frameworks) {}
  [[nodiscard]] std::unique_ptr<surface::Memory> allocate(std::size_t size_bytes) override;

 private:
  const Frameworks* frameworks_;
};

}  // namespace ane::device::apple
