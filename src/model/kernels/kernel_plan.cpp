#include "ane/model/kernel_plan.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "ane/core/error.h"

namespace ane::model {

namespace {

constexpr std::array kPhases = {Phase::attention_forward, Phase::ffn_forward, Phase::ffn_backward,
                                Phase::attention_backward};

bool has_segment(const PackedLayout& layout, std::string_view tensor) {
  const auto segments = layout.segments();
  return std::any_of(segments.begin(), segments.end(), [&](const Segment& segment) { return segment.name == tensor; });
}

bool contains(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// Whether outputs of phase `maker` are visible to `phase`.
bool is_seen(Phase maker, Phase phase) { return maker == phase || (is_forward(maker) && maker < phase); }

}  // namespace

std::string_view name(Phase phase) noexcept {
  constexpr std::array<std::string_view, kPhases.size()> kNames = {"attention forward", "feed-forward forward",
                                                                   "feed-forward backward", "attention backward"};
  return kNames.at(static_cast<std::size_t>(phase));
}

KernelPlan::KernelPlan(std::string name, std::vector<PlannedKernel> kernels, std::vector<PhaseContract> contract)
    : name_(std::move(name)), kernels_(std::move(kernels)), contract_(std::move(contract)) {
  for (std::size_t row = 0; row < kernels_.size(); ++row) check_row(row);
  for (const PhaseContract& phase : contract_) check_wanted(phase);
  for (std::size_t row = 0; row < kernels_.size(); ++row) {
    Phase last = kernels_[row].phase;
    for (const Segment& segment : kernels_[row].definition.output.segments())
      for (const Phase phase : kPhases)
        if (maker(phase, segment.name) == row && is_used_in(phase, segment.name)) last = std::max(last, phase);
    last_uses_.push_back(last);
  }
}

std::optional<std::size_t> KernelPlan::maker(Phase phase, std::string_view tensor) const {
  for (std::size_t row = kernels_.size(); row-- > 0;)
    if (is_seen(kernels_[row].phase, phase) && has_segment(kernels_[row].definition.output, tensor)) return row;
  return std::nullopt;
}

std::vector<std::string> KernelPlan::taps(std::size_t row) const {
  std::vector<std::string> names;
  for (const Segment& segment : kernels_.at(row).definition.output.segments()) {
    const auto later = [&](Phase phase) {
      return phase > kernels_[row].phase && maker(phase, segment.name) == row && is_used_in(phase, segment.name);
    };
    if (std::any_of(kPhases.begin(), kPhases.end(), later)) names.push_back(segment.name);
  }
  return names;
}

void KernelPlan::check_row(std::size_t row) const {
  const Phase phase = kernels_[row].phase;
  const KernelDefinition& kernel = kernels_[row].definition;
  const auto complain = [&](const std::string& what) {
    throw Error(fmt::format("plan '{}', kernel '{}' ({}): {}", name_, kernel.name, model::name(phase), what));
  };
  if (row > 0 && phase < kernels_[row - 1].phase)
    complain(fmt::format("comes after a kernel of the later phase {}", model::name(kernels_[row - 1].phase)));
  for (std::size_t other = 0; other < row; ++other) {
    if (kernels_[other].definition.name == kernel.name) complain("another kernel has the same name");
    if (!is_seen(kernels_[other].phase, phase)) continue;
    for (const Segment& segment : kernel.output.segments())
      if (has_segment(kernels_[other].definition.output, segment.name))
        complain(fmt::format("produces '{}', as does '{}'", segment.name, kernels_[other].definition.name));
  }
  for (const Segment& segment : kernel.output.segments())
    if (is_given(phase, segment.name)) complain(fmt::format("produces '{}', which is given", segment.name));
  for (const Segment& segment : kernel.input.segments()) {
    if (kernel.is_weight(segment.name)) continue;
    if (is_given(phase, segment.name)) continue;
    const std::optional<std::size_t> source = maker(phase, segment.name);
    if (!source || *source >= row)
      complain(fmt::format("its input '{}' is neither given nor produced by an earlier kernel", segment.name));
    const Segment& made = kernels_[*source].definition.output.at(segment.name);
    if (made.channels != segment.channels)
      complain(fmt::format("its input '{}' has {} channels, but '{}' produces {}", segment.name, segment.channels,
                           kernels_[*source].definition.name, made.channels));
  }
}

void KernelPlan::check_wanted(const PhaseContract& contract) const {
  for (const std::string& tensor : contract.wanted)
    if (!maker(contract.phase, tensor))
      throw Error(fmt::format("plan '{}': no kernel up to {} produces '{}', which is read there", name_,
                              model::name(contract.phase), tensor));
}

bool KernelPlan::is_given(Phase phase, std::string_view tensor) const {
  return std::any_of(contract_.begin(), contract_.end(), [&](const PhaseContract& contract) {
    return contract.phase == phase && contains(contract.given, tensor);
  });
}

bool KernelPlan::is_used_in(Phase phase, std::string_view tensor) const {
  const bool is_input =
      !is_given(phase, tensor) && std::any_of(kernels_.begin(), kernels_.end(), [&](const PlannedKernel& kernel) {
        return kernel.phase == phase && has_segment(kernel.definition.input, tensor);
      });
  return is_input || std::any_of(contract_.begin(), contract_.end(), [&](const PhaseContract& contract) {
           return contract.phase == phase && contains(contract.wanted, tensor);
         });
}

}  // namespace ane::model
