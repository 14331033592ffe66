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

/// Computes such products: on separate threads, overlapping with the device, if that leaves the CPU free; otherwise
/// immediately. In FIFO order, so that sums have the same bits either way.
class GradientProducts {
 public:
  using Ticket = math::TaskQueue::Ticket;

  /// Overlapping products are split in the same way as with `engine.threads`.
  explicit GradientProducts(const ModelContext& context);

  /// Whether add() may return before the product is done.
  [[nodiscard]] bool run_beside() const noexcept { return beside_ != nullptr; }

  /// The operands must stay unchanged until a wait for the ticket. If the product is computed immediately, its time is
  /// added to `at_once`.
  Ticket add(const GradientProduct& product, Duration& at_once);

  /// Waits until that product and all before it are done; adds the time to `waited`. Rethrows exceptions of products.
  void wait(Ticket ticket, Duration& waited);
  void wait_all(Duration& waited);
  /// For a failed step: waits until none of its memory is in use.
  void abandon() noexcept;

  /// Number of finished products that overlapped with the device.
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
