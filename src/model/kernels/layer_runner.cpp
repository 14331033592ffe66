#include "kernels/layer_runner.h"

#include <algorithm>
#include <cassert>

namespace ane::model {

LayerRunner::LayerRunner(KernelBank& bank, const ModelContext& context, std::size_t slot)
    : bank_(bank), plan_(bank.plan()), context_(context), slot_(slot), outputs_(bank.layers()) {
  for (Outputs& outputs : outputs_) outputs.resize(plan_.kernels().size());
}

void LayerRunner::begin(PassMode mode, StepTimes& times) {
  release();
  mode_ = mode;
  io_.emplace(bank_, context_, slot_, times);
}

void LayerRunner::release() noexcept {
  for (Outputs& outputs : outputs_)
    for (std::optional<PackedSurface>& output : outputs) output.reset();
}

void LayerRunner::run(Phase phase, std::size_t layer, std::span<const Given> given, std::span<const Wanted> wanted) {
  const auto kernels = plan_.kernels();
  Outputs& outputs = outputs_.at(layer);
  for (std::size_t row = 0; row < kernels.size(); ++row)
    if (kernels[row].phase == phase) run_kernel(row, layer, given);

  for (const Wanted& tensor : wanted) {
    const std::optional<std::size_t> row = plan_.maker(phase, tensor.tensor);
    assert(row && outputs[*row]);
    io_->read(*outputs[*row], tensor.tensor, tensor.base, tensor.values);
  }
  for (std::size_t row = 0; row < kernels.size(); ++row)
    if (outputs[row] && (mode_ == PassMode::forward || plan_.last_use(row) <= phase)) drop(outputs[row]);
}

/// Checks the remaining segments before dropping an output, because other kernels may have used them.
void LayerRunner::drop(std::optional<PackedSurface>& output) {
  io_->check_rest(*output);
  output.reset();
}

void LayerRunner::run_kernel(std::size_t row, std::size_t layer, std::span<const Given> given) {
  const auto& [phase, definition] = plan_.kernels()[row];
  Outputs& outputs = outputs_[layer];
  PackedSurface input = io_->input_of(row, layer);
  for (const Segment& segment : definition.input.segments()) {
    if (definition.is_weight(segment.name)) continue;
    const auto from_cpu = std::ranges::find(given, segment.name, &Given::tensor);
    if (from_cpu != given.end()) {
      io_->write(input, segment.name, from_cpu->values);
    } else {
      io_->copy(*outputs[*plan_.maker(phase, segment.name)], segment.name, input);
    }
  }
  outputs[row] = io_->run(input);
}

}  // namespace ane::model
