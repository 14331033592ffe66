#include "kernels/weight_gradient.h"

#include <cassert>
#include <exception>
#include <string_view>

#include "kernels/phase_timer.h"

namespace ane::model {

namespace {

constexpr std::string_view kProduct = "weight gradient";

}  // namespace

GradientProduct weight_gradient(const Parameter& weight, std::span<const float> dy, std::span<const float> x,
                                std::span<float> gradients) {
  const auto out = static_cast<std::size_t>(weight.shape.at(0));
  const auto in = static_cast<std::size_t>(weight.shape.at(1));
  const std::size_t seq_len = x.size() / in;
  assert(dy.size() == out * seq_len && x.size() == in * seq_len);
  return {.m = out,
          .n = in,
          .k = seq_len,
          .a = {dy.data(), seq_len},
          .b = {x.data(), seq_len, math::Transpose::yes},
          .c = slice(gradients, weight)};
}

std::array<GradientProduct, 4> adapter_products(const AdapterGradient& adapter, std::span<const float> parameters,
                                                std::span<float> gradients) {
  const auto rank = static_cast<std::size_t>(adapter.a->shape.at(0));
  const auto in = static_cast<std::size_t>(adapter.a->shape.at(1));
  const auto out = static_cast<std::size_t>(adapter.b->shape.at(0));
  const std::size_t seq_len = adapter.x.size() / in;
  assert(adapter.dy.size() == out * seq_len && adapter.x.size() == in * seq_len);
  const math::MatrixOperand dy{adapter.dy.data(), seq_len};
  const math::MatrixOperand x{adapter.x.data(), seq_len};
  const auto transposed = [](math::MatrixOperand operand) {
    operand.transpose = math::Transpose::yes;
    return operand;
  };
  const math::MatrixOperand ax{adapter.ax.data(), seq_len};
  const math::MatrixOperand btdy{adapter.btdy.data(), seq_len};
  const math::MatrixOperand a{slice(parameters, *adapter.a).data(), in};
  const math::MatrixOperand b{slice(parameters, *adapter.b).data(), rank};
  return {{{.m = rank, .n = seq_len, .k = in, .a = a, .b = x, .c = adapter.ax, .beta = 0},
           {.m = rank, .n = seq_len, .k = out, .a = transposed(b), .b = dy, .c = adapter.btdy, .beta = 0},
           {.m = out,
            .n = rank,
            .k = seq_len,
            .a = dy,
            .b = transposed(ax),
            .c = slice(gradients, *adapter.b),
            .alpha = adapter.scale},
           {.m = rank,
            .n = in,
            .k = seq_len,
            .a = btdy,
            .b = transposed(x),
            .c = slice(gradients, *adapter.a),
            .alpha = adapter.scale}}};
}

void compute(const GradientProduct& product, math::ThreadPool& threads) {
  assert(product.c.size() == product.m * product.n);
  math::gemm(product.m, product.n, product.k, product.alpha, product.a, product.b, product.beta, product.c.data(),
             product.n, threads);
}

GradientProducts::GradientProducts(const ModelContext& context)
    : threads_(&context.threads),
      spans_(context.spans),
      beside_(context.device.shares_cpu() ? nullptr : std::make_unique<Beside>(context.threads.size())) {}

GradientProducts::Ticket GradientProducts::add(const GradientProduct& product, Duration& at_once) {
  if (run_beside()) {
    return beside_->queue.push([product, pool = &beside_->pool, spans = spans_] {
      const PhaseTimer timer(spans, kProduct);
      compute(product, *pool);
    });
  }
  const PhaseTimer timer(at_once, spans_, kProduct);
  compute(product, *threads_);
  return 0;
}

void GradientProducts::wait(Ticket ticket, Duration& waited) {
  if (!run_beside()) return;
  const PhaseTimer timer(waited, spans_, "wait for weight gradients");
  beside_->queue.wait(ticket);
}

void GradientProducts::wait_all(Duration& waited) {
  if (!run_beside()) return;
  const PhaseTimer timer(waited, spans_, "wait for weight gradients");
  beside_->queue.wait_all();
}

void GradientProducts::abandon() noexcept {
  try {
    Duration waited{};
    wait_all(waited);
  } catch (const std::exception&) {  // the step's own error is reported
  }
}

GradientProducts::Ticket GradientProducts::finished() const noexcept {
  return run_beside() ? beside_->queue.finished() : 0;
}

}  // namespace ane::model
