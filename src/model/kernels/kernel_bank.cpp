#include "ane/model/kernel_bank.h"

#include <algorithm>
#include <atomic>
#include <cassert>
#include <exception>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "ane/core/error.h"

#include "kernels/phase_timer.h"

namespace ane::model {

namespace {

std::string parameter_of(std::string_view prefix, std::string_view name) { return fmt::format("{}{}", prefix, name); }

void write_weight(const WeightSegment& weight, const Parameter* parameter, const ParameterValues& parameters,
                  PackedView<std::byte> to) {
  std::vector<float> buffer;
  if (parameter == nullptr) {  // a layer without this adapter
    const Segment& segment = to.layout.at(weight.segment);
    buffer.assign(segment.channels * segment.columns, 0.0F);
    write_segment(to, weight.segment, buffer);
    return;
  }
  const std::span<const float> values = parameters.read(*parameter, buffer);
  if (weight.transposed) {
    write_transposed(to, weight.segment, values);
  } else {
    write_segment(to, weight.segment, values);
  }
}

/// The promise that the weights of an input stay: they lie behind the activations of each row, or in rows below them.
surface::Resident residence_of_weights(const KernelDefinition& kernel, std::uint64_t revision) {
  const mil::SurfaceLayout& surface = kernel.input.surface();
  const Segment& first = kernel.input.at(kernel.weight_segments.front().segment);
  if (first.begin > 0) return {surface.size_bytes, first.begin * surface.row_bytes, revision};
  return {surface.row_bytes, first.first_column * mil::element_bytes(kernel.input.element()), revision};
}

}  // namespace

KernelBank::KernelBank(KernelPlan plan, mil::DType element, std::vector<std::string> layer_prefixes,
                       const ParameterLayout& layout, const ModelContext& context, std::size_t slots)
    : plan_(std::move(plan)),
      layer_prefixes_(std::move(layer_prefixes)),
      layout_(&layout),
      context_(context),
      slots_(slots) {
  for (const PlannedKernel& planned : plan_.kernels()) {
    Entry entry{.kind = KernelTemplate(planned.definition, element), .forward = is_forward(planned.phase)};
    entry.copies.resize(entry.kind.has_baked_weights() ? layers() : 1);
    entry.is_outdated_by_update.resize(entry.copies.size());
    for (std::size_t copy = 0; copy < entry.copies.size(); ++copy)
      entry.is_outdated_by_update[copy] =
          std::ranges::any_of(planned.definition.weights, [&](const WeightBlob& weight) {
            return layout_->find(parameter_of(layer_prefixes_[copy], weight.parameter)) != nullptr;
          });
    entries_.push_back(std::move(entry));
  }
  // They are started here, where signals are blocked, and not in each round.
  for (int i = 0; i < context_.device.compile_workers(); ++i) compilers_.push_back(std::make_unique<math::TaskQueue>());
}

ParameterValues KernelBank::all(std::span<const float> parameters) const {
  return {*layout_, parameters, context_.frozen};
}

int KernelBank::compiles_needed(PassMode mode) const {
  std::ptrdiff_t needed = 0;
  for (const Entry& entry : entries_)
    for (std::size_t copy = 0; copy < entry.copies.size(); ++copy)
      if (entry.belongs_to(mode) && (entry.copies[copy] == nullptr || entry.is_outdated_by_update[copy])) ++needed;
  return static_cast<int>(needed);
}

void KernelBank::compile_one(KernelTemplate& kind, const Compile& compile, std::span<const float> parameters) {
  const std::string span = fmt::format("compile {}", kind.definition().name);
  const PhaseTimer timer(context_.spans, span);
  *compile.into = kind.compile(context_.device, layer_prefixes_[compile.copy], all(parameters), context_.threads);
}

/// With workers, several threads share the compiles, each with its own copy of the template, whose blobs are
/// overwritten.
void KernelBank::compile_all(std::span<const Compile> compiles, std::span<const float> parameters) {
  if (compilers_.empty()) {
    for (const Compile& compile : compiles) compile_one(*compile.kind, compile, parameters);
    return;
  }
  std::atomic<std::size_t> next{0};
  const auto work = [&] {
    try {
      for (std::size_t i = next++; i < compiles.size(); i = next++) {
        KernelTemplate kind = *compiles[i].kind;
        compile_one(kind, compiles[i], parameters);
      }
    } catch (...) {
      next = compiles.size();
      throw;
    }
  };
  std::exception_ptr error;
  const auto keep_error = [&error](const auto& body) {
    try {
      body();
    } catch (...) {
      if (!error) error = std::current_exception();
    }
  };
  for (const auto& compiler : compilers_) compiler->push(work);
  keep_error(work);
  for (const auto& compiler : compilers_) keep_error([&] { compiler->wait_all(); });
  if (error) std::rethrow_exception(error);
}

void KernelBank::compile(PassMode mode, std::span<const float> parameters) {
  // Destroy old kernels first: the number of loaded programs per process is limited (ane.md A41).
  for (Entry& entry : entries_) {
    entry.ahead.clear();
    for (std::size_t copy = 0; copy < entry.copies.size(); ++copy)
      if (entry.is_outdated_by_update[copy]) entry.copies[copy].reset();
  }

  std::vector<Compile> compiles;
  for (Entry& entry : entries_) {
    if (!entry.belongs_to(mode)) continue;
    for (std::size_t copy = 0; copy < entry.copies.size(); ++copy)
      if (entry.copies[copy] == nullptr) compiles.push_back({&entry.kind, copy, &entry.copies[copy]});
  }
  compile_all(compiles, parameters);
}

int KernelBank::compiles_ahead() const {
  std::ptrdiff_t needed = 0;
  for (const Entry& entry : entries_) needed += std::ranges::count(entry.is_outdated_by_update, true);
  return static_cast<int>(needed);
}

void KernelBank::compile_ahead(std::span<const float> parameters) try {
  std::vector<Compile> compiles;
  for (Entry& entry : entries_) {
    entry.ahead.clear();
    entry.ahead.resize(entry.copies.size());
    for (std::size_t copy = 0; copy < entry.copies.size(); ++copy)
      if (entry.is_outdated_by_update[copy]) compiles.push_back({&entry.kind, copy, &entry.ahead[copy]});
  }
  compile_all(compiles, parameters);
} catch (...) {
  for (Entry& entry : entries_) entry.ahead.clear();
  throw;
}

void KernelBank::adopt_ahead() {
  for (Entry& entry : entries_) {
    assert(entry.ahead.size() == entry.copies.size());
    for (std::size_t copy = 0; copy < entry.copies.size(); ++copy)
      if (entry.is_outdated_by_update[copy]) entry.copies[copy] = std::move(entry.ahead[copy]);
    entry.ahead.clear();
  }
}

bool KernelBank::load_weights(PassMode mode, std::span<const float> parameters) {
  struct Job {
    const KernelDefinition* kernel;
    const WeightSegment* weight;
    const Parameter* parameter;
    std::span<std::byte> bytes;
  };
  std::vector<Job> jobs;
  std::vector<surface::Mapping<std::byte>> mappings;
  const ParameterValues values = all(parameters);
  ++revision_;
  for (Entry& entry : entries_) {
    const KernelDefinition& kernel = entry.kind.definition();
    if (!entry.belongs_to(mode) || kernel.weight_segments.empty()) continue;
    const bool is_new = !entry.has_frozen_weights;
    while (entry.inputs.size() < layers() * slots_)
      entry.inputs.push_back(context_.surfaces.acquire(kernel.input.surface().size_bytes));
    for (std::size_t i = 0; i < entry.inputs.size(); ++i) {
      const auto parameter = [&](const WeightSegment& weight) {
        return values.find(parameter_of(layer_prefixes_[i % layers()], weight.parameter));
      };
      const auto changed = [&](const WeightSegment& weight) {
        const Parameter* const found = parameter(weight);
        return is_new || (found != nullptr && !found->is_frozen);
      };
      if (std::ranges::none_of(kernel.weight_segments, changed)) continue;
      entry.inputs[i].set_resident(residence_of_weights(kernel, revision_));
      mappings.push_back(entry.inputs[i].map_for_write());
      for (const WeightSegment& weight : kernel.weight_segments)
        if (changed(weight)) jobs.push_back({&kernel, &weight, parameter(weight), mappings.back().bytes()});
    }
  }
  if (jobs.empty()) return false;
  const PhaseTimer timer(context_.spans, "write weights");
  context_.threads.parallel_for(jobs.size(), 1, [&](math::Range range) {
    for (std::size_t i = range.begin; i < range.end; ++i) {
      const Job& job = jobs[i];
      write_weight(*job.weight, job.parameter, values, {job.kernel->input, job.bytes});
    }
  });
  for (Entry& entry : entries_)
    if (entry.belongs_to(mode)) entry.has_frozen_weights = true;
  return true;
}

surface::Surface* KernelBank::weighted_input(std::size_t row, std::size_t layer, std::size_t slot) {
  Entry& entry = entries_.at(row);
  if (entry.kind.definition().weight_segments.empty()) return nullptr;
  if (entry.inputs.empty())
    throw Error(fmt::format("the weights of kernel '{}' have not been loaded", entry.kind.definition().name));
  return &entry.inputs.at(slot * layers() + layer);
}

device::Kernel& KernelBank::kernel(std::size_t row, std::size_t layer) const {
  const Entry& entry = entries_.at(row);
  const auto& kernel = entry.copies.at(entry.kind.has_baked_weights() ? layer : 0);
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
    for (const Segment& segment : definition.input.segments())
      if (!definition.is_weight(segment.name)) info.inputs.push_back(segment.name);
    for (const Segment& segment : definition.output.segments()) info.outputs.push_back(segment.name);
    info.taps = plan_.taps(row);
    for (const WeightBlob& weight : definition.weights)  // several blobs may be parts of one parameter
      if (std::ranges::count(info.weights, weight.parameter) == 0) info.weights.push_back(weight.parameter);
    for (const WeightSegment& weight : definition.weight_segments) info.weights.push_back(weight.parameter);
    if (!definition.weight_segments.empty())
      info.input_bytes = layers() * slots_ * definition.input.surface().size_bytes;
    for (const WeightSegment& weight : definition.weight_segments) {
      const Segment& segment = definition.input.at(weight.segment);
      info.input_weights += layers() * slots_ * segment.channels * segment.columns;
    }
    info.copies = static_cast<int>(entry.copies.size());
    info.recompiled = static_cast<int>(std::ranges::count(entry.is_outdated_by_update, true));
    info.forward = entry.forward;
    info.weight_bytes = entry.kind.blob_bytes();
    infos.push_back(std::move(info));
  }
  return infos;
}

}  // namespace ane::model
