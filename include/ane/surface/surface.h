#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <type_traits>

namespace ane::surface {

/// A promise of a surface's owner that allows a device to cache data derived from the contents: in every row of
/// `row_bytes`, the bytes from `begin` on do not change while `revision` stays the same. The whole surface may be one
/// row. Devices may ignore the promise.
struct Resident {
  std::size_t row_bytes = 0;
  std::size_t begin = 0;
  std::uint64_t revision = 0;
  friend bool operator==(const Resident&, const Resident&) = default;
};

/// Data that a device keeps with a surface until the surface returns to its pool.
class Attachment {
 public:
  Attachment() = default;
  virtual ~Attachment() = default;
  Attachment(const Attachment&) = delete;
  Attachment& operator=(const Attachment&) = delete;
};

/// Memory that a device can read and write. Implemented by the heap here and by IOSurface in the Apple bridge.
class Memory {
 public:
  Memory() = default;
  virtual ~Memory() = default;
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  /// The requested size; the underlying memory may be larger.
  [[nodiscard]] virtual std::size_t size_bytes() const noexcept = 0;
  /// Makes the bytes visible to the CPU until the matching unlock, and returns them. Throws DeviceError if the lock is
  /// refused.
  virtual std::span<std::byte> lock(bool for_write) = 0;
  virtual void unlock(bool for_write) noexcept = 0;

  void set_resident(const Resident& resident) noexcept { resident_ = resident; }
  /// Null if there is no promise.
  [[nodiscard]] const Resident* resident() const noexcept { return resident_ ? &*resident_ : nullptr; }
  [[nodiscard]] std::unique_ptr<Attachment>& attachment() noexcept { return attachment_; }
  /// Clears promise and attachment when the surface returns to its pool.
  void forget() noexcept {
    resident_.reset();
    attachment_.reset();
  }

 private:
  std::optional<Resident> resident_;
  std::unique_ptr<Attachment> attachment_;
};

/// Allocates the memory of surfaces.
class Allocator {
 public:
  Allocator() = default;
  virtual ~Allocator() = default;
  Allocator(const Allocator&) = delete;
  Allocator& operator=(const Allocator&) = delete;

  /// Zero-filled memory of `size_bytes` (> 0), aligned to at least 64 bytes. Throws DeviceError naming the size if
  /// allocation fails.
  [[nodiscard]] virtual std::unique_ptr<Memory> allocate(std::size_t size_bytes) = 0;
};

/// Page-aligned memory from the system, for the host device and tests. Locking costs nothing and never fails.
class HeapAllocator final : public Allocator {
 public:
  [[nodiscard]] std::unique_ptr<Memory> allocate(std::size_t size_bytes) override;
};

/// The bytes of a surface while it is locked; unlocks on destruction. Move-only.
template <class Byte>
class Mapping {
 public:
  Mapping(Memory& memory, bool for_write) : memory_(&memory), for_write_(for_write), bytes_(memory.lock(for_write)) {}
  ~Mapping() {
    if (memory_ != nullptr) memory_->unlock(for_write_);
  }
  Mapping(Mapping&& other) noexcept : memory_(other.memory_), for_write_(other.for_write_), bytes_(other.bytes_) {
    other.memory_ = nullptr;
  }
  Mapping& operator=(Mapping&&) = delete;
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  [[nodiscard]] std::span<Byte> bytes() const noexcept { return bytes_; }
  /// The bytes as elements of T, rounded down. Surfaces are aligned to at least 64 bytes.
  template <class T>
  [[nodiscard]] auto as() const noexcept {
    using Element = std::conditional_t<std::is_const_v<Byte>, const T, T>;
    return std::span<Element>(reinterpret_cast<Element*>(bytes_.data()), bytes_.size() / sizeof(T));
  }

 private:
  Memory* memory_;
  bool for_write_;
  std::span<Byte> bytes_;
};

class SurfacePool;

/// Handle to memory of a SurfacePool; releases it to the pool on destruction. Move-only. The pool must outlive it.
class Surface {
 public:
  Surface() = default;
  ~Surface();
  Surface(Surface&& other) noexcept;
  Surface& operator=(Surface&& other) noexcept;
  Surface(const Surface&) = delete;
  Surface& operator=(const Surface&) = delete;

  [[nodiscard]] explicit operator bool() const noexcept { return memory_ != nullptr; }
  [[nodiscard]] std::size_t size_bytes() const noexcept { return memory_ == nullptr ? 0 : memory_->size_bytes(); }
  /// The memory stays locked while the mapping lives. Throws DeviceError if the lock is refused.
  [[nodiscard]] Mapping<const std::byte> map_for_read() const { return {*memory_, false}; }
  [[nodiscard]] Mapping<std::byte> map_for_write() { return {*memory_, true}; }
  void set_resident(const Resident& resident) noexcept { memory_->set_resident(resident); }
  /// The underlying memory, for the device.
  [[nodiscard]] Memory& memory() const noexcept { return *memory_; }

 private:
  friend class SurfacePool;
  Surface(std::unique_ptr<Memory> memory, SurfacePool& pool) noexcept;
  void give_back() noexcept;

  std::unique_ptr<Memory> memory_;
  SurfacePool* pool_ = nullptr;
};

}  // namespace ane::surface
