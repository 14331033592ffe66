#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include <fmt/format.h>

#include "ane/math/half.h"
#include "ane/mil/geometry.h"

#include "ane_rules_internal.h"

namespace ane::mil::rules {
namespace {

constexpr float kLeastNormal = 0x1p-14F;
/// Multiplied by a value of magnitude 2, it reaches 2^15.
constexpr float kHugeFactor = 0x1p+14F;
/// Below this, scores under -5,504 make the sum round to -inf.
constexpr float kMaskedOut = -60000.0F;

/// The default epsilon of an operation; 0 if it has none that matters here.
float default_epsilon(OpKind kind) {
  if (kind == OpKind::layer_norm) return 1e-5F;
  return 0.0F;
}

bool vanishes(float value) { return value != 0.0F && std::fabs(value) < kLeastNormal; }

/// The elements of a float constant, from the text or from `blobs`; empty if not available.
std::vector<float> elements_of(const Constant& constant, const Blobs* blobs) {
  if (const auto* numbers = std::get_if<std::vector<float>>(&constant.data)) return *numbers;
  const auto* ref = std::get_if<BlobRef>(&constant.data);
  if (ref == nullptr || blobs == nullptr || constant.type.dtype != DType::fp16) return {};
  try {
    const std::span<const std::byte> bytes = read_blob(*blobs, *ref, constant.type);
    std::vector<math::Half> halves(bytes.size() / sizeof(math::Half));
    std::memcpy(halves.data(), bytes.data(), bytes.size());
    std::vector<float> numbers(halves.size());
    math::to_float(halves, numbers);
    return numbers;
  } catch (const BlobError&) {
    return {};  // A39 reports it
  }
}

/// The constant mask that is added to the scores before `softmax`, if it has one element for each of a row's.
const Constant* mask_of(const OpView& softmax) {
  const Shape& x = softmax.type("x").shape;
  const Operation* source = source_of(softmax, softmax.operand("x"));
  if (source == nullptr || source->kind != OpKind::add || axis_of(softmax) + 1 != x.size()) return nullptr;
  const OpView add(softmax.function(), *source);
  for (const std::string_view argument : {"x", "y"}) {
    const Constant* constant = constant_of(add.function(), add.operand(argument));
    if (constant != nullptr && !constant->type.is_scalar() && constant->type.shape.back() == x.back()) return constant;
  }
  return nullptr;
}

}  // namespace

void infinite_constants(const Program& program, const Blobs* /*blobs*/, Findings& found) {
  for_each_op(program, [&](const OpView& op) {
    for_each_constant(op.operation(), [&](const Constant& constant, const std::string& /*argument*/) {
      const auto* numbers = std::get_if<std::vector<float>>(&constant.data);
      if (numbers == nullptr) return;
      const auto bad = std::ranges::find_if(*numbers, [](float v) { return !(std::fabs(v) <= math::kHalfMax); });
      if (bad != numbers->end())
        found.add(place(op), fmt::format("the constant {} holds {}", to_string(constant.type), *bad));
    });
  });
}

void huge_factors(const Program& program, const Blobs* /*blobs*/, Findings& found) {
  std::unordered_map<const std::vector<float>*, float> magnitudes;  // cached: operations may share constants
  for_each_op(program, [&](const OpView& op) {
    if (!product_of(op)) return;
    for_each_operand(op, [&](const Operand& operand) {
      const std::vector<float>* numbers = numbers_of(op, operand);
      if (numbers == nullptr) return;
      const auto [entry, is_new] = magnitudes.try_emplace(numbers, 0.0F);
      if (is_new) entry->second = math::max_magnitude(*numbers);
      const float largest = entry->second;
      if (largest >= kHugeFactor)
        found.add(place(op), fmt::format("it multiplies by a constant of magnitude {}", largest));
    });
  });
}

void vanishing_constants(const Program& program, const Blobs* /*blobs*/, Findings& found) {
  for_each_op(program, [&](const OpView& op) {
    for_each_operand(op, [&](const Operand& operand) {
      const std::vector<float>* numbers = numbers_of(op, operand);
      if (numbers != nullptr && numbers->size() == 1 && vanishes(numbers->front()))
        found.add(place(op), fmt::format("it takes the constant {:g}", numbers->front()));
    });
    if (!op.has("epsilon") && vanishes(default_epsilon(op.kind())))
      found.add(place(op), fmt::format("its epsilon is {:g} unless it is given", default_epsilon(op.kind())));
  });
}

void offset_slices(const Program& program, const Blobs* /*blobs*/, Findings& found) {
  for_each_op(program, [&](const OpView& op) {
    if (op.kind() != OpKind::slice_by_size && op.kind() != OpKind::slice_by_index) return;
    const TensorType& x = op.type("x");
    const SliceAxis last = slice_geometry(op).back();
    if (is_float(x.dtype) && last.begin != 0)
      found.add(place(op), fmt::format("it begins at element {} of the last axis of {}", last.begin, to_string(x)));
  });
}

void coarse_round(const Program& program, const Blobs* /*blobs*/, Findings& found) {
  for_each_op(program, [&](const OpView& op) {
    if (op.kind() == OpKind::round) found.add(place(op), fmt::format("round of {}", to_string(op.type("x"))));
  });
}

void masked_rows(const Program& program, const Blobs* blobs, Findings& found) {
  for_each_op(program, [&](const OpView& op) {
    if (op.kind() != OpKind::softmax || op.type("x").is_scalar()) return;
    const Constant* mask = mask_of(op);
    if (mask == nullptr) return;
    const std::vector<float> values = elements_of(*mask, blobs);
    const auto length = static_cast<std::size_t>(mask->type.shape.back());
    for (std::size_t row = 0; row * length < values.size(); ++row) {
      const std::span<const float> elements = std::span(values).subspan(row * length, length);
      if (!std::ranges::all_of(elements, [](float v) { return v <= kMaskedOut; })) continue;
      found.add(place(op), fmt::format("all {} elements of row {} of its mask {} are {} or less", length, row,
                                       to_string(mask->type), std::ranges::max(elements)));
      break;
    }
  });
}

}  // namespace ane::mil::rules
