#include "ane/app/packing_choice.h"

#include <string>

#include "ane/app/model_choice.h"
#include "ane/device/host/host_device.h"

#include "app/engines.h"
#include "app/program.h"
#include "app/small_run.h"
#include "support/catch.h"

namespace {

using namespace ane;
using namespace cli_test;
using cli::PackingChoice;

}  // namespace

TEST_CASE("weights are packed along the width where that breaks no rule", "[app][packing]") {
  const app::PackingDecision decision = app::resolve_packing({}, NarrowDevice(mil::Severity::slow));
  CHECK(decision.choice == PackingChoice::width);
  CHECK(decision.reason.empty());
}

TEST_CASE("weights are packed along the channels where the width breaks a rule, and the line names it",
          "[app][packing]") {
  cli::Settings settings;
  settings.family = GENERATE(model::Family::llama, model::Family::mlp);
  const app::PackingDecision decision = app::resolve_packing(settings, NarrowDevice(mil::Severity::wrong_result));
  CHECK(decision.choice == PackingChoice::channels);
  settings.packing = decision.choice;
  CHECK_FALSE(app::packing_line(decision, settings).has_value());  // weights are baked
  settings.weights = cli::WeightsChoice::dynamic;
  CHECK_THAT(app::packing_line(decision, settings).value_or(""),
             ANE_CONTAINS("Packing: channels (auto): packed along the width, kernel '") && ANE_CONTAINS("breaks A99"));
  CHECK(app::kernel_options(settings, model::WeightMode::dynamic).packing == model::Packing::channels);
}

TEST_CASE("the user's packing is kept without a message, and the host has the default", "[app][packing]") {
  cli::Settings settings;
  settings.weights = cli::WeightsChoice::dynamic;
  settings.packing = GENERATE(PackingChoice::width, PackingChoice::channels);
  const app::PackingDecision decision = app::resolve_packing(settings, NarrowDevice(mil::Severity::refusal));
  CHECK(decision.choice == settings.packing);
  CHECK_FALSE(app::packing_line(decision, settings).has_value());
  math::ThreadPool threads(1);
  CHECK(app::resolve_packing({}, device::host::HostDevice(threads)).choice == PackingChoice::width);
}

TEST_CASE("runs with both packings end with the same parameters, also through restarts", "[app][packing]") {
  const auto parameters = [&](const std::string& packing, const Words& environment) {
    const Folder folder;
    const Words settings =
        kSmall + Words{"--steps", "8", "--weights", "dynamic", "--packing", packing, "--checkpoint-dir", "c"};
    const Result result = run(settings, environment, folder.path());
    CAPTURE(result.out, result.err);
    REQUIRE(result.code == 0);
    return read_file(folder / "c/step-00000008/model.safetensors");
  };
  const std::string along_width = parameters("width", {});
  CHECK(parameters("channels", {}) == along_width);
  CHECK(parameters("channels", {"ANE_MAX_COMPILES=6"}) == along_width);
}
