#include "ane/model/kernel_bank.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "ane/core/error.h"

namespace ane::model {

KernelBank::KernelBank(std::vector<KernelDefinition> definitions, mil::DType element,
                       std::vector<std::string> layer_prefixes)
    : layer_prefixes_(std::move(layer_prefixes)) {
  for (KernelDefinition& definition : definitions) {
    Entry entry{KernelKind(std::move(definition), element), {}};
    entry.copies.resize(entry.kind.has_weights() ? layer_prefixes_.size() : 1);
    entries_.push_back(std::move(entry));
  }
}

bool KernelBank::Entry::belongs_to(KernelSet set) const noexcept {
  return set == KernelSet::training || kind.definition().forward;
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

const KernelBank::Entry& KernelBank::find(std::string_view name) const {
  const auto found = std::find_if(entries_.begin(), entries_.end(),
                                  [&](const Entry& entry) { return entry.kind.definition().name == name; });
  if (found == entries_.end()) throw Error(fmt::format("there is no kernel '{}'", name));
  return *found;
}

const KernelDefinition& KernelBank::definition(std::string_view name) const { return find(name).kind.definition(); }

device::Kernel& KernelBank::kernel(std::string_view name, std::size_t layer) const {
  const Entry& entry = find(name);
  const auto& kernel = entry.copies.at(entry.kind.has_weights() ? layer : 0);
  if (kernel == nullptr) throw Error(fmt::format("kernel '{}' has not been compiled", name));
  return *kernel;
}

std::vector<KernelInfo> KernelBank::infos() const {
  std::vector<KernelInfo> infos;
  infos.reserve(entries_.size());
  for (const Entry& entry : entries_) infos.push_back(entry.kind.info(static_cast<int>(entry.copies.size())));
  return infos;
}

}  // namespace ane::model
