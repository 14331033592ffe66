#include "ane/app/weights_choice.h"

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "ane/app/plan.h"
#include "ane/device/forwarding.h"
#include "ane/device/host/host_device.h"

#include "app/engines.h"
#include "app/program.h"
#include "app/small_run.h"
#include "support/catch.h"

namespace {

using namespace ane;
using namespace cli_test;

cli::Settings automatic() {
  cli::Settings settings;
  settings.weights = cli::WeightsChoice::automatic;
  return settings;
}

#ifdef ANE_TRAIN_STANDIN
/// A small run on the host, or on the stand-in framework.
Result run_on(const std::string& device, const Words& more, Words environment, const Folder& folder) {
  const Words settings = with(kSmall, "--device", device);
  environment.emplace_back("STANDIN_THREADS=1");
  return Program(settings + more, environment, folder.path(), device == "ane" ? ANE_TRAIN_STANDIN : ANE_TRAIN_PROGRAM)
      .wait();
}
#endif

}  // namespace

TEST_CASE("weights are dynamic on an ANE that accepts such kernels", "[app][weights]") {
  const app::WeightsDecision decision = app::resolve_weights(automatic(), NarrowDevice(mil::Severity::slow));
  CHECK(decision.choice == cli::WeightsChoice::dynamic);
  CHECK(app::weights_line(decision) ==
        "Weights: dynamic (auto): no kernel with dynamic weights breaks a rule of this chip");
}

TEST_CASE("weights are baked on an ANE that would refuse a kernel, and the line names rule and kernel",
          "[app][weights]") {
  const mil::Severity severity = GENERATE(mil::Severity::refusal, mil::Severity::wrong_result);
  const NarrowDevice device(severity);
  cli::Settings settings = automatic();
  settings.family = GENERATE(model::Family::llama, model::Family::mlp);
  const bool is_llama = settings.family == model::Family::llama;
  const app::WeightsDecision decision = app::resolve_weights(settings, device);
  CHECK(decision.choice == cli::WeightsChoice::baked);
  CHECK_THAT(app::weights_line(decision).value_or(""), ANE_CONTAINS("Weights: baked (auto): ") &&
                                                           ANE_CONTAINS(is_llama ? "'attn_fwd'" : "'mlp_fwd'") &&
                                                           ANE_CONTAINS("breaks A99") && ANE_CONTAINS("narrow it"));
}

TEST_CASE("weights are baked on the host, where compiling costs nothing", "[app][weights]") {
  math::ThreadPool threads(1);
  const app::WeightsDecision decision = app::resolve_weights(automatic(), device::host::HostDevice(threads));
  CHECK(decision.choice == cli::WeightsChoice::baked);
  CHECK_THAT(app::weights_line(decision).value_or(""), ANE_CONTAINS("the host compiles at almost no cost"));
}

TEST_CASE("the user's choice is kept without a message", "[app][weights]") {
  cli::Settings settings;
  settings.weights = GENERATE(cli::WeightsChoice::baked, cli::WeightsChoice::dynamic);
  const app::WeightsDecision decision = app::resolve_weights(settings, NarrowDevice(mil::Severity::refusal));
  CHECK(decision.choice == settings.weights);
  CHECK_FALSE(app::weights_line(decision).has_value());
}

TEST_CASE("the compiles of a process are limited where the device limits them, and wherever a limit is given",
          "[app][weights]") {
  cli::Settings settings;
  const NarrowDevice limiting(mil::Severity::refusal);
  math::ThreadPool threads(1);
  const device::host::HostDevice host(threads);
  CHECK(app::compile_limit(settings, limiting) == 100);
  CHECK(app::compile_limit(settings, host) == device::CompileBudget::kUnlimited);
  settings.max_compiles = 7;
  CHECK(app::compile_limit(settings, limiting) == 7);
  CHECK(app::compile_limit(settings, host) == 7);
}

TEST_CASE("a measured limit of compiles replaces the default, and bounds a given one", "[app][weights]") {
  class MeasuredDevice final : public device::ForwardingDevice {
   public:
    using ForwardingDevice::ForwardingDevice;
    [[nodiscard]] device::DeviceLimits limits() const noexcept override { return {.measured_compiles = 95}; }
  };
  NarrowDevice limiting(mil::Severity::refusal);
  const MeasuredDevice measured(limiting);
  cli::Settings settings;
  CHECK(app::compile_limit(settings, measured) == 95);
  settings.max_compiles = 110;
  CHECK(app::compile_limit(settings, measured) == 95);
  settings.max_compiles = 20;
  CHECK(app::compile_limit(settings, measured) == 20);
}

TEST_CASE("a run and its dry run report the choice of auto once, and it holds through restarts", "[app][weights]") {
  const Folder folder;
  const Words settings = kSmall + Words{"--steps", "12", "--weights", "auto", "--checkpoint-dir", "c"};
  const Result result = run(settings, {"ANE_MAX_COMPILES=6"}, folder.path());
  CAPTURE(result.out, result.err);
  REQUIRE(result.code == 0);
  CHECK(count(result.out, "Weights: baked (auto): ") == 1);
  CHECK(count(result.out, "[exec() restart") >= 5);
  const auto trainer = nlohmann::json::parse(read_file(folder / "c/step-00000012/trainer.json"));
  CHECK(trainer.at("settings").at("weights") == "baked");
  CHECK_THAT(run(settings + Words{"--dry-run", "--no-time"}).out, ANE_CONTAINS("\nWeights: baked (auto): "));
}

#ifdef ANE_TRAIN_STANDIN
TEST_CASE("a resumed run keeps the choice of auto, also on another device", "[app][weights][resume]") {
  const auto start = [](const Folder& folder, const std::string& device, const Words& more) {
    const Result result = run_on(device, Words{"--checkpoint-dir", "c", "--weights", "auto"} + more, {}, folder);
    CAPTURE(result.out, result.err);
    REQUIRE(result.code == 0);
    return result.out;
  };
  const Folder whole;
  CHECK_THAT(start(whole, "ane", {"--steps", "12"}),
             ANE_CONTAINS("\nWeights: dynamic (auto): no kernel with dynamic weights"));
  const Folder resumed;
  start(resumed, "ane", {"--steps", "6"});
  CHECK_THAT(start(resumed, "host", {"--steps", "12", "--resume"}),
             ANE_CONTAINS("\nWeights: dynamic (auto): as in the run that is resumed") &&
                 ANE_CONTAINS("Weights:         dynamic"));
  CHECK(read_file(resumed / "c/step-00000012/model.safetensors") ==
        read_file(whole / "c/step-00000012/model.safetensors"));
}

TEST_CASE("a run that mostly compiled ends with a hint about dynamic weights", "[app][weights]") {
  const Folder folder;
  const auto out_with = [&](const Words& more) {
    const Result result = run_on("ane", Words{"--steps", "12"} + more, {"STANDIN_COMPILE_MS=20"}, folder);
    CAPTURE(result.err);
    REQUIRE(result.code == 0);
    return result.out;
  };
  // Independent of the machine's speed, the hint must agree with the share in the report.
  const std::string baked = out_with({});
  CAPTURE(baked);
  const std::size_t share = baked.find('(', baked.find("Compile time:")) + 1;
  const bool is_much = std::stod(baked.substr(share)) > 33.3;
  CHECK((baked.find("\nHint: ") != std::string::npos) == is_much);
  for (const Words& mode : {Words{"--weights", "dynamic"}, Words{"--pipeline"}})
    CHECK(count(out_with(mode), "Hint: ") == 0);
}
#endif
