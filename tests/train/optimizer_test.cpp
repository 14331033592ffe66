#include "ane/train/optimizer.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "ane/core/file.h"
#include "ane/math/orthogonalize.h"
#include "ane/math/random.h"

#include "support/catch.h"
#include "support/paths.h"
#include "train/slots.h"

using namespace ane::train;

namespace {

ane::model::ParameterLayout three_tensors() {
  ane::model::ParameterLayout layout;
  layout.add({"embedding", {7, 5}, ane::model::Role::embedding});
  layout.add({"norm", {3}, ane::model::Role::norm});
  layout.add({"output", {2, 9}, ane::model::Role::embedding});
  return layout;
}

/// Reference AdamW in float64, in PyTorch's order: decay first.
struct Reference {
  double p, m = 0, v = 0;
  void update(const OptimizerOptions& options, double gradient, double lr, double decay, std::int64_t count) {
    m = options.beta1 * m + (1 - options.beta1) * gradient;
    v = options.beta2 * v + (1 - options.beta2) * gradient * gradient;
    const double m_hat = m / (1 - std::pow(options.beta1, static_cast<double>(count)));
    const double v_hat = v / (1 - std::pow(options.beta2, static_cast<double>(count)));
    p = p - lr * decay * p - lr * m_hat / (std::sqrt(v_hat) + options.eps);
  }
};

/// Updates in float64, made by make_optimizer_case.py.
const nlohmann::json& optimizer_case() {
  static const nlohmann::json read = nlohmann::json::parse(
      ane::read_text_file(ane::test::source_dir() / "tests/train/golden/optimizer_case.json", "expected values"));
  return read;
}

ane::model::Role role_named(const std::string& name) {
  using ane::model::Role;
  if (name == "embedding") return Role::embedding;
  if (name == "norm") return Role::norm;
  if (name == "bias") return Role::bias;
  return name == "adapter" ? Role::adapter : Role::matrix;
}

ane::model::ParameterLayout layout_of_case() {
  ane::model::ParameterLayout layout;
  for (const auto& tensor : optimizer_case()["tensors"])
    layout.add({tensor["name"], tensor["shape"].get<std::vector<std::int64_t>>(), role_named(tensor["role"])});
  return layout;
}

OptimizerOptions options_of_case(const OptimizerInfo& optimizer) {
  const auto& options = optimizer_case()["options"][std::string(optimizer.name)];
  return {.kind = optimizer.kind,
          .momentum = options["momentum"],
          .beta1 = options["beta1"],
          .beta2 = options["beta2"],
          .eps = optimizer_case()["eps"],
          .weight_decay = optimizer_case()["weight_decay"]};
}

/// Copies the tensors' numbers of one kind to a flat array.
template <class Select>
void read_case(const ane::model::ParameterLayout& layout, std::span<float> flat, const Select& select) {
  for (const auto& tensor : optimizer_case()["tensors"]) {
    const auto numbers = select(tensor).template get<std::vector<float>>();
    std::ranges::copy(numbers, slice(flat, *layout.find(tensor["name"].get<std::string>())).begin());
  }
}

}  // namespace

