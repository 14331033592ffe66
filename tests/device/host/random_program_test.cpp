#include "random_program.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>

#include <fmt/format.h>

#include "ane/core/file.h"
#include "ane/mil/text.h"

#include "harness.h"
#include "support/catch.h"
#include "support/environment_number.h"
#include "support/sanitized.h"

#if __has_include(<sanitizer/common_interface_defs.h>)
#include <sanitizer/common_interface_defs.h>
#endif

namespace ane::device::host {
namespace {

using mil::OpKind;

/// Directory for failing programs with their blob files, for ane-train mil; none if not set.
constexpr const char* kFindings = "ANE_RANDOM_FINDINGS";

/// How often each operation was generated.
using Uses = std::map<OpKind, int>;

/// The running program, to be shown if the process crashes.
class Running {
 public:
  Running(std::uint64_t program_seed, const RandomProgram& random) : seed(program_seed), program(random) {
    now() = this;
  }
  ~Running() { now() = nullptr; }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  /// nullptr if none is running.
  static const Running*& now() {
    static const Running* running = nullptr;
    return running;
  }

  const std::uint64_t seed;
  const RandomProgram& program;
};

std::string describe_outputs(const RandomProgram& random) {
  std::string text;
  const mil::Function& main = random.program.main();
  for (std::size_t i = 0; i < random.outputs.size(); ++i) {
    const std::vector<double>& data = random.outputs[i].data;
    const auto [least, most] = std::minmax_element(data.begin(), data.end());
    double sum = 0;
    for (const double element : data) sum += element;
    text +=
        fmt::format("  {}: from {:.6g} to {:.6g}, mean {:.6g}, each within {:.3g}\n", main.value(main.outputs[i]).name,
                    *least, *most, sum / static_cast<double>(data.size()), random.errors[i]);
  }
  return text;
}

void write_findings(const Running& running) {
  const char* const directory = std::getenv(kFindings);
  if (directory == nullptr) return;
  const std::filesystem::path place = std::filesystem::path(directory) / fmt::format("seed-{}", running.seed);
  std::filesystem::create_directories(place);
  const std::string text = mil::print(running.program.program);
  write_file_atomically(place / "program.mil", std::as_bytes(std::span(text)));
  for (const auto& [path, bytes] : running.program.blobs) {
    write_file_atomically(place / path.substr(path.find('/') + 1), bytes);
  }
}

/// The program and the expected output of `ane-train mil --run`.
std::string report(const Running& running) {
  write_findings(running);
  return fmt::format("random program of seed {}:\n{}expected{}:\n{}", running.seed, mil::print(running.program.program),
                     running.program.closed ? " for any inputs" : " for the inputs of this test",
                     describe_outputs(running.program));
}

[[maybe_unused]] void show_running() {  // unless a sanitizer ends the program, nothing calls it
  if (Running::now() != nullptr) std::fputs(report(*Running::now()).c_str(), stderr);
}

/// Describes the first wrong element; empty if there is none.
std::string fault_of(const reference::Tensor& found, const reference::Tensor& expected, double error,
                     std::string_view name) {
  if (found.type != expected.type) return fmt::format("{} is {}", name, mil::to_string(found.type));
  for (std::size_t i = 0; i < expected.data.size(); ++i) {
    if (found.data[i] == expected.data[i] || std::abs(found.data[i] - expected.data[i]) <= error) continue;
    return fmt::format("{}: element {} is {}, not {}", name, i, found.data[i], expected.data[i]);
  }
  return {};
}

/// Runs the program of `seed` on one and on two threads.
std::string fault_of_seed(std::uint64_t seed, Uses& uses) {
  static std::array<math::ThreadPool, 2> pools{math::ThreadPool(1), math::ThreadPool(2)};
  const RandomProgram random = random_program(seed);
  const Running running(seed, random);
  const mil::Function& main = random.program.main();
  for (const mil::Operation& operation : main.operations) ++uses[operation.kind];
  for (math::ThreadPool& pool : pools) {
    HostDevice device(pool);
    const std::vector<reference::Tensor> found = run(device, random.program, random.blobs, random.inputs);
    for (std::size_t i = 0; i < found.size(); ++i) {
      const std::string fault =
          fault_of(found[i], random.outputs[i], random.errors[i], main.value(main.outputs[i]).name);
      if (!fault.empty()) return fmt::format("on {} thread(s) {}\n{}", pool.size(), fault, report(running));
    }
  }
  return {};
}

TEST_CASE("every operation has a generator", "[device][host][random]") {
  for (std::size_t i = 0; i < mil::kOpCount; ++i) {
    const auto kind = static_cast<OpKind>(i);
    if (kind == OpKind::constant) continue;
    CAPTURE(mil::name(kind));
    const auto generators = operation_generators();
    CHECK(std::count_if(generators.begin(), generators.end(),
                        [&](const OperationGenerator& generator) { return generator.kind == kind; }) == 1);
  }
}

// scripts/fuzz_programs.sh runs only this test: ANE_RANDOM_PROGRAMS programs from the seed ANE_RANDOM_SEED on.
TEST_CASE("random programs agree with the reference interpreter", "[device][host][random]") {
#if __has_include(<sanitizer/common_interface_defs.h>)
  if constexpr (kSanitized) __sanitizer_set_death_callback(show_running);
#endif
  const std::uint64_t count = environment_number("ANE_RANDOM_PROGRAMS", kSanitized ? 2000 : 5000);
  const std::uint64_t first = environment_number("ANE_RANDOM_SEED", 1);
  constexpr int kMostFaults = 5;
  int faults = 0;
  Uses uses;
  for (std::uint64_t seed = first; seed < first + count && faults < kMostFaults; ++seed) {
    CAPTURE(seed);
    const std::string fault = fault_of_seed(seed, uses);
    if (fault.empty()) continue;
    ++faults;
    FAIL_CHECK(fault);
  }
  if (count < 1000) return;
  for (const OperationGenerator& generator : operation_generators()) {
    CAPTURE(mil::name(generator.kind));
    CHECK(uses[generator.kind] > 20 * generator.weight * static_cast<std::int64_t>(count) / 5000);
  }
}

}  // namespace
}  // namespace ane::device::host
