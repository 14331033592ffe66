#include "ane/app/doctor_command.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "ane/app/device_probes.h"
#include "ane/device/forwarding.h"
#include "ane/device/host/host_device.h"
#include "ane/mil/ane_rules.h"

#include "app/program.h"
#include "app/small_run.h"
#include "support/catch.h"

namespace {

using namespace cli_test;
using namespace ane;

/// Runs kernels but changes one element of the result, or fails.
class FaultyDevice final : public device::ForwardingDevice {
 public:
  FaultyDevice(device::Device& honest, bool fails) : ForwardingDevice(honest), fails_(fails) {}

  std::unique_ptr<device::Kernel> compile(std::string_view label, std::string_view text,
                                          const mil::Blobs& weights) override {
    if (fails_) throw device::CompileError("the compiler is out of sorts");
    return std::make_unique<Kernel>(ForwardingDevice::compile(label, text, weights));
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

TEST_CASE("the host computes every probe correctly", "[app][doctor]") {
  math::ThreadPool threads(2);
  device::host::HostDevice host(threads);
  const std::vector<app::DeviceProbe> probes = app::device_probes();
  REQUIRE(probes.size() == 5);
  for (const app::DeviceProbe& probe : probes) {
    CAPTURE(std::string(probe.name));
    const app::ProbeResult result = app::run_probe(probe, host, host);
    CAPTURE(result.failure, result.from_expected);
    CHECK(result.right(false));
    CHECK(result.from_host == 0);
    for (const mil::Diagnostic& diagnostic : mil::check_for_ane(probe.program, &probe.weights, "Apple M4"))
      CHECK_FALSE(mil::is_fault(diagnostic.severity));
  }
}

TEST_CASE("wrong results and failures of a device are detected", "[app][doctor]") {
  math::ThreadPool threads(1);
  device::host::HostDevice host(threads);
  for (const app::DeviceProbe& probe : app::device_probes()) {
    CAPTURE(std::string(probe.name));
    FaultyDevice liar(host, false);
    CHECK_FALSE(app::run_probe(probe, liar, host).right(true));
    FaultyDevice failing(host, true);
    const app::ProbeResult failed = app::run_probe(probe, failing, host);
    CHECK_FALSE(failed.right(true));
    CHECK(failed.failure == "the compiler is out of sorts");
  }
}

TEST_CASE("doctor reports machine, choice and verdict", "[app][doctor]") {
  const Result good = run({"doctor", "--device", "host"});
  CAPTURE(good.out, good.err);
  CHECK(good.code == 0);
  CHECK_THAT(good.out, ANE_CONTAINS("auto selects: "));
  CHECK_THAT(good.out, ANE_CONTAINS("\nSystem: ") && ANE_CONTAINS("; processor: ") && !ANE_CONTAINS("unknown"));
  CHECK_THAT(good.out, ANE_CONTAINS("Apple Neural Engine:"));
#ifndef __APPLE__
  CHECK_THAT(good.out, !ANE_CONTAINS("missing"));  // one line instead of each absent library
#endif
  CHECK_THAT(good.out, ANE_CONTAINS("Passed"));

  const Result unknown = run({"doctor", "--device", "gpu"});
  CHECK(unknown.code == 2);
  CHECK_THAT(unknown.err, ANE_CONTAINS("'gpu'"));
}

#ifdef ANE_TRAIN_STANDIN
TEST_CASE("doctor passes the options to the framework", "[app][doctor]") {
  const Folder folder;
  const auto doctor = [&](const Words& more) {
    return Program(Words{"doctor", "--device", "ane"} + more, {}, folder.path(), ANE_TRAIN_STANDIN).wait();
  };
  const Result good = doctor({"--ane-qos", "33", "--ane-load-retries", "0", "--no-ane-purge-cache"});
  CAPTURE(good.out, good.err);
  CHECK(good.code == 0);
  CHECK_THAT(good.out, ANE_CONTAINS("Probe kernels on ane:") && ANE_CONTAINS("Passed"));
  CHECK_THAT(good.out, !ANE_CONTAINS("Warning"));
  const Result wrong = doctor({"--ane-qos", "64"});
  CHECK(wrong.code == 2);
  CHECK_THAT(wrong.err, ANE_CONTAINS("--ane-qos: '64' is not"));
}

TEST_CASE("a differing program description is a warning in doctor and an error in training", "[app][doctor]") {
  const Folder folder;
  const Words environment = {"STANDIN_INTERLEAVE=4"};
  const Result doctor = Program({"doctor", "--device", "ane"}, environment, folder.path(), ANE_TRAIN_STANDIN).wait();
  CAPTURE(doctor.out, doctor.err);
  CHECK(doctor.code == 0);
  CHECK(count(doctor.out, "warning: the compiled program expects other surfaces") == app::device_probes().size());
  CHECK_THAT(doctor.out, ANE_CONTAINS("expected interleave 1, the program has 4"));
  const Words settings = {"--config", "tiny", "--steps", "2", "--device", "ane"};
  const Result training = Program(settings, environment, folder.path(), ANE_TRAIN_STANDIN).wait();
  CHECK(training.code == 4);
  CHECK_THAT(training.err, ANE_CONTAINS("expected interleave 1, the program has 4"));
}

TEST_CASE("doctor warns about programs that cannot be purged from the system's cache", "[app][doctor]") {
  const Folder folder;
  const std::string method = GENERATE(as<std::string>(), "-[_ANEInMemoryModel purgeCompiledModel]",
                                      "-[_ANEClient purgeCompiledModelMatchingHash:]");
  const Result result =
      Program({"doctor", "--device", "ane"}, {"STANDIN_HIDE=" + method, "STANDIN_HOME=" + folder / "home"},
              folder.path(), ANE_TRAIN_STANDIN)
          .wait();
  CAPTURE(method, result.out, result.err);
  CHECK(result.code == 0);
  CHECK(count(result.out, "Warning: ") == 1);
  CHECK_THAT(result.out,
             ANE_CONTAINS("the system's cache") && ANE_CONTAINS("this system lacks") && ANE_CONTAINS(method));
}

TEST_CASE("a device that computes only one form of RoPE correctly can train, and doctor names the form",
          "[app][doctor]") {
  const Folder folder;
  const auto doctor = [&](const std::string& refused) {
    return Program({"doctor", "--device", "ane"}, {"STANDIN_REFUSE=" + refused}, folder.path(), ANE_TRAIN_STANDIN)
        .wait();
  };
  const Result slices = doctor("matmul");
  CAPTURE(slices.out, slices.err);
  CHECK(slices.code == 0);
  CHECK_THAT(slices.out, ANE_CONTAINS("WRONG pairs turned by a constant matrix (for --rope matrix)") &&
                             ANE_CONTAINS("Passed with --rope slices"));
  const Result matrix = doctor("reshape");
  CHECK(matrix.code == 0);
  CHECK_THAT(matrix.out, ANE_CONTAINS("WRONG pairs turned by slices") && ANE_CONTAINS("Passed: this device"));
  const Result neither = doctor("conv");
  CHECK(neither.code == 4);
  CHECK_THAT(neither.out, ANE_CONTAINS("Failed: do not trust"));
}

TEST_CASE("the engine of a virtual machine is used only on request", "[app][doctor]") {
  const Folder folder;
  const auto train = [&](const std::string& device, const std::string& kind) {
    return Program({"--config", "tiny", "--steps", "2", "--device", device}, {"STANDIN_VIRTUAL=" + kind}, folder.path(),
                   ANE_TRAIN_STANDIN)
        .wait();
  };
  for (const char* kind : {"bare", "client"}) {
    CAPTURE(kind);
    const Result automatic = train("auto", kind);
    CHECK(automatic.code == 0);
    CHECK_THAT(automatic.err, ANE_CONTAINS("the host device runs the kernels on the CPU: this is a virtual machine"));
  }
  const Result works = train("ane", "client");
  CAPTURE(works.out, works.err);
  CHECK(works.code == 0);
  CHECK_THAT(works.err, ANE_CONTAINS("this is a virtual machine: its host determines whether kernels run on an ANE"));
  const Result refused = train("ane", "bare");
  CHECK(refused.code == 4);
  CHECK_THAT(refused.err, ANE_CONTAINS("code 22"));
  const Result doctor = Program({"doctor"}, {"STANDIN_VIRTUAL=client"}, folder.path(), ANE_TRAIN_STANDIN).wait();
  CHECK_THAT(doctor.out, ANE_CONTAINS("auto selects: host, because this is a virtual machine"));
}
#endif
