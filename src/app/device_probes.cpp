#include "ane/app/device_probes.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "ane/core/error.h"
#include "ane/math/half.h"
#include "ane/mil/builder.h"
#include "ane/mil/text.h"

namespace ane::app {
namespace {

constexpr std::size_t kWidth = 64;      // positions: rows of 128 bytes, so packed and padded layouts agree
constexpr std::size_t kChannels = 64;   // of each half of the gate's input
constexpr std::size_t kProjected = 32;  // output channels of the projection
constexpr std::size_t kHeadDim = 32;
constexpr std::size_t kParts = 6;
constexpr std::uint64_t kSeed = 1;
const char* const kWeightPath = "@model_path/weights/w.bin";

/// Exact in fp16, and different at each position, to detect a transposed or shifted matrix.
float weight_at(std::size_t out, std::size_t in) { return (static_cast<float>((out * 7 + in * 3) % 33) - 16) / 128; }

/// The rotation of RoPE by 90 degrees: (x P)[2i] = -x[2i+1], (x P)[2i+1] = x[2i].
float turn_at(std::size_t row, std::size_t column) {
  if (row == column + 1 && column % 2 == 0) return -1;
  return column == row + 1 && row % 2 == 0 ? 1 : 0;
}

template <class Element>
mil::Blobs blob_of(std::size_t rows, std::size_t columns, const Element& element) {
  mil::Blobs blobs;
  const std::span<std::byte> data =
      mil::single_blob(mil::DType::fp16, rows * columns * sizeof(math::Half), blobs[kWeightPath]);
  auto* const halves = reinterpret_cast<math::Half*>(data.data());
  for (std::size_t row = 0; row < rows; ++row)
    for (std::size_t column = 0; column < columns; ++column)
      halves[row * columns + column] = math::to_half(element(row, column));
  return blobs;
}

mil::Shape channels_by(std::size_t channels, std::size_t width) {
  return {1, static_cast<std::int64_t>(channels), 1, static_cast<std::int64_t>(width)};
}

mil::Var channels_from(mil::Builder& mil, std::string_view name, mil::Var x, std::size_t first, std::size_t count) {
  return mil.slice(name, x, {0, static_cast<std::int64_t>(first), 0, 0}, channels_by(count, kWidth));
}

DeviceProbe gate_and_projection() {
  mil::Builder mil(mil::DType::fp16);
  const mil::Var pack = mil.input("pack", channels_by(2 * kChannels, kWidth));
  const mil::Var u = channels_from(mil, "u", pack, 0, kChannels);
  const mil::Var g = channels_from(mil, "g", pack, kChannels, kChannels);
  const mil::Var gate = mil.mul("gate", mil.mul("act", u, mil.sigmoid("su", u)), g);
  const mil::Var w = mil.blob("w", {kProjected, kChannels, 1, 1}, kWeightPath);
  const std::array parts{mil.conv1x1("proj", gate, w), gate};
  const std::array outputs{mil.concat("result", parts, 1)};
  return {"gate and projection", "", std::move(mil).finish(outputs), blob_of(kProjected, kChannels, weight_at),
          [](const TensorValues& input) {
            std::vector<double> result(kProjected * kWidth);
            for (std::size_t i = 0; i < kChannels * kWidth; ++i) {
              const double x = input.values[i];
              const double gated = x / (1 + std::exp(-x)) * input.values[kChannels * kWidth + i];
              for (std::size_t out = 0; out < kProjected; ++out)
                result[out * kWidth + i % kWidth] += double{weight_at(out, i / kWidth)} * gated;
              result.push_back(gated);
            }
            return result;
          }};
}

/// (x P)[2i] = -x[2i+1], (x P)[2i+1] = x[2i], for one input.
std::vector<double> turned_pairs(const TensorValues& input) {
  std::vector<double> result(input.values.size());
  for (std::size_t i = 0; i < result.size(); i += 2) {
    result[i] = -input.values[i + 1];
    result[i + 1] = input.values[i];
  }
  return result;
}

DeviceProbe pairs_by_matrix() {
  mil::Builder mil(mil::DType::fp16);
  const mil::Var x = mil.input("heads", {1, 2, kWidth, kHeadDim});
  const std::array outputs{mil.matmul("turned", x, mil.blob("turn", {1, 1, kHeadDim, kHeadDim}, kWeightPath))};
  return {"pairs turned by a constant matrix", "matrix", std::move(mil).finish(outputs),
          blob_of(kHeadDim, kHeadDim, turn_at), turned_pairs};
}

DeviceProbe pairs_by_slices() {
  constexpr std::int64_t kPairs = kWidth * kHeadDim / 2;
  mil::Builder mil(mil::DType::fp16);
  const mil::Var x = mil.input("heads", {1, 2, kWidth, kHeadDim});
  const mil::Var pairs = mil.reshape("pairs", x, {1, 2, kPairs, 2});
  const mil::Var first = mil.slice("first", pairs, {0, 0, 0, 0}, {1, 2, kPairs, 1});
  const mil::Var second = mil.slice("second", pairs, {0, 0, 0, 1}, {1, 2, kPairs, 1});
  const std::array parts{mil.mul("negated", second, mil.scalar(-1.0F)), first};
  const std::array outputs{mil.reshape("turned", mil.concat("swapped", parts, 3), {1, 2, kWidth, kHeadDim})};
  return {"pairs turned by slices", "slices", std::move(mil).finish(outputs), {}, turned_pairs};
}

DeviceProbe concatenation() {
  mil::Builder mil(mil::DType::fp16);
  const mil::Var x = mil.input("pack", channels_by(kParts * kProjected, kWidth));
  std::vector<mil::Var> parts;
  for (std::size_t part = kParts; part-- > 0;)
    parts.push_back(mil.relu("part", channels_from(mil, "slice", x, part * kProjected, kProjected)));
  const std::array outputs{mil.concat("result", parts, 1)};
  return {"concatenation of six", "", std::move(mil).finish(outputs), {}, [](const TensorValues& input) {
            constexpr std::size_t kPart = kProjected * kWidth;
            std::vector<double> result;
            for (std::size_t part = kParts; part-- > 0;)
              for (std::size_t i = 0; i < kPart; ++i) result.push_back(std::max(0.0, input.values[part * kPart + i]));
            return result;
          }};
}

DeviceProbe softmax_of_rows() {
  mil::Builder mil(mil::DType::fp16);
  const std::array outputs{mil.softmax("probs", mil.input("scores", {1, 2, kWidth, kWidth}))};
  return {"softmax over rows", "", std::move(mil).finish(outputs), {}, [](const TensorValues& input) {
            std::vector<double> result;
            for (std::size_t row = 0; row < input.values.size(); row += kWidth) {
              double sum = 0;
              for (std::size_t i = 0; i < kWidth; ++i) sum += std::exp(input.values[row + i]);
              for (std::size_t i = 0; i < kWidth; ++i) result.push_back(std::exp(input.values[row + i]) / sum);
            }
            return result;
          }};
}

double relative(const Difference& difference) {
  return difference.scale > 0 ? difference.largest / difference.scale : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace

std::vector<DeviceProbe> device_probes() {
  std::vector<DeviceProbe> probes;
  probes.push_back(gate_and_projection());
  probes.push_back(pairs_by_matrix());
  probes.push_back(pairs_by_slices());
  probes.push_back(concatenation());
  probes.push_back(softmax_of_rows());
  return probes;
}

ProbeResult run_probe(const DeviceProbe& probe, device::Device& device, device::Device& host) try {
  const std::string text = mil::print(probe.program);
  const KernelRun run = run_kernel(device, text, probe.weights, kSeed, 1);
  const KernelRun reference = run_kernel(host, text, probe.weights, kSeed, 1);
  const TensorValues& output = run.outputs.front();
  TensorValues expected = output;
  expected.values = probe.expected(run.inputs.front());
  return {.failure = {},
          .from_expected = relative(compare(expected, output)),
          .from_host = relative(compare(reference.outputs.front(), output))};
} catch (const Error& error) {
  return {.failure = error.what()};
}

}  // namespace ane::app
