#include "kernels/step_io.h"

#include <array>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "ane/math/half.h"

#include "kernels/phase_timer.h"

namespace ane::model {

namespace {

PackedView<const std::byte> view(const PackedSurface& packed, const surface::Mapping<const std::byte>& mapping) {
  return {*packed.layout, mapping.bytes()};
}

PackedView<std::byte> view(const PackedSurface& packed, const surface::Mapping<std::byte>& mapping) {
  return {*packed.layout, mapping.bytes()};
}

}  // namespace

PackedSurface StepIo::input_of(std::size_t row, std::size_t layer) {
  const PackedLayout& layout = bank_->plan().kernels()[row].definition.input;
  if (surface::Surface* const weighted = bank_->weighted_input(row, layer, slot_))
    return {row, layer, &layout, {}, weighted};
  return {row, layer, &layout, context_->surfaces.acquire(layout.surface().size_bytes)};
}

PackedSurface StepIo::run(PackedSurface& input) {
  const PackedLayout& layout = planned(input).definition.output;
  PackedSurface output{input.row, input.layer, &layout, context_->surfaces.acquire(layout.surface().size_bytes)};
  {
    const PhaseTimer timer(times_->ane, context_->spans, planned(input).definition.name);
    const std::array inputs = {&input.surface()};
    const std::array outputs = {&output.surface()};
    bank_->kernel(input.row, input.layer).run(inputs, outputs);
  }
  return output;
}

void StepIo::write(PackedSurface& to, std::string_view segment, std::span<const float> values) {
  const PhaseTimer timer(times_->io, context_->spans, "write surface");
  const auto mapping = to.surface().map_for_write();
  check(to, to.layout->at(segment), write_segment(view(to, mapping), segment, values, context_->threads));
}

void StepIo::read(PackedSurface& from, std::string_view segment, std::span<const float> base, std::span<float> values) {
  const PhaseTimer timer(times_->io, context_->spans, "read surface");
  const auto mapping = from.surface().map_for_read();
  const PackedView<const std::byte> source = view(from, mapping);
  check(from, from.layout->at(segment),
        base.empty() ? read_segment(source, segment, values, context_->threads)
                     : read_segment_added(source, segment, base, values, context_->threads));
}

void StepIo::copy(PackedSurface& from, std::string_view segment, PackedSurface& to) {
  const PhaseTimer timer(times_->io, context_->spans, "copy surface");
  const auto source = from.surface().map_for_read();
  const auto target = to.surface().map_for_write();
  check(from, from.layout->at(segment), copy_segment(view(from, source), segment, view(to, target), context_->threads));
}

void StepIo::check_rest(PackedSurface& output) {
  const PhaseTimer timer(times_->io, context_->spans, "check surface");
  const auto mapping = output.surface().map_for_read();
  const auto segments = output.layout->segments();
  for (std::size_t i = 0; i < segments.size(); ++i)
    if ((output.checked >> i & 1U) == 0)
      check(output, segments[i], max_magnitude(view(output, mapping), segments[i].name, context_->threads));
}

float StepIo::magnitude_limit(mil::DType element, Phase phase) const {
  if (element != mil::DType::fp16) return std::numeric_limits<float>::max();
  return is_forward(phase) ? limits_.activation : limits_.gradient;
}

void StepIo::check(PackedSurface& owner, const Segment& segment, float magnitude) {
  owner.checked |= std::uint64_t{1} << static_cast<std::size_t>(&segment - owner.layout->segments().data());
  const auto& [phase, kernel] = planned(owner);
  const float limit = magnitude_limit(owner.layout->element(), phase);
  if (overflow_ || magnitude < limit) return;
  const std::string excess = std::isfinite(magnitude) ? fmt::format("reaches {:.4g}, the limit is {}", magnitude, limit)
                                                      : std::string("is not finite");
  overflow_ = fmt::format("{} of {} in layer {} {}", segment.name, kernel.name, owner.layer, excess);
}

void StepIo::check_loss(double loss) {
  if (!overflow_ && !std::isfinite(loss)) overflow_ = "the loss is not finite";
}

}  // namespace ane::model
