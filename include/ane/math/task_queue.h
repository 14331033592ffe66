#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <type_traits>

namespace ane::math {

/// Runs tasks sequentially in FIFO order on a separate thread. Tasks are copied into a ring buffer, so queueing does
/// not allocate. For one caller at a time.
class TaskQueue {
 public:
  /// Maximum number of tasks that are queued or running; push() blocks if it is reached.
  static constexpr std::size_t kCapacity = 64;
  /// 1-based index of a task; 0 is no task.
  using Ticket = std::uint64_t;

  /// Throws Error if no thread can be started.
  TaskQueue();
  /// Waits for all tasks; drops their exceptions.
  ~TaskQueue();
  TaskQueue(const TaskQueue&) = delete;
  TaskQueue& operator=(const TaskQueue&) = delete;

  /// Queues a call of task(). Everything it refers to must stay alive and unchanged until it has run.
  template <class Body>
  requires std::is_trivially_copyable_v<Body> Ticket push(const Body& task) {
    static_assert(sizeof(Body) <= kTaskBytes);
    static_assert(alignof(Body) <= alignof(std::max_align_t));
    Task copy;
    ::new (copy.body.data()) Body(task);
    copy.call = [](const std::byte* body) { (*std::launder(reinterpret_cast<const Body*>(body)))(); };
    return push_copy(copy);
  }

  /// Waits until the task of `ticket` and all before it have run. Rethrows the first exception that no wait has
  /// rethrown yet; later tasks run nevertheless.
  void wait(Ticket ticket);
  void wait_all();

  /// Number of tasks that have run.
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
