#include "ane/surface/surface.h"

#include <cassert>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "ane/core/error.h"
#include "ane/core/mapped_memory.h"
#include "ane/surface/pool.h"

namespace ane::surface {
namespace {

class HeapMemory final : public Memory {
 public:
  // Mapped instead of allocated: zero pages cost nothing until they are touched.
  explicit HeapMemory(std::size_t size_bytes) : mapping_(MappedMemory::anonymous(size_bytes)) {}

  [[nodiscard]] std::size_t size_bytes() const noexcept override { return mapping_.size(); }
  std::span<std::byte> lock(bool) override { return mapping_.bytes(); }
  void unlock(bool) noexcept override {}

 private:
  MappedMemory mapping_;
};

}  // namespace

std::unique_ptr<Memory> HeapAllocator::allocate(std::size_t size_bytes) {
  assert(size_bytes > 0);
  try {
    return std::make_unique<HeapMemory>(size_bytes);
  } catch (const std::system_error& error) {
    throw DeviceError(fmt::format("out of memory for a surface of {} bytes ({})", size_bytes, error.code().message()));
  }
}

Surface::Surface(std::unique_ptr<Memory> memory, SurfacePool& pool) noexcept
    : memory_(std::move(memory)), pool_(&pool) {}

Surface::~Surface() { give_back(); }

Surface::Surface(Surface&& other) noexcept : memory_(std::move(other.memory_)), pool_(other.pool_) {}

Surface& Surface::operator=(Surface&& other) noexcept {
  if (this != &other) {
    give_back();
    memory_ = std::move(other.memory_);
    pool_ = other.pool_;
  }
  return *this;
}

void Surface::give_back() noexcept {
  if (memory_ != nullptr) pool_->give_back(std::move(memory_));
}

}  // namespace ane::surface
