#include "llama/qk_norm.h"

#include <cmath>

#include <fmt/format.h>

#include "shape.h"

namespace ane::model {

namespace {

constexpr std::int64_t kElementAxis = -1;

/// A power of two whose square, summed over the elements of a head, stays below fp16's largest value.
float prescale(std::size_t head_dim) {
  constexpr double kLargestSum = 0x1p14;
  const double largest = std::sqrt(kLargestSum / static_cast<double>(head_dim));
  return static_cast<float>(std::exp2(std::floor(std::log2(largest))));
}

/// The parts of the norm that both directions compute, of [1, heads, S, 1] but for `normalized`.
struct Normalized {
  mil::Var normalized;   ///< y without the weight
  mil::Var scale;        ///< c / m
  mil::Var inverse_rms;  ///< of u
};

mil::Var mean_of(mil::Builder& mil, const std::string& name, mil::Var x, const ModelConfig& config) {
  const mil::Var sum = mil.reduce(mil::OpKind::reduce_sum, name + "_sum", x, {kElementAxis});
  return mil.mul(name, sum, mil.scalar(1.0F / static_cast<float>(config.head_dim)));
}

Normalized normalize(mil::Builder& mil, std::string_view name, mil::Var x, const ModelConfig& config) {
  const auto named = [&](const char* part) { return fmt::format("{}_{}", name, part); };
  const float c = prescale(config.head_dim);
  const auto root_eps = static_cast<float>(std::sqrt(config.norm_eps));
  const mil::Var magnitudes = mil.unary(mil::OpKind::abs, named("magnitudes"), x);
  const mil::Var largest = mil.reduce(mil::OpKind::reduce_max, named("largest"), magnitudes, {kElementAxis});
  const mil::Var m = mil.binary(mil::OpKind::maximum, named("m"), largest, mil.scalar(root_eps));
  const mil::Var scale = mil.binary(mil::OpKind::real_div, named("scale"), mil.scalar(c), m);
  const mil::Var u = mil.mul(named("u"), x, scale);
  const mil::Var mean = mean_of(mil, named("mean_square"), mil.mul(named("squares"), u, u), config);
  const mil::Var eps = mil.mul(named("scaled_eps"), scale, mil.scalar(root_eps));
  const mil::Var shifted = mil.add(named("shifted"), mean, mil.mul(named("eps"), eps, eps));
  const mil::Var inverse_rms = mil.binary(mil::OpKind::pow, named("inverse_rms"), shifted, mil.scalar(-0.5F));
  return {mil.mul(named("normalized"), u, inverse_rms), scale, inverse_rms};
}

mil::Var weight_of(KernelWriter& kernel, std::string_view weight, const ModelConfig& config) {
  return kernel.vector(weight, shape_of({1, 1, 1, config.head_dim}));
}

}  // namespace

std::vector<Vector> qk_norm_vectors(const ModelConfig& config) {
  if (!config.has_qk_norm()) return {};
  return {{"self_attn.q_norm.weight", config.head_dim}, {"self_attn.k_norm.weight", config.head_dim}};
}

mil::Var normalize_heads(KernelWriter& kernel, std::string_view name, mil::Var x, std::string_view weight,
                         const ModelConfig& config) {
  const Normalized norm = normalize(kernel.mil(), name, x, config);
  return kernel.mil().mul(name, norm.normalized, weight_of(kernel, weight, config));
}

// With n the normalized x and g = w dy:  dx = (g - n mean(g n)) r,  r = c / m * inverse_rms
HeadNormGradients backward_head_norm(KernelWriter& kernel, std::string_view name, mil::Var x, mil::Var dy,
                                     std::string_view weight, const ModelConfig& config) {
  mil::Builder& mil = kernel.mil();
  const auto named = [&](const char* part) { return fmt::format("{}_{}", name, part); };
  const Normalized norm = normalize(mil, named("norm"), x, config);
  const mil::Var terms = mil.mul(named("terms"), dy, norm.normalized);
  const mil::Var g = mil.mul(named("g"), dy, weight_of(kernel, weight, config));
  const mil::Var mean = mean_of(mil, named("mean"), mil.mul(named("gn"), g, norm.normalized), config);
  const mil::Var along = mil.mul(named("along"), norm.normalized, mean);
  const mil::Var across = mil.sub(named("across"), g, along);
  const mil::Var scaled = mil.mul(named("scaled"), across, norm.inverse_rms);
  return {mil.mul(name, scaled, norm.scale), terms};
}

}  // namespace ane::model