TEST_CASE("each optimizer's updates equal an independent float64 computation", "[train][optimizer]") {
  const auto optimizer = GENERATE(from_range(all_optimizers()));
  CAPTURE(optimizer.name);
  const auto layout = layout_of_case();
  const OptimizerOptions options = options_of_case(optimizer);
  ane::math::ThreadPool threads(2);
  StateArena state(layout.size(), optimizer_slots(options, layout), 1);
  read_case(layout, state.parameters(), [](const auto& tensor) { return tensor["values"]; });
  Optimizer updater(options, layout);
  std::vector<float> gradients(layout.size());
  for (std::size_t i = 0; i < 3; ++i) {
    CAPTURE(i);
    read_case(layout, gradients, [&](const auto& tensor) { return tensor["gradients"][i]; });
    const UpdateStep step{.lr = optimizer_case()["lr"],
                          .grad_factor = optimizer_case()["grad_factor"],
                          .update_count = static_cast<std::int64_t>(i) + 1};
    CHECK(updater.update(step, whole_pieces(layout), gradients, state, threads) == std::nullopt);
    CHECK(std::ranges::all_of(gradients, [](float g) { return g == 0; }));
    for (const auto& tensor : optimizer_case()["tensors"]) {
      CAPTURE(tensor["name"].get<std::string>());
      const auto expected = tensor["after"][std::string(optimizer.name)][i].get<std::vector<double>>();
      const auto found = slice(state.parameters(), *layout.find(tensor["name"].get<std::string>()));
      double error = 0;
      for (std::size_t j = 0; j < expected.size(); ++j)
        error = std::max(error, std::abs(double{found[j]} - expected[j]));
      // Parameters are below 4, so three roundings are below 1e-6. Muon's iteration magnifies rounding by up to 500,
      // but the learning rate makes that small again.
      CHECK(error <= 2e-6);
    }
  }
}

TEST_CASE("a matrix is orthogonalized as in an independent float64 computation", "[train][optimizer]") {
  ane::math::ThreadPool threads(2);
  for (const auto& tensor : optimizer_case()["tensors"]) {
    if (tensor["role"] != "matrix") continue;
    CAPTURE(tensor["name"].get<std::string>());
    const auto expected = tensor["orthogonalized"].get<std::vector<double>>();
    auto matrix = tensor["gradients"][0].get<std::vector<float>>();
    const std::size_t rows = tensor["shape"][0];
    const std::size_t columns = tensor["shape"][1];
    std::vector<float> result(matrix.size());
    std::vector<float> workspace(ane::math::orthogonalize_workspace(rows, columns));
    ane::math::orthogonalize(rows, columns, matrix, result, workspace, threads);
    double error = 0;
    for (std::size_t i = 0; i < expected.size(); ++i)
      error = std::max(error, std::abs(double{result[i]} - expected[i]));
    CHECK(error <= 1e-4);
  }
}

TEST_CASE("Muon keeps one moment for hidden matrices and two for everything else", "[train][optimizer]") {
  const auto layout = layout_of_case();
  const StateSlots slots = optimizer_slots({.kind = OptimizerKind::muon}, layout);
  REQUIRE(slots.size() == 3);
  CHECK(slots[0].name == "momentum");
  for (const auto& parameter : layout.parameters()) {
    const bool is_hidden = parameter.role == ane::model::Role::matrix;
    CAPTURE(parameter.name);
    CHECK((slots[0].layout.find(parameter.name) != nullptr) == is_hidden);
    CHECK((slots[1].layout.find(parameter.name) == nullptr) == is_hidden);
    CHECK((slots[2].layout.find(parameter.name) == nullptr) == is_hidden);
    CHECK(needs_whole_tensor(OptimizerKind::muon, parameter) == is_hidden);
    CHECK_FALSE(needs_whole_tensor(OptimizerKind::adamw, parameter));
    CHECK_FALSE(needs_whole_tensor(OptimizerKind::lion, parameter));
  }
  const auto adapters = layout.part([](const auto& each) { return each.role == ane::model::Role::adapter; });
  const StateSlots of_adapters = optimizer_slots({.kind = OptimizerKind::muon}, adapters);
  REQUIRE(of_adapters.size() == 2);
  CHECK(of_adapters[0].name == "first_moment");
  CHECK(optimizer_workspace_bytes({.kind = OptimizerKind::muon}, adapters) == 0);
  CHECK(optimizer_workspace_bytes({.kind = OptimizerKind::adamw}, layout) == 0);
}

TEST_CASE("SGD has a slot only with momentum, and Lion has one", "[train][optimizer]") {
  const auto layout = three_tensors();
  CHECK(optimizer_slots({.kind = OptimizerKind::sgd}, layout).empty());
  CHECK(optimizer_slots({.kind = OptimizerKind::sgd, .momentum = 0.9}, layout).size() == 1);
  CHECK(optimizer_slots({.kind = OptimizerKind::lion}, layout).size() == 1);
}

