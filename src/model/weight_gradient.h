#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "ane/device/device.h"
#include "ane/math/gemm.h"
#include "ane/math/task_queue.h"
#include "ane/math/threads.h"
#include "ane/model/model.h"
#include "ane/model/parameters.h"

namespace ane::model {

/// C += A B, row-major: A [m, k], B [k, n].
struct GradientProduct {
  std::size_t m = 0, n = 0, k = 0;
  math::MatrixOperand a, b;
  std::span<float> c;  ///< [m, n]
};

/// dW += dy x^T for y = W x:  W [out, in], dy [out, S], x [in, S].
[[nodiscard]] GradientProduct weight_gradient(const Parameter& weight, std::span<const float> dy,
                                              std::span<const float> x, std::span<float> gradients);

void accumulate(const GradientProduct& product, math::ThreadPool& threads);

/// Does such products: beside the device, if that leaves the CPU free, on threads of their own; otherwise at once. One
/// after another in the order they came, so that sums are the same bits either way.
class GradientProducts {
 public:
  using Ticket = math::TaskQueue::Ticket;

  /// `engine.threads` are split the same way beside the device.
  explicit GradientProducts(const Engine& engine);

  /// Whether add() may come back before the product is done.
  [[nodiscard]] bool run_beside() const noexcept { return beside_ != nullptr; }

  /// What it refers to stays as it is until a wait for the ticket. `at_once` takes the time of one that is done at
  /// once.
  Ticket add(const GradientProduct& product, Duration& at_once);

  /// Returns when that product and all before it are done; `waited` takes the time. Rethrows what a product threw.
  void wait(Ticket ticket, Duration& waited);
  void wait_all(Duration& waited);
  /// For a step that failed: returns when nothing of it is in use any more.
  void abandon() noexcept;

  /// Products done so far beside the device.
  [[nodiscard]] Ticket finished() const noexcept;

 private:
  struct Beside {
    explicit Beside(int threads) : pool(threads, math::Idle::asleep) {}
    math::ThreadPool pool;
    math::TaskQueue queue;
  };
  math::ThreadPool* threads_;
  SpanListener* spans_;
  std::unique_ptr<Beside> beside_;
};

}  // namespace ane::model
