#pragma once

#include <array>
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

/// C = alpha A B + beta C, row-major: A [m, k], B [k, n].
struct GradientProduct {
  std::size_t m = 0, n = 0, k = 0;
  math::MatrixOperand a, b;
  std::span<float> c;  ///< [m, n]
  float alpha = 1;
  float beta = 1;
};

/// dW += dy x^T for y = W x:  W [out, in], dy [out, S], x [in, S].
[[nodiscard]] GradientProduct weight_gradient(const Parameter& weight, std::span<const float> dy,
                                              std::span<const float> x, std::span<float> gradients);

/// The gradients of the factors A [rank, in] and B [out, rank] of y = W x + scale * B (A x):
///   dB += scale * dy (A x)^T,  dA += scale * (B^T dy) x^T
struct AdapterGradient {
  const Parameter* a = nullptr;
  const Parameter* b = nullptr;
  float scale = 1;
  std::span<const float> dy, x;  ///< [out, S], [in, S]
  std::span<float> ax, btdy;     ///< [rank, S], in which the first two products are kept
};
/// A x and B^T dy, which overwrite their memory, then the two gradients.
[[nodiscard]] std::array<GradientProduct, 4> adapter_products(const AdapterGradient& adapter,
                                                              std::span<const float> parameters,
                                                              std::span<float> gradients);

/// C = alpha A B + beta C on all threads.
void compute(const GradientProduct& product, math::ThreadPool& threads);

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