TEST_CASE("an update that needs no whole tensors has the same bits on any slice", "[train][optimizer]") {
  const auto optimizer = GENERATE(from_range(all_optimizers()));
  const OptimizerOptions options = options_of_case(optimizer);
  CAPTURE(optimizer.name);
  ane::model::ParameterLayout whole;
  whole.add({"norm", {77}, ane::model::Role::norm});
  ane::model::ParameterLayout parts;
  parts.add({"front", {30}, ane::model::Role::norm});
  parts.add({"back", {47}, ane::model::Role::norm});
  REQUIRE_FALSE(needs_whole_tensor(optimizer.kind, whole.at(0)));
  ane::math::ThreadPool threads(2);
  const ane::math::CounterRandom random(5, 1);
  const auto updated = [&](const ane::model::ParameterLayout& layout) {
    StateArena state(layout.size(), optimizer_slots(options, layout), 1);
    Optimizer updater(options, layout);
    std::vector<float> gradients(layout.size());
    std::vector<float> values;
    for (std::int64_t update = 1; update <= 3; ++update) {
      std::uint64_t next = 1000 * static_cast<std::uint64_t>(update);
      for (const auto& parameter : layout.parameters())
        for (float& g : slice(std::span(gradients), parameter)) g = static_cast<float>(random.normal(next++));
      CHECK_FALSE(updater.update({.lr = 0.1, .update_count = update}, whole_pieces(layout), gradients, state, threads));
    }
    for (const auto& parameter : layout.parameters()) {
      const auto found = slice(state.parameters(), parameter);
      values.insert(values.end(), found.begin(), found.end());
    }
    return values;
  };
  CHECK(updated(whole) == updated(parts));
}

TEST_CASE("AdamW decays only matrices and follows the float64 reference", "[train]") {
  const auto layout = three_tensors();
  ane::math::ThreadPool threads(2);
  StateArena state(layout.size(), adamw_slots(layout), 1);
  OptimizerOptions options;
  options.weight_decay = 0.3;
  std::vector<float> gradients(layout.size());
  std::vector<Reference> reference(layout.size());
  Optimizer optimizer(options, layout);
  const ane::math::CounterRandom random(5, 1);
  for (const auto& parameter : layout.parameters())
    for (std::size_t i = parameter.offset; i < parameter.offset + parameter.count; ++i) {
      state.parameters()[i] = static_cast<float>(random.normal(i));
      reference[i].p = double{state.parameters()[i]};
    }

  for (std::int64_t update = 1; update <= 5; ++update) {
    const double lr = 0.01 * static_cast<double>(update);
    for (const auto& parameter : layout.parameters())
      for (std::size_t i = parameter.offset; i < parameter.offset + parameter.count; ++i) {
        gradients[i] = static_cast<float>(random.normal(1000 * static_cast<std::uint64_t>(update) + i));
        reference[i].update(options, 0.25 * double{gradients[i]}, lr, parameter.decays() ? 0.3 : 0, update);
      }
    CHECK(optimizer.update({.lr = lr, .grad_factor = 0.25, .update_count = update}, whole_pieces(layout), gradients,
                           state, threads) == std::nullopt);
    CHECK(std::all_of(gradients.begin(), gradients.end(), [](float g) { return g == 0; }));
  }
  for (std::size_t i = 0; i < layout.size(); ++i) {
    CAPTURE(i);
    // Five fp32 updates, each of a few roundings of numbers near 1.
    CHECK(std::abs(double{state.parameters()[i]} - reference[i].p) <= 2e-6);
    CHECK(std::abs(double{state.slot(0)[i]} - reference[i].m) <= 1e-6);
    CHECK(std::abs(double{state.slot(1)[i]} - reference[i].v) <= 1e-6);
  }
}

