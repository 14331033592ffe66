#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <type_traits>

namespace ane::math {

/// Runs tasks one after another, in the order they came, on a thread of its own. Tasks are copied into a ring, so that
/// queueing allocates nothing. For one caller at a time.
class TaskQueue {
 public:
  /// Tasks that wait or run at most; further ones wait to be queued.
  static constexpr std::size_t kCapacity = 64;
  /// Counts tasks from 1; 0 is no task.
  using Ticket = std::uint64_t;

  /// Throws Error if no thread can be started.
  TaskQueue();
  /// Returns when all tasks have run; what they threw is dropped.
  ~TaskQueue();
  TaskQueue(const TaskQueue&) = delete;
  TaskQueue& operator=(const TaskQueue&) = delete;

  /// Queues a call of task(). What it refers to must live and stay as it is until it has run.
  template <class Body>
  requires std::is_trivially_copyable_v<Body> Ticket push(const Body& task) {
    static_assert(sizeof(Body) <= kTaskBytes);
    static_assert(alignof(Body) <= alignof(std::max_align_t));
    Task copy;
    ::new (copy.body.data()) Body(task);
    copy.call = [](const std::byte* body) { (*std::launder(reinterpret_cast<const Body*>(body)))(); };
    return push_copy(copy);
  }

  /// Returns when the task of `ticket` and all before it have run. Rethrows the first exception that no wait has
  /// rethrown yet; tasks after it have run nevertheless.
  void wait(Ticket ticket);
  void wait_all();

  /// Tasks that have run.
  [[nodiscard]] Ticket finished() const noexcept;

 private:
  static constexpr std::size_t kTaskBytes = 128;
  struct Task {
    void (*call)(const std::byte*) = nullptr;
    alignas(std::max_align_t) std::array<std::byte, kTaskBytes> body{};
  };
  struct Worker;
  Ticket push_copy(const Task& task);

  std::unique_ptr<Worker> worker_;
};

}  // namespace ane::math
