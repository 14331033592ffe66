#include "reload_canary.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

#include <fmt/format.h>

#include "ane/math/random.h"

namespace ane::model {

namespace {

// Twenty times what rounding to fp16 leaves between two devices; other weights are off by all of it.
constexpr double kTolerance = 0.02;
// Below it fp16 has no normal numbers, and some chips flush them (ane.md N3).
constexpr double kSmallest = 0x1p-14;

constexpr std::uint64_t kSeed = 0x0CA9A27;

double norm(std::span<const float> values) {
  double sum = 0;
  for (const float value : values) sum += static_cast<double>(value) * static_cast<double>(value);
  return std::sqrt(sum);
}

/// Of what is expected, 0 if both vanish; NaN if anything is.
double relative_error(std::span<const float> found, std::span<const float> expected) {
  double sum = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const double difference = static_cast<double>(found[i]) - static_cast<double>(expected[i]);
    sum += difference * difference;
  }
  const double smallest = kSmallest * std::sqrt(static_cast<double>(found.size()));
  return std::sqrt(sum) / std::max(norm(expected), smallest);
}

/// The first segment in which the two differ.
std::optional<std::size_t> difference(const ReloadCanary::Results& found, const ReloadCanary::Results& expected) {
  for (std::size_t i = 0; i < found.size(); ++i)
    if (!(relative_error(found[i], expected[i]) <= kTolerance)) return i;
  return std::nullopt;
}

}  // namespace

ReloadCanary::Results ReloadCanary::results(device::Kernel& kernel, surface::SurfacePool& surfaces) const {
  const PackedLayout& in = definition_->input;
  const PackedLayout& out = definition_->output;
  surface::Surface input = surfaces.acquire(in.surface().size_bytes);
  surface::Surface output = surfaces.acquire(out.surface().size_bytes);
  {
    const auto mapping = input.map_for_write();
    std::uint64_t stream = 0;
    for (const Segment& segment : in.segments()) {
      std::vector<float> values(segment.channels * segment.columns);
      math::fill_normal({kSeed, ++stream}, 1, values);
      write_segment({in, mapping.bytes()}, segment.name, values, engine_->threads);
    }
  }
  kernel.run(std::array{&input}, std::array{&output});

  Results results;
  const auto mapping = output.map_for_read();
  for (const Segment& segment : out.segments()) {
    std::vector<float>& values = results.emplace_back(segment.channels * segment.columns);
    read_segment({out, mapping.bytes()}, segment.name, values, engine_->threads);
  }
  return results;
}

std::optional<std::string> ReloadCanary::fault(device::Kernel& kernel, const mil::Blobs& weights,
                                               const Results& before) const {
  const Results found = results(kernel);
  surface::SurfacePool reference_surfaces(engine_->reference->surface_allocator());
  const Results expected = results(*engine_->reference->compile(mil_text_, weights), reference_surfaces);
  const std::optional<std::size_t> wrong = difference(found, expected);
  if (!wrong) return std::nullopt;
  if (!difference(found, before)) return "still computes with its old weights after a reload";
  return fmt::format(
      "computes neither with its old nor with its new weights after a reload: '{}' is off by {:.2g} times its "
      "size",
      definition_->output.segments()[*wrong].name, relative_error(found[*wrong], expected[*wrong]));
}

}  // namespace ane::model
