#include "run/workspace.h"

#include <algorithm>
#include <utility>

namespace ane::device::host {

void RunMemory::fit(const Plan& plan) {
  const auto grow = [](AlignedBytes& bytes, std::size_t size) {
    if (bytes.size() >= size) return;
    bytes = AlignedBytes();  // free the old memory first
    bytes = AlignedBytes(size);
  };
  grow(arena, plan.arena_bytes);
  grow(staging, plan.staging_bytes);
  addresses.assign(plan.buffers.size(), nullptr);
  kept.assign(plan.buffers.size(), false);
}

Workspace::Loan Workspace::borrow() {
  const std::scoped_lock lock(mutex_);
  if (free_.empty()) {
    free_.reserve(all_.size() + 1);
    all_.push_back(std::make_unique<RunMemory>());
    free_.push_back(all_.back().get());
  }
  const std::thread::id user = std::this_thread::get_id();
  const auto own = std::ranges::find(free_, user, &RunMemory::last_user);
  if (own != free_.end()) std::swap(*own, free_.back());
  RunMemory& memory = *free_.back();
  free_.pop_back();
  memory.last_user = user;
  return {*this, memory};
}

Workspace::Loan::~Loan() {
  const std::scoped_lock lock(from_->mutex_);
  from_->free_.push_back(memory_);
}

}  // namespace ane::device::host
