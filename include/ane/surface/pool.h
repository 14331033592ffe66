#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "ane/surface/surface.h"

namespace ane::surface {

/// Counters of a pool for the report.
struct PoolCounters {
  std::uint64_t created = 0;   ///< surfaces created by the allocator
  std::uint64_t reused = 0;    ///< acquisitions served from the pool
  std::uint64_t released = 0;  ///< surfaces freed because the pool was full
  std::size_t live = 0;        ///< in use now
  std::size_t live_bytes = 0;
  std::size_t pooled = 0;  ///< free and kept
  std::size_t pooled_bytes = 0;
};

/// Keeps released surfaces by exact size, so that a training step neither creates surfaces nor allocates other memory
/// here. A reused surface holds old data: the caller of acquire() must write everything that will be read; builds with
/// ANE_POISON fill it with NaN (0xFF bytes) to verify this. When the pool is full, the surface that has been free for
/// longest is freed, so that unused sizes do not displace those in use. Thread-safe. The pool must outlive its
/// surfaces.
class SurfacePool {
 public:
  static constexpr std::size_t kDefaultCapacity = 128;

  /// The allocator must outlive the pool. `capacity` limits the free surfaces of all sizes; 0 keeps none.
  explicit SurfacePool(Allocator& allocator, std::size_t capacity = kDefaultCapacity) noexcept;
  ~SurfacePool();
  SurfacePool(const SurfacePool&) = delete;
  SurfacePool& operator=(const SurfacePool&) = delete;

  /// Returns a surface of exactly `size_bytes` (> 0) in O(1): the most recently released one, whose bytes are most
  /// likely in cache. Throws DeviceError if the allocator does.
  [[nodiscard]] Surface acquire(std::size_t size_bytes);

  [[nodiscard]] PoolCounters counters() const noexcept;
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }

 private:
  friend class Surface;
  using FreeList = std::list<std::unique_ptr<Memory>>;

  [[nodiscard]] std::unique_ptr<Memory> take_free(std::size_t size_bytes) noexcept;
  void give_back(std::unique_ptr<Memory> memory) noexcept;
  void keep(std::unique_ptr<Memory> memory);
  void release_oldest() noexcept;

  Allocator* allocator_;
  std::size_t capacity_;
  mutable std::mutex mutex_;                                                  ///< protects all members below
  FreeList free_;                                                             // in order of release
  FreeList spare_;                                                            // nodes for reuse
  std::unordered_map<std::size_t, std::vector<FreeList::iterator>> by_size_;  // each in order of release
  PoolCounters counters_;
};

}  // namespace ane::surface
