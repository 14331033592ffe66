#include "ane/model/kernel_bank.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "ane/core/error.h"

namespace ane::model {

namespace {

std::vector<std::string> segment_names(const PackedLayout& layout) {
  std::vector<std::string> names;
  for (const Segment& segment : layout.segments()) names.push_back(segment.name);
  return names;
}

}  // namespace

KernelBank::KernelBank(KernelPlan plan, mil::DType element, std::vector<std::string> layer_prefixes)
    : plan_(std::move(plan)), layer_prefixes_(std::move(layer_prefixes)) {
  for (const PlannedKernel& planned : plan_.kernels()) {
    Entry entry{KernelKind(planned.definition, element), is_forward(planned.phase), {}};
    entry.copies.resize(entry.kind.has_weights() ? layers() : 1);
    entries_.push_back(std::move(entry));
  }
}

int KernelBank::compiles_needed(KernelSet set) const {
  std::size_t needed = 0;
  for (const Entry& entry : entries_)
    if (entry.belongs_to(set) && (entry.kind.has_weights() || entry.copies.front() == nullptr))
      needed += entry.copies.size();
  return static_cast<int>(needed);
}

void KernelBank::compile(KernelSet set, const Engine& engine, const ParameterLayout& layout,
                         std::span<const float> parameters) {
  // Old kernels go first: a process may hold only so many loaded programs (ane.md A41).
  for (Entry& entry : entries_)
    if (entry.kind.has_weights()) std::fill(entry.copies.begin(), entry.copies.end(), nullptr);

  for (Entry& entry : entries_) {
    if (!entry.belongs_to(set)) continue;
    for (std::size_t copy = 0; copy < entry.copies.size(); ++copy)
      if (entry.copies[copy] == nullptr)
        entry.copies[copy] =
            entry.kind.compile(engine.device, layer_prefixes_[copy], layout, parameters, engine.threads);
  }
}

device::Kernel& KernelBank::kernel(std::size_t row, std::size_t layer) const {
  const Entry& entry = entries_.at(row);
  const auto& kernel = entry.copies.at(entry.kind.has_weights() ? layer : 0);
  if (kernel == nullptr) throw Error(fmt::format("kernel '{}' has not been compiled", entry.kind.definition().name));
  return *kernel;
}

std::vector<KernelInfo> KernelBank::infos() const {
  std::vector<KernelInfo> infos;
  infos.reserve(entries_.size());
  for (std::size_t row = 0; row < entries_.size(); ++row) {
    const Entry& entry = entries_[row];
    const KernelDefinition& definition = entry.kind.definition();
    KernelInfo info;
    info.name = definition.name;
    info.phase = name(plan_.kernels()[row].phase);
    info.program = definition.program;
    info.inputs = segment_names(definition.input);
    info.outputs = segment_names(definition.output);
    info.taps = plan_.taps(row);
    for (const WeightBlob& weight : definition.weights) info.weights.push_back(weight.parameter);
    info.copies = static_cast<int>(entry.copies.size());
    info.has_weights = entry.kind.has_weights();
    info.forward = entry.forward;
    info.weight_bytes = entry.kind.blob_bytes();
    infos.push_back(std::move(info));
  }
  return infos;
}

}  // namespace ane::model
