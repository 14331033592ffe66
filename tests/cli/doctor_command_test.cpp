#include "ane/cli/doctor_command.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "ane/cli/device_probes.h"
#include "ane/device/host/host_device.h"
#include "ane/mil/ane_rules.h"

#include "cli/program.h"
#include "support/catch.h"

namespace {

using namespace cli_test;
using namespace ane;

/// Says that it ran and changes one element of what it computed, or fails.
class FaultyDevice final : public device::Device {
 public:
  FaultyDevice(device::Device& honest, bool fails) : honest_(honest), fails_(fails) {}

  std::string_view name() const override { return "faulty"; }
  std::string description() const override { return "faulty"; }
  std::vector<mil::Diagnostic> check(const mil::Program&) const override { return {}; }
  std::unique_ptr<device::Kernel> compile(std::string_view text, const mil::Blobs& weights) override {
    if (fails_) throw device::CompileError("the compiler is out of sorts");
    return std::make_unique<Kernel>(honest_.compile(text, weights));
  }
  surface::Allocator& surface_allocator() override { return honest_.surface_allocator(); }
  bool shares_cpu() const noexcept override { return true; }

 private:
  class Kernel final : public device::Kernel {
   public:
    explicit Kernel(std::unique_ptr<device::Kernel> honest) : honest_(std::move(honest)) {}
    std::span<const device::Port> inputs() const override { return honest_->inputs(); }
    std::span<const device::Port> outputs() const override { return honest_->outputs(); }
    void run(std::span<surface::Surface* const> inputs, std::span<surface::Surface* const> outputs) override {
      honest_->run(inputs, outputs);
      const auto mapping = outputs.front()->map_for_write();
      const auto halves = mapping.as<std::uint16_t>();
      *std::max_element(halves.begin(), halves.end()) = 0;
    }

   private:
    std::unique_ptr<device::Kernel> honest_;
  };

  device::Device& honest_;
  bool fails_;
};

}  // namespace

TEST_CASE("the host computes every probe right", "[cli][doctor]") {
  math::ThreadPool threads(2);
  device::host::HostDevice host(threads);
  const std::vector<cli::DeviceProbe> probes = cli::device_probes();
  REQUIRE(probes.size() == 4);
  for (const cli::DeviceProbe& probe : probes) {
    CAPTURE(std::string(probe.name));
    const cli::ProbeResult result = cli::run_probe(probe, host, host);
    CAPTURE(result.failure, result.from_expected);
    CHECK(result.right(false));
    CHECK(result.from_host == 0);
    for (const mil::Diagnostic& diagnostic : mil::check_for_ane(probe.program, &probe.weights))
      CHECK(diagnostic.severity == mil::Severity::slow);
  }
}

TEST_CASE("a device that lies or fails is found out", "[cli][doctor]") {
  math::ThreadPool threads(1);
  device::host::HostDevice host(threads);
  for (const cli::DeviceProbe& probe : cli::device_probes()) {
    CAPTURE(std::string(probe.name));
    FaultyDevice liar(host, false);
    CHECK_FALSE(cli::run_probe(probe, liar, host).right(true));
    FaultyDevice failing(host, true);
    const cli::ProbeResult failed = cli::run_probe(probe, failing, host);
    CHECK_FALSE(failed.right(true));
    CHECK(failed.failure == "the compiler is out of sorts");
  }
}

TEST_CASE("doctor reports machine, choice and verdict", "[cli][doctor]") {
  const Result good = run({"doctor", "--device", "host"});
  CAPTURE(good.out, good.err);
  CHECK(good.code == 0);
  CHECK_THAT(good.out, ANE_CONTAINS("auto picks: "));
  CHECK_THAT(good.out, ANE_CONTAINS("AppleNeuralEngine"));
  CHECK_THAT(good.out, ANE_CONTAINS("All right"));

  const Result unknown = run({"doctor", "--device", "gpu"});
  CHECK(unknown.code == 2);
  CHECK_THAT(unknown.err, ANE_CONTAINS("'gpu'"));
}
