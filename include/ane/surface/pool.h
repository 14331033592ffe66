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

/// What a pool has done and holds; the report prints it.
struct PoolCounters {
  std::uint64_t created = 0;   ///< surfaces made by the allocator
  std::uint64_t reused = 0;    ///< acquisitions served from the pool
  std::uint64_t released = 0;  ///< surfaces freed because the pool was full
  std::size_t live = 0;        ///< on loan now
  std::size_t live_bytes = 0;
  std::size_t pooled = 0;  ///< free and kept
  std::size_t pooled_bytes = 0;
};

/// Keeps released surfaces by exact size, so that a training step creates none, nor allocates any other memory here. A
/// reused surface holds old data: whoever acquires it writes all that will be read; builds with ANE_POISON fill it with
/// NaN (0xFF bytes) to prove it. When the pool is full, the surface that has been free for longest makes room, so that
/// sizes no longer asked for do not crowd out those in use. Several threads may use it. The pool must outlive its
/// surfaces.
class SurfacePool {
 public:
  static constexpr std::size_t kDefaultCapacity = 128;

  /// The allocator must outlive the pool. `capacity` bounds the free surfaces kept, over all sizes; 0 keeps none.
  explicit SurfacePool(Allocator& allocator, std::size_t capacity = kDefaultCapacity) noexcept;
  ~SurfacePool();
  SurfacePool(const SurfacePool&) = delete;
  SurfacePool& operator=(const SurfacePool&) = delete;

  /// A surface of exactly `size_bytes` (> 0), in O(1): the one that was given back last, as its bytes are likeliest to
  /// be in cache. Throws DeviceError if the allocator does.
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
  mutable std::mutex mutex_;                                                  ///< of all that follows
  FreeList free_;                                                             // in the order they were given back
  FreeList spare_;                                                            // nodes to use again
  std::unordered_map<std::size_t, std::vector<FreeList::iterator>> by_size_;  // each in the same order
  PoolCounters counters_;
};

}  // namespace ane::surface
