#include "ane/app/restart_context.h"

#include <string>
#include <vector>

#include "ane/cli/command_line.h"
#include "ane/cli/text.h"
#include "ane/core/error.h"

#include "support/catch.h"

using namespace ane;

TEST_CASE("a process passes every setting to the next, byte for byte", "[app][restart]") {
  const std::vector<std::string> arguments = {
      "--data", "a\nb\\n \xff=c.txt", "--lr",   "0.1",      "--untied", "--threads", "3", "--steps",
      "12",     "--schedule",         "cosine", "--device", "host"};
  const cli::LoadedSettings loaded =
      cli::load_settings(cli::parse_command_line(std::vector{cli::training_command()}, arguments).values, {});
  const std::vector<std::string> environment = {"HOME=/", "ANE_TRAIN_SETTINGS=old", "ANE_TRAIN_STATE=1:2"};
  const std::vector<std::string> passed = app::environment_with(environment, {.state_handle = {7, 99},
                                                                              .settings = loaded.values,
                                                                              .data_identity = "text\nof\\n data",
                                                                              .process = 3,
                                                                              .lock = 8,
                                                                              .standard_input = 9});
  CHECK(passed.size() == 3);
  const auto found = app::find_restart_context(passed);
  REQUIRE(found);
  CHECK(found->state_handle.descriptor == 7);
  CHECK(found->state_handle.exec_ns == 99);
  CHECK(found->process == 3);
  CHECK(found->lock == 8);
  CHECK(found->standard_input == 9);
  CHECK(found->descriptors() == std::vector<int>{7, 8, 9});
  CHECK(found->data_identity == "text\nof\\n data");
  CHECK(cli::freeze(found->settings) == cli::freeze(loaded.values));
  CHECK(found->settings.data == "a\nb\\n \xff=c.txt");
  CHECK(found->settings.optimizer.lr == 0.1);
  CHECK_FALSE(found->settings.tied);
  model::ModelConfig config{.family = model::Family::mlp, .dim = 1, .hidden = 1, .seq_len = 1};
  CHECK(app::fingerprint_of(found->settings, config) == app::fingerprint_of(loaded.values, config));
  const std::uint64_t fingerprint = app::fingerprint_of(found->settings, config);
  config.dim = 2;
  CHECK(app::fingerprint_of(loaded.values, config) != fingerprint);
}

TEST_CASE("a first process finds no restart context, and a broken one is refused", "[app][restart]") {
  CHECK_FALSE(app::find_restart_context(std::vector<std::string>{"HOME=/", "ANE_TRAIN_SETTINGS=x"}));
  CHECK_THROWS_AS(app::find_restart_context(std::vector<std::string>{"ANE_TRAIN_STATE=3:4"}), UsageError);
  CHECK_THROWS_WITH(app::find_restart_context(std::vector<std::string>{"ANE_TRAIN_STATE=3:4"}),
                    ANE_CONTAINS("ANE_TRAIN_SETTINGS"));
  CHECK_THROWS_AS(
      app::find_restart_context(std::vector<std::string>{"ANE_TRAIN_STATE=3:4", "ANE_TRAIN_SETTINGS=lr=abc"}),
      UsageError);
}

TEST_CASE("fields are packed and unpacked", "[app][restart]") {
  const cli::Fields fields = {{"a", ""}, {"b", "\\"}, {"c", "\n"}, {"d", "x=y"}, {"e", "\\n"}};
  CHECK(cli::unpack_fields(cli::pack_fields(fields)) == fields);
  CHECK(cli::unpack_fields("").empty());
  CHECK(cli::unpack_fields("odd") == cli::Fields{{"odd", ""}});
}
