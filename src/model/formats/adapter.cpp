#include "ane/model/adapter.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "ane/core/error.h"
#include "ane/math/gemm.h"
#include "ane/math/half.h"

#include "formats/module_names.h"

namespace ane::model {

double Adapter::scale() const {
  const auto ranks = static_cast<double>(rank);
  return alpha / (rank_stabilized ? std::sqrt(ranks) : ranks);
}

std::vector<std::string> projections_of(const ParameterLayout& base) {
  std::vector<std::string> modules;
  for (const Parameter& parameter : base.parameters())
    if (const std::string_view module = module_of(parameter); is_projection(module)) modules.emplace_back(module);
  return modules;
}

std::vector<std::string> modules_named(const ParameterLayout& base, std::span<const std::string> targets) {
  for (const std::string& target : targets)
    if (std::ranges::count(kProjections, target) == 0)
      throw UsageError(fmt::format("'{}' is not one of {}", target.substr(0, 80), fmt::join(kProjections, ", ")));
  std::vector<std::string> modules = projections_of(base);
  std::erase_if(modules,
                [&](const std::string& module) { return std::ranges::count(targets, projection_name(module)) == 0; });
  return modules;
}

ParameterLayout adapter_parameters(const Adapter& adapter, const ParameterLayout& base) {
  std::vector<const Parameter*> matrices;
  std::int64_t largest = 0;
  for (const std::string& module : adapter.modules) {
    const Parameter* const matrix = is_projection(module) ? base.find(module + kWeight) : nullptr;
    if (matrix == nullptr)
      throw UsageError(fmt::format("the model has no module '{}' that an adapter can change", module));
    matrices.push_back(matrix);
    largest = std::max({largest, matrix->shape[0], matrix->shape[1]});
  }
  if (matrices.empty()) throw UsageError("the adapter has no modules");
  if (adapter.rank == 0 || adapter.rank > static_cast<std::size_t>(largest))
    throw UsageError(
        fmt::format("the rank is {}, but it must be from 1 to {}, the largest dimension of a matrix that "
                    "the adapter changes",
                    adapter.rank, largest));
  ParameterLayout layout;
  const auto rank = static_cast<std::int64_t>(adapter.rank);
  for (std::size_t i = 0; i < matrices.size(); ++i) {
    const mil::Shape& shape = matrices[i]->shape;
    layout.add({.name = adapter.modules[i] + kLoraA, .shape = {rank, shape[1]}, .role = Role::adapter});
    layout.add({.name = adapter.modules[i] + kLoraB, .shape = {shape[0], rank}, .role = Role::adapter});
  }
  return layout;
}

void merge(const AdapterSource& adapter, const Parameter& parameter, std::span<float> values) {
  const std::string module(module_of(parameter));
  const Parameter* const a = adapter.layout.find(module + kLoraA);
  const Parameter* const b = adapter.layout.find(module + kLoraB);
  if (a == nullptr || b == nullptr) return;
  std::vector<float> a_values(a->count);
  std::vector<float> b_values(b->count);
  adapter.reader->read(*a, a_values);
  adapter.reader->read(*b, b_values);
  const std::size_t rank = adapter.adapter.rank;
  const std::size_t in = a->count / rank;
  math::gemm_serial(b->count / rank, in, rank, static_cast<float>(adapter.adapter.scale()), {b_values.data(), rank},
                    {a_values.data(), in}, 1, values.data(), in);
  if (!std::isfinite(math::max_magnitude(std::span<const float>(values))))
    throw_file_error(adapter.directory, fmt::format("merging it gives non-finite values in '{}'", parameter.name));
}

void MergedReader::read(const Parameter& parameter, std::span<float> values) const {
  base_->read(parameter, values);
  merge(*adapter_, parameter, values);
}

}  // namespace ane::model
