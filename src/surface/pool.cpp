#include "ane/surface/pool.h"

#include <algorithm>
#include <cassert>
#include <iterator>
#include <new>
#include <utility>

namespace ane::surface {

SurfacePool::SurfacePool(Allocator& allocator, std::size_t capacity) noexcept
    : allocator_(&allocator), capacity_(capacity) {}

SurfacePool::~SurfacePool() { assert(counters_.live == 0 && "a surface outlives its pool"); }

Surface SurfacePool::acquire(std::size_t size_bytes) {
  assert(size_bytes > 0);
  std::unique_lock lock(mutex_);
  std::unique_ptr<Memory> memory = take_free(size_bytes);
  const bool reused = memory != nullptr;
  if (!reused) memory = allocator_->allocate(size_bytes);
  assert(memory->size_bytes() == size_bytes);
  ++(reused ? counters_.reused : counters_.created);
  ++counters_.live;
  counters_.live_bytes += size_bytes;
  lock.unlock();
  Surface surface(std::move(memory), *this);
#ifdef ANE_POISON
  if (reused) std::ranges::fill(surface.map_for_write().bytes(), std::byte{0xFF});
#endif
  return surface;
}

PoolCounters SurfacePool::counters() const noexcept {
  const std::scoped_lock lock(mutex_);
  return counters_;
}

std::unique_ptr<Memory> SurfacePool::take_free(std::size_t size_bytes) noexcept {
  const auto bucket = by_size_.find(size_bytes);
  if (bucket == by_size_.end() || bucket->second.empty()) return nullptr;
  const FreeList::iterator newest = bucket->second.back();
  std::unique_ptr<Memory> memory = std::move(*newest);
  spare_.splice(spare_.end(), free_, newest);
  bucket->second.pop_back();
  --counters_.pooled;
  counters_.pooled_bytes -= size_bytes;
  return memory;
}

void SurfacePool::give_back(std::unique_ptr<Memory> memory) noexcept {
  const std::scoped_lock lock(mutex_);
  --counters_.live;
  counters_.live_bytes -= memory->size_bytes();
  memory->forget();
  if (capacity_ == 0) {
    ++counters_.released;
    return;
  }
  if (counters_.pooled == capacity_) release_oldest();
  try {
    keep(std::move(memory));
  } catch (const std::bad_alloc&) {
    ++counters_.released;  // out of memory for the bookkeeping, so free the surface
  }
}

void SurfacePool::keep(std::unique_ptr<Memory> memory) {
  const std::size_t size_bytes = memory->size_bytes();
  FreeList node;
  if (spare_.empty()) {
    node.push_back(std::move(memory));
  } else {
    node.splice(node.end(), spare_, spare_.begin());
    node.front() = std::move(memory);
  }
  by_size_[size_bytes].push_back(node.begin());
  free_.splice(free_.end(), node);
  ++counters_.pooled;
  counters_.pooled_bytes += size_bytes;
}

void SurfacePool::release_oldest() noexcept {
  const std::size_t size_bytes = free_.front()->size_bytes();
  auto& same_size = by_size_.find(size_bytes)->second;
  same_size.erase(same_size.begin());  // the oldest of all is also the oldest of its size
  free_.pop_front();
  --counters_.pooled;
  counters_.pooled_bytes -= size_bytes;
  ++counters_.released;
}

}  // namespace ane::surface
