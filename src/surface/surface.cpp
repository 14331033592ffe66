#include "ane/surface/surface.h"

#include <cassert>
#include <cerrno>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <sys/mman.h>

#include "ane/core/error.h"
#include "ane/surface/pool.h"

namespace ane::surface {
namespace {

class HeapMemory final : public Memory {
 public:
  // Mapped rather than allocated: zero pages cost nothing until they are touched.
  explicit HeapMemory(std::size_t size_bytes) {
    void* address = ::mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (address == MAP_FAILED) {
      throw DeviceError(
          fmt::format("no memory for a surface of {} bytes ({})", size_bytes, std::generic_category().message(errno)));
    }
    bytes_ = {static_cast<std::byte*>(address), size_bytes};
  }
  ~HeapMemory() override { ::munmap(bytes_.data(), bytes_.size()); }
  HeapMemory(const HeapMemory&) = delete;
  HeapMemory& operator=(const HeapMemory&) = delete;

  [[nodiscard]] std::size_t size_bytes() const noexcept override { return bytes_.size(); }
  std::span<std::byte> lock(bool) override { return bytes_; }
  void unlock(bool) noexcept override {}

 private:
  std::span<std::byte> bytes_;
};

}  // namespace

std::unique_ptr<Memory> HeapAllocator::allocate(std::size_t size_bytes) {
  assert(size_bytes > 0);
  return std::make_unique<HeapMemory>(size_bytes);
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
