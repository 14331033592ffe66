#include "ane/math/task_queue.h"

#include <condition_variable>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "ane/core/error.h"

namespace ane::math {

struct TaskQueue::Worker {
  std::mutex mutex;
  std::condition_variable pushed_one;
  std::condition_variable finished_one;
  std::array<Task, kCapacity> ring{};
  Ticket pushed = 0;
  Ticket finished = 0;
  std::exception_ptr error;
  bool stopping = false;
  std::thread thread;

  void work() {
    std::unique_lock lock(mutex);
    while (true) {
      pushed_one.wait(lock, [this] { return stopping || finished < pushed; });
      if (finished == pushed) return;
      const Task& task = ring[finished % kCapacity];
      lock.unlock();
      std::exception_ptr caught;
      try {
        task.call(task.body.data());
      } catch (...) {
        caught = std::current_exception();
      }
      lock.lock();
      if (!error) error = std::move(caught);
      ++finished;
      finished_one.notify_one();
    }
  }
};

TaskQueue::TaskQueue() : worker_(std::make_unique<Worker>()) {
  try {
    worker_->thread = std::thread([worker = worker_.get()] { worker->work(); });
  } catch (const std::system_error& error) {
    throw DeviceError(
        fmt::format("no thread could be started for work that overlaps with the device ({})", error.code().message()));
  }
}

TaskQueue::~TaskQueue() {
  {
    const std::lock_guard lock(worker_->mutex);
    worker_->stopping = true;
    worker_->pushed_one.notify_one();
  }
  worker_->thread.join();
}

TaskQueue::Ticket TaskQueue::push_copy(const Task& task) {
  std::unique_lock lock(worker_->mutex);
  worker_->finished_one.wait(lock, [this] { return worker_->pushed - worker_->finished < kCapacity; });
  worker_->ring[worker_->pushed % kCapacity] = task;
  worker_->pushed_one.notify_one();
  return ++worker_->pushed;
}

void TaskQueue::wait(Ticket ticket) {
  std::unique_lock lock(worker_->mutex);
  worker_->finished_one.wait(lock, [&] { return worker_->finished >= ticket; });
  if (worker_->error) std::rethrow_exception(std::exchange(worker_->error, nullptr));
}

TaskQueue::Ticket TaskQueue::finished() const noexcept {
  const std::lock_guard lock(worker_->mutex);
  return worker_->finished;
}

void TaskQueue::wait_all() { wait(worker_->pushed); }

}  // namespace ane::math
