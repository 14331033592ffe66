#include "ane/cli/doctor_command.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "ane/cli/device_probes.h"
#include "ane/device/forwarding.h"
#include "ane/device/host/host_device.h"
#include "ane/mil/ane_rules.h"

#include "cli/program.h"
#include "support/catch.h"

namespace {

using namespace cli_test;
using namespace ane;

/// Says that it ran and changes one element of what it computed, or fails.
class FaultyDevice final : public device::ForwardingDevice {
 public:
  FaultyDevice(device::Device& honest, bool fails) : ForwardingDevice(honest), fails_(fails) {}

  std::unique_ptr<device::Kernel> compile(std::string_view text, const mil::Blobs& weights) override {
    if (fails_) throw device::CompileError("the compiler is out of sorts");
    return std::make_unique<Kernel>(ForwardingDevice::compile(text, weights));
  }

 private:
  class Kernel final : public device::ForwardingKernel {
   public:
    using ForwardingKernel::ForwardingKernel;
    void run(std::span<surface::Surface* const> inputs, std::span<surface::Surface* const> outputs) override {
      ForwardingKernel::run(inputs, outputs);
      const auto mapping = outputs.front()->map_for_write();
      const auto halves = mapping.as<std::uint16_t>();
      *std::max_element(halves.begin(), halves.end()) = 0;
    }
  };

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