TEST_CASE("an update that produces a non-finite value names the tensor", "[train]") {
  ane::model::ParameterLayout layout = three_tensors();
  layout.add({"matrix", {4, 3}});
  ane::math::ThreadPool threads(2);
  const auto optimizer = GENERATE(from_range(all_optimizers()));
  const std::size_t tensor = GENERATE(1U, 3U);
  CAPTURE(optimizer.name, tensor);
  const OptimizerOptions options = options_of_case(optimizer);
  const float infinite = std::numeric_limits<float>::infinity();
  const auto first_not_finite = [&](const auto& spoil) {
    StateArena state(layout.size(), optimizer_slots(options, layout), 1);
    std::vector<float> gradients(layout.size(), 1.0F);
    spoil(state);
    return Optimizer(options, layout).update({.lr = 0.1}, whole_pieces(layout), gradients, state, threads);
  };
  const std::string& name = layout.at(tensor).name;
  CHECK(first_not_finite([](StateArena&) {}) == std::nullopt);
  CHECK(first_not_finite([&](StateArena& state) { slice(state.parameters(), layout.at(tensor))[2] = infinite; }) ==
        name);
  const StateSlots slots = optimizer_slots(options, layout);
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const ane::model::Parameter* const placed = slots[i].layout.find(name);
    if (placed == nullptr) continue;
    CAPTURE(slots[i].name);
    CHECK(first_not_finite([&](StateArena& state) { slice(state.slot(i), *placed)[2] = infinite; }) == name);
  }
}

TEST_CASE("a beta that is 1 in fp32 makes AdamW's state non-finite", "[train]") {
  const auto layout = three_tensors();
  ane::math::ThreadPool threads(2);
  StateArena state(layout.size(), adamw_slots(layout), 1);
  std::vector<float> gradients(layout.size(), 1.0F);
  Optimizer optimizer({.beta2 = 0.99999998}, layout);
  CHECK(optimizer.update({.lr = 0.1}, whole_pieces(layout), gradients, state, threads) == layout.at(0).name);
}

TEST_CASE("the norm is that of the scaled gradient, over all tensors", "[train]") {
  const auto layout = three_tensors();
  ane::math::ThreadPool threads(1);
  std::vector<float> gradients(layout.size());
  slice(std::span(gradients), layout.at(0))[3] = 3000;
  slice(std::span(gradients), layout.at(2))[17] = -4000;
  const GradientNorm gradient = gradient_norm(layout, gradients, 0.001, 1, threads);
  CHECK(std::abs(gradient.norm - 5) <= 1e-12);
  CHECK_FALSE(gradient.unusable.has_value());
}

TEST_CASE("a non-finite gradient names its tensor", "[train]") {
  const auto layout = three_tensors();
  ane::math::ThreadPool threads(1);
  const std::size_t tensor = GENERATE(0U, 1U, 2U);
  const float bad = GENERATE(std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
                             std::numeric_limits<float>::quiet_NaN());
  std::vector<float> gradients(layout.size(), 1.0F);
  slice(std::span(gradients), layout.at(tensor)).back() = bad;
  const GradientNorm gradient = gradient_norm(layout, gradients, 1, 1, threads);
  REQUIRE(gradient.unusable.has_value());
  CHECK_THAT(*gradient.unusable, ANE_CONTAINS(layout.at(tensor).name) && ANE_CONTAINS("not finite"));
}

TEST_CASE("a finite gradient whose square overflows is unusable unless clipping makes it small", "[train]") {
  const auto layout = three_tensors();
  ane::math::ThreadPool threads(1);
  std::vector<float> gradients(layout.size());
  gradients[0] = 1e30F;
  CHECK_FALSE(gradient_norm(layout, gradients, 1, 1, threads).unusable.has_value());
  CHECK_FALSE(gradient_norm(layout, gradients, 1e-20, 0, threads).unusable.has_value());
  const GradientNorm gradient = gradient_norm(layout, gradients, 1, 0, threads);
  REQUIRE(gradient.unusable.has_value());
  CHECK_THAT(*gradient.unusable, ANE_CONTAINS("1e+30"));
}
