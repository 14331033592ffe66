#include "ane/math/task_queue.h"

#include <atomic>
#include <future>
#include <stdexcept>
#include <thread>
#include <vector>

#include "support/catch.h"

namespace {

using ane::math::TaskQueue;

TEST_CASE("tasks run in FIFO order, concurrently with the caller", "[math][tasks]") {
  std::vector<int> order;
  std::thread::id runner;
  std::promise<void> gate;
  std::shared_future<void> opened = gate.get_future().share();
  TaskQueue queue;
  queue.push([&opened, &runner] {
    opened.wait();
    runner = std::this_thread::get_id();
  });
  constexpr int kTasks = 50;
  for (int i = 0; i < kTasks; ++i) queue.push([&order, i] { order.push_back(i); });
  gate.set_value();  // not reached if the first task runs inline
  queue.wait_all();
  CHECK(runner != std::this_thread::get_id());
  REQUIRE(order.size() == kTasks);
  for (int i = 0; i < kTasks; ++i) CHECK(order[static_cast<std::size_t>(i)] == i);
}

TEST_CASE("a ticket waits only for its task and those before it", "[math][tasks]") {
  std::promise<void> gate;
  std::shared_future<void> opened = gate.get_future().share();
  std::atomic<int> done{0};
  TaskQueue queue;
  queue.push([&done] { ++done; });
  const TaskQueue::Ticket second = queue.push([&done] { ++done; });
  queue.push([&opened, &done] {
    opened.wait();
    ++done;
  });
  queue.wait(second);
  CHECK(done == 2);
  queue.wait(0);
  gate.set_value();
  queue.wait_all();
  CHECK(done == 3);
}

TEST_CASE("tasks beyond the ring's capacity wait", "[math][tasks]") {
  std::atomic<int> done{0};
  TaskQueue queue;
  constexpr int kTasks = 10 * static_cast<int>(TaskQueue::kCapacity);
  for (int i = 0; i < kTasks; ++i) queue.push([&done] { ++done; });
  queue.wait_all();
  CHECK(done == kTasks);
}

TEST_CASE("a task's exception is rethrown by the next wait, once", "[math][tasks]") {
  std::atomic<int> done{0};
  TaskQueue queue;
  queue.push([] { throw std::runtime_error("first"); });
  queue.push([] { throw std::runtime_error("second"); });
  queue.push([&done] { ++done; });
  CHECK_THROWS_WITH(queue.wait_all(), "first");
  CHECK(done == 1);
  CHECK_NOTHROW(queue.wait_all());
}

TEST_CASE("a destroyed queue first runs its tasks", "[math][tasks]") {
  std::atomic<int> done{0};
  {
    TaskQueue queue;
    for (int i = 0; i < 20; ++i) queue.push([&done] { ++done; });
    queue.push([] { throw std::runtime_error("dropped"); });
  }
  CHECK(done == 20);
}

}  // namespace
