#include "ane/cli/settings.h"

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include <unistd.h>

#include "ane/cli/command_line.h"
#include "ane/cli/configs.h"
#include "ane/core/error.h"

#include "support/catch.h"

namespace {

using namespace ane;
using namespace ane::cli;
using Words = std::vector<std::string>;

LoadedSettings load(const Words& arguments, const Words& environment = {}) {
  return load_settings(parse_command_line(std::vector{training_command()}, arguments).values, environment);
}

/// A config file that is removed after the test.
class ConfigFile {
 public:
  explicit ConfigFile(const std::string& json)
      : path_(std::filesystem::temp_directory_path() /
              ("ane-train-settings-test-" + std::to_string(::getpid()) + ".json")) {
    std::ofstream(path_) << json;
  }
  ~ConfigFile() { std::filesystem::remove(path_); }
  ConfigFile(const ConfigFile&) = delete;
  ConfigFile& operator=(const ConfigFile&) = delete;
  [[nodiscard]] std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

}  // namespace

TEST_CASE("without settings the defaults apply, and are reported as such", "[cli][settings]") {
  const LoadedSettings loaded = load({});
  CHECK(loaded.values.steps == 0);
  CHECK(loaded.values.data == "synthetic");
  CHECK(loaded.values.accum_steps == 10);
  CHECK(loaded.values.max_compiles == 0);
  CHECK(loaded.values.surface_pool == 128);
  CHECK_FALSE(loaded.given("lr"));
  CHECK(loaded.origin("lr").place == "default");
}

TEST_CASE("precedence: flag, environment variable, config, default", "[cli][settings]") {
  const ConfigFile file(R"({"accum_steps": 3, "max_compiles": 7, "device": "host", "lr": 1e-3, "tied": false})");
  const Words environment = {"HOME=/", "ANE_ACCUM_STEPS=4", "ANE_MAX_COMPILES=8"};
  const LoadedSettings loaded = load({"--config", file.path(), "--accum-steps", "5"}, environment);
  CHECK(loaded.values.accum_steps == 5);
  CHECK(loaded.origin("accum-steps").place == "--accum-steps");
  CHECK(loaded.values.max_compiles == 8);
  CHECK(loaded.origin("max-compiles").place == "ANE_MAX_COMPILES");
  CHECK(loaded.values.device == DeviceChoice::host);
  CHECK(loaded.origin("device").place == file.path());
  CHECK(loaded.values.optimizer.lr == 1e-3);
  CHECK_FALSE(loaded.values.tied);
  CHECK(loaded.values.optimizer.beta1 == 0.9);
  CHECK(loaded.origin("beta1").place == "default");
  CHECK_THAT(describe(loaded), ANE_CONTAINS("ANE_MAX_COMPILES"));
}

TEST_CASE("every row shows its default as a valid value", "[cli][settings]") {
  for (const Setting& row : settings_table()) {
    CAPTURE(std::string(row.name));
    Settings values;
    const std::string shown = row.show(values);
    CHECK((shown.empty() || row.name == "steps" || row.assign(shown, values)));
    CHECK(row.show(values) == shown);
    CHECK_FALSE(row.help.empty());
    const bool takes_any = row.kind == ValueKind::text;
    CHECK((takes_any || !row.assign("surely-not", values)));
  }
}

TEST_CASE("a resumed run takes settings of its checkpoint that nothing else gives", "[cli][settings][resume]") {
  const ConfigFile config(R"({"seed": 3, "warmup": 4})");
  const RecordedSettings recorded{
      {{"seed", "1"}, {"warmup", "1"}, {"lr", "0.5"}, {"steps", "70"}, {"data", "a.txt"}, {"model", "m"}},
      "checkpoint c"};
  const auto load_resumed = [&](const Words& arguments, const RecordedSettings& from) {
    return load_settings(parse_command_line(std::vector{training_command()}, arguments).values, {},
                         [&](Settings& given) -> std::optional<RecordedSettings> {
                           CHECK(given.checkpoint_dir == "c");
                           return from;
                         });
  };
  const Words resume = {"--resume", "--checkpoint-dir", "c"};
  Words more = resume;
  more.insert(more.end(), {"--config", config.path(), "--warmup", "5"});
  const LoadedSettings loaded = load_resumed(more, recorded);
  CHECK(loaded.values.optimizer.warmup == 5);
  CHECK(loaded.values.seed == 3);
  CHECK(loaded.values.optimizer.lr == 0.5);
  CHECK(loaded.values.steps == 70);
  CHECK(loaded.values.data == "a.txt");
  CHECK(loaded.values.model == "m");
  CHECK(loaded.origin("lr").place == "checkpoint c");
  CHECK(loaded.origin("seed").place == config.path());
  CHECK(loaded.values.optimizer.beta1 == 0.9);
  CHECK(loaded.origin("beta1").place == "default");

  SECTION("but nothing with which a file could do harm") {
    FlagValues harmful;
    for (const char* name : {"config", "checkpoint-dir", "telemetry", "profile", "dump-mil"})
      harmful[name] = "/home/somebody/file";
    harmful.merge(FlagValues{{"device", "ane"},
                             {"threads", "256"},
                             {"parallel-sequences", "256"},
                             {"surface-pool", "1000000"},
                             {"max-compiles", "1"},
                             {"ane-purge-cache", "false"},
                             {"keep-checkpoints", "1"},
                             {"resume", "false"},
                             {"dry-run", "true"},
                             {"time", "false"},
                             {"log-every", "7"}});
    FlagValues unchanged = freeze(load_resumed(resume, {{}, "checkpoint c"}).values);
    const LoadedSettings harmless = load_resumed(resume, {harmful, "checkpoint c"});
    CHECK(freeze(harmless.values) == unchanged);
    for (const auto& [name, value] : harmful) CHECK(harmless.origin(name).origin != Origin::checkpoint);
  }
  SECTION("and never fewer checkpoints than the default keeps") {
    CHECK(load_resumed(resume, {{{"keep-checkpoints", "50"}}, "checkpoint c"}).values.keep_checkpoints == 50);
  }
  SECTION("and no text that was not given") {
    const LoadedSettings without = load_resumed(resume, {{{"sample-prompt", ""}}, "checkpoint c"});
    CHECK(without.warnings.empty());
    CHECK(without.origin("sample-prompt").origin == Origin::built_in);
  }
  SECTION("and not the data that came from standard input") {
    const RecordedSettings piped{{{"data", "-"}}, "checkpoint c"};
    CHECK_THROWS_AS(load_resumed(resume, piped), ane::UsageError);
    CHECK_THROWS_WITH(load_resumed(resume, piped), ANE_CONTAINS("--data -"));
    Words again = resume;
    again.insert(again.end(), {"--data", "-"});
    CHECK(load_resumed(again, piped).values.data == "-");
  }
  SECTION("and those of another version only if they are valid") {
    const LoadedSettings odd = load_resumed(resume, {{{"lr", "fast"}, {"arch", "mlp"}}, "checkpoint c"});
    CHECK(odd.values.optimizer.lr == 1e-3);
    REQUIRE(odd.warnings.size() == 1);
    CHECK_THAT(odd.warnings.front(), ANE_CONTAINS("checkpoint c: ignoring lr 'fast'"));
  }
  SECTION("and those of an mlp without a transformer's") {
    const LoadedSettings mlp = load_resumed(resume, {{{"family", "mlp"}, {"heads", "4"}}, "checkpoint c"});
    CHECK(mlp.values.family == model::Family::mlp);
    CHECK_FALSE(mlp.given("heads"));
  }
}

TEST_CASE("each named config loads and describes its model", "[cli][settings]") {
  REQUIRE(named_configs().size() == 4);
  for (const NamedConfig& config : named_configs()) {
    CAPTURE(std::string(config.name));
    CHECK(load({"--config", std::string(config.name)}).given("dim"));
  }
  const Settings shakespeare = load({"--config", "shakespeare"}).values;
  CHECK(shakespeare.dim == 128);
  CHECK(shakespeare.hidden == 352);
  CHECK(shakespeare.accum_steps == 12);
  CHECK(shakespeare.optimizer.warmup == 100);
  CHECK(shakespeare.optimizer.beta2 == 0.99);
  CHECK(shakespeare.optimizer.schedule == ane::train::ScheduleKind::cosine);
  const Settings stories = load({"--config", "stories110m"}).values;
  CHECK(stories.dim == 768);
  CHECK(stories.vocab == 32000);
  CHECK(stories.layers == 12);
  CHECK(load({"--config", "tiny"}).values.family == model::Family::mlp);
}

TEST_CASE("numbers as near to their limits as fp32 allows are accepted", "[cli][settings]") {
  CHECK(load({"--beta2", "0.9999999"}).values.optimizer.beta2 == 0.9999999);
  CHECK(load({"--beta1", "0"}).values.optimizer.beta1 == 0);
  CHECK(load({"--lr", "1.2e-38"}).values.optimizer.lr == 1.2e-38);
  CHECK(load({"--weight-decay", "0"}).values.optimizer.weight_decay == 0);
}

TEST_CASE("each optimizer has its own defaults, and a given value is always used", "[cli][settings]") {
  const auto optimizer = [](const Words& arguments) { return load(arguments).values.optimizer; };
  CHECK(optimizer({}).beta2 == 0.95);
  CHECK(optimizer({"--optimizer", "lion"}).beta1 == 0.9);
  CHECK(optimizer({"--optimizer", "lion"}).beta2 == 0.99);
  CHECK(optimizer({"--optimizer", "lion", "--beta2", "0.95"}).beta2 == 0.95);
  CHECK(optimizer({"--optimizer", "sgd"}).momentum == 0);
  CHECK(optimizer({"--optimizer", "muon"}).momentum == 0.95);
  CHECK(optimizer({"--optimizer", "muon", "--momentum", "0"}).momentum == 0);
  CHECK(optimizer({"--optimizer", "muon"}).beta2 == 0.95);
  CHECK(optimizer({"--config", "shakespeare", "--optimizer", "muon"}).beta2 == 0.99);
}

TEST_CASE("an option that the optimizer does not use is pointed out", "[cli][settings]") {
  const auto warnings = [](const Words& arguments) { return load(arguments).warnings; };
  CHECK(warnings({"--optimizer", "sgd", "--beta1", "0.5"}) ==
        std::vector<std::string>{"--beta1 has no effect: --optimizer sgd does not use it"});
  CHECK(warnings({"--momentum", "0.5"}) ==
        std::vector<std::string>{"--momentum has no effect: --optimizer adamw does not use it"});
  CHECK(warnings({"--optimizer", "lion", "--eps", "1e-6"}) ==
        std::vector<std::string>{"--eps has no effect: --optimizer lion does not use it"});
  CHECK(warnings({"--config", "shakespeare", "--optimizer", "sgd"}).empty());
  CHECK(warnings({"--optimizer", "muon", "--momentum", "0.9", "--beta1", "0.8", "--eps", "1e-6"}).empty());
  const std::vector<std::string> of_adapters = warnings({"--optimizer", "muon", "--lora", "4"});
  REQUIRE(of_adapters.size() == 1);
  CHECK_THAT(of_adapters[0], ANE_CONTAINS("only adapters are trained"));
}

TEST_CASE("a cosine schedule needs to know its end", "[cli][settings]") {
  CHECK_THROWS_WITH(load({"--config", "shakespeare", "--max-minutes", "2"}),
                    ANE_CONTAINS("schedule (config shakespeare) is cosine") && ANE_CONTAINS("--steps N"));
  CHECK(load({"--config", "shakespeare", "--max-minutes", "0.5", "--steps", "5"}).values.max_minutes == 0.5);
  CHECK(load({"--config", "shakespeare", "--max-minutes", "2", "--schedule", "constant"}).values.steps == 0);
  CHECK(load({"--max-minutes", "none"}).values.max_minutes == 0);
}

TEST_CASE("words represent special values", "[cli][settings]") {
  CHECK(load({"--threads", "auto"}).values.threads == 0);
  CHECK(load({"--max-compiles", "auto"}).values.max_compiles == 0);
  CHECK(load({"--kv-heads", "heads"}).values.kv_heads == 0);
  CHECK(load({"--loss-scale", "dynamic"}).values.loss_scale == 0);
  CHECK(load({"--loss-scale", "8"}).values.loss_scale == 8);
  CHECK_FALSE(load({"--untied"}).values.tied);
  CHECK(load({"--tied"}).values.tied);
}

TEST_CASE("a value that does not parse or is out of range names setting, value and range", "[cli][settings]") {
  using Row = std::tuple<Words, Words, std::string>;
  const auto [arguments, environment, message] = GENERATE(values<Row>({
      {{}, {"ANE_ACCUM_STEPS=abc"}, "ANE_ACCUM_STEPS: 'abc' is not a whole number from 1 to 1000000"},
      {{}, {"ANE_ACCUM_STEPS=0"}, "ANE_ACCUM_STEPS: '0' is not a whole number from 1 to 1000000"},
      {{}, {"ANE_ACCUM_STEPS=-1"}, "ANE_ACCUM_STEPS: '-1' is not a whole number from 1 to 1000000"},
      {{}, {"ANE_ACCUM_STEPS=1e3"}, "ANE_ACCUM_STEPS: '1e3' is not a whole number from 1 to 1000000"},
      {{}, {"ANE_ACCUM_STEPS= 5"}, "ANE_ACCUM_STEPS: ' 5' is not a whole number from 1 to 1000000"},
      {{}, {"ANE_ACCUM_STEPS="}, "ANE_ACCUM_STEPS: the value is empty; expected a whole number from 1 to 1000000"},
      {{}, {"ANE_ACCUM_STEPS"}, "ANE_ACCUM_STEPS: the value is empty; expected a whole number from 1 to 1000000"},
      {{}, {"ANE_MAX_COMPILES=99999999999999999999"}, "'99999999999999999999' is not a whole number from 1 to 1000000"},
      {{}, {"ANE_DEVICE=gpu"}, "ANE_DEVICE: 'gpu' is not one of auto, ane, host"},
      {{"--lr", "nan"}, {}, "--lr: 'nan' is not a number from 0 to 1000"},
      {{"--lr", "inf"}, {}, "--lr: 'inf' is not a number from 0 to 1000"},
      {{"--lr", "-1"}, {}, "--lr: '-1' is not a number from 0 to 1000"},
      {{"--lr=0x1"}, {}, "--lr: '0x1' is not a number from 0 to 1000"},
      {{"--lr", "1e-3x"}, {}, "--lr: '1e-3x' is not a number from 0 to 1000"},
      {{"--lr", "1e999"}, {}, "--lr: '1e999' is not a number from 0 to 1000"},
      {{"--beta2", "1"}, {}, "--beta2: '1' is not a number from 0 to below 1"},
      {{"--beta2", "0.99999998"}, {}, "--beta2: '0.99999998' is not a number from 0 to below 1 in fp32"},
      {{"--beta1", "0.9999999999"}, {}, "--beta1: '0.9999999999' is not a number from 0 to below 1 in fp32"},
      {{"--beta1", "1e-46"}, {}, "--beta1: '1e-46' is not a number from 0 to below 1 in fp32 (0, or at least 1.2e-38)"},
      {{"--lr", "1e-39"}, {}, "--lr: '1e-39' is not a number from 0 to 1000 in fp32 (0, or at least 1.2e-38)"},
      {{"--min-lr", "1e-300"}, {}, "--min-lr: '1e-300' is not a number"},
      {{"--weight-decay", "1e-40"}, {}, "--weight-decay: '1e-40' is not a number"},
      {{"--grad-clip", "1e-40"}, {}, "--grad-clip: '1e-40' is not a number"},
      {{"--eps", "1e-30"}, {}, "--eps: '1e-30' is not a number from 1e-18 to 1 in fp32"},
      {{"--steps", "0"}, {}, "--steps: '0' is not a whole number from 1 to"},
      {{"--max-minutes", "0"}, {}, "--max-minutes: '0' is not a number above 0 up to 10000000 in fp32 or 'none'"},
      {{"--max-minutes", "-1"}, {}, "--max-minutes: '-1' is not a number above 0"},
      {{"--max-minutes", "1e-50"}, {}, "--max-minutes: '1e-50' is not a number above 0"},
      {{"--steps", "10.0"}, {}, "--steps: '10.0' is not a whole number from 1 to"},
      {{"--threads", "0"}, {}, "--threads: '0' is not a whole number from 1 to 256 or 'auto'"},
      {{"--optimizer", "adam"}, {}, "--optimizer: 'adam' is not one of adamw, muon, lion, sgd"},
      {{"--vocab", "1"}, {}, "--vocab: '1' is not a whole number from 2 to 1000000"},
      {{"--loss-scale", "0"}, {}, "--loss-scale: '0' is not a number from 1 to 65536 in fp32 or 'dynamic'"},
      {{"--data="}, {}, "--data"},
      {{"--data", ""}, {}, "--data: the value is empty; expected a name or path"},
      {{"--checkpoint-dir", ""}, {}, "--checkpoint-dir: the value is empty; expected a name or path"},
      {{"--optimizer", ""}, {}, "--optimizer: the value is empty; expected one of adamw, muon, lion, sgd"},
      {{"--output", "pretty"}, {}, "--output: 'pretty' is not one of auto, plain, dashboard, quiet"},
  }));
  CAPTURE(arguments, environment);
  CHECK_THROWS_AS(load(arguments, environment), ane::UsageError);
  CHECK_THROWS_WITH(load(arguments, environment), ANE_CONTAINS(message));
}

TEST_CASE("unknown and repeated flags and flags without a value are refused", "[cli][settings]") {
  using Row = std::tuple<Words, std::string>;
  const auto [arguments, message] = GENERATE(values<Row>({
      {{"--acum-steps", "3"}, "unknown option --acum-steps; did you mean --accum-steps?"},
      {{"--acum-steps=3"}, "unknown option --acum-steps; did you mean --accum-steps?"},
      {{"--batch-size", "8"}, "unknown option --batch-size; did you mean --accum-steps? ("},
      {{"--batch_size=8"}, "unknown option --batch_size; did you mean --accum-steps? ("},
      {{"--learning-rate", "1"}, "unknown option --learning-rate; did you mean --lr? ("},
      {{"--epochs", "1"}, "unknown option --epochs; did you mean --steps? ("},
      {{"--frobnicate"}, "unknown option --frobnicate ("},
      {{"-n"}, "unknown option -n"},
      {{"training"}, "unexpected argument 'training'; every setting is a flag"},
      {{"--lr", "1", "--lr", "2"}, "--lr is given 2 times"},
      {{"--tied", "--untied"}, "--tied is given 2 times"},
      {{"--steps"}, "--steps needs a value: N, a whole number from 1 to 1000000000000 (see ane-train --help)"},
      {{"--lr", "1", "--data"}, "--data needs a value: FILES|DIR|-|synthetic, a name or path ("},
      {{"--steps", "--lr", "1"}, "--steps needs a value before --lr"},
      {{"--steps", "1", "--weights"}, "--weights needs a value: baked|dynamic|auto (see"},
      {{"--steps", "10", "mil"}, "unexpected argument 'mil'"},
      {{"--dry-run=maybe"}, "maybe"},
  }));
  CAPTURE(arguments);
  CHECK_THROWS_AS(load(arguments), ane::UsageError);
  CHECK_THROWS_WITH(load(arguments), ANE_CONTAINS(message));
}

TEST_CASE("settings that contradict each other are refused", "[cli][settings]") {
  using Row = std::tuple<Words, std::string>;
  const auto [arguments, message] = GENERATE(values<Row>({
      {{"--schedule", "cosine", "--lr", "1e-4", "--min-lr", "1e-3"}, "min_lr (--min-lr) is 0.001, above lr"},
      {{"--resume"}, "--resume needs --checkpoint-dir"},
      {{"--resume", "auto"}, "--resume needs --checkpoint-dir"},
      {{"--sample-every", "5"}, "sample_every (--sample-every) needs --sample-prompt TEXT"},
      {{"--sample-prompt", "a"}, "sample_prompt (--sample-prompt) needs --sample-every N"},
      {{"--family", "mlp", "--sample-every", "5", "--sample-prompt", "a"}, "does not apply to an mlp"},
      {{"--keep-best", "--val-every", "1"}, "--keep-best needs --checkpoint-dir"},
      {{"--keep-best", "--checkpoint-dir", "c"}, "--keep-best needs --val-every"},
      {{"--checkpoint-every", "3"}, "--checkpoint-every needs --checkpoint-dir"},
      {{"--device", "ane", "--precision", "fp32"}, "runs only on the host"},
      {{"--config", "tiny", "--layers", "3"}, "layers (--layers) does not apply to an mlp"},
      {{"--config", "tiny", "--data", "x.txt"}, "trains only on synthetic data (family comes from config tiny)"},
  }));
  CAPTURE(arguments);
  CHECK_THROWS_AS(load(arguments), ane::UsageError);
  CHECK_THROWS_WITH(load(arguments), ANE_CONTAINS(message));
}

TEST_CASE("errors in a config name the file, the key and the expected value", "[cli][settings]") {
  using Row = std::tuple<std::string, std::string>;
  const auto [json, message] = GENERATE(values<Row>({
      {R"({"acum_steps": 3})", "unknown setting 'acum_steps'; did you mean accum_steps?"},
      {R"({"batch_size": 3})", "unknown setting 'batch_size'; did you mean accum_steps?"},
      {R"({"data": ""})", "data: the value is empty; expected a name or path"},
      {R"({"output": 3})", "output: 3 is not one of auto, plain, dashboard, quiet"},
      {R"({"resume": true})", "unknown setting 'resume'"},
      {R"({"accum_steps": "12"})", R"(accum_steps: "12" is not a whole number from 1 to 1000000)"},
      {R"({"accum_steps": 12.0})", "accum_steps: '12.0' is not a whole number from 1 to 1000000"},
      {R"({"accum_steps": null})", "accum_steps: null is not a whole number"},
      {R"({"lr": [1]})", "lr: an array is not a number from 0 to 1000"},
      {"{\"lr\": " + std::string(100000, '[') + std::string(100000, ']') + "}", "lr: an array is not a number"},
      {R"({"tied": "yes"})", R"(tied: "yes" is not true or false)"},
      {R"({"data": 3})", "data: 3 is not"},
      {R"({"data": "a\u0000b"})", R"(data: "a\u0000b" is not)"},
      {R"({"lr": 1, "lr": 2})", "'lr' is given twice"},
  }));
  CAPTURE(json);
  const ConfigFile file(json);
  CHECK_THROWS_AS(load({"--config", file.path()}), ane::UsageError);
  CHECK_THROWS_WITH(load({"--config", file.path()}), ANE_CONTAINS(message) && ANE_CONTAINS(file.path()));
}

TEST_CASE("a path in a config file is relative to the file", "[cli][settings]") {
  const std::string json = R"({"data": "a.txt,/b.txt", "model": "m.bin", "telemetry": "../t", "checkpoint_dir": "/c"})";
  const ConfigFile file(json);
  const std::filesystem::path directory = std::filesystem::path(file.path()).parent_path();
  const Settings values = load({"--config", file.path(), "--profile", "p"}).values;
  CHECK(values.data == (directory / "a.txt").string() + ",/b.txt");
  CHECK(values.model == (directory / "m.bin").string());
  CHECK(values.telemetry == (directory / "../t").string());
  CHECK(values.checkpoint_dir == "/c");
  CHECK(values.profile == "p");
  for (const char* data : {"synthetic", "-"})
    CHECK(load({"--config", ConfigFile(std::string(R"({"data": ")") + data + "\"}").path()}).values.data == data);
}

TEST_CASE("a comment in a config is called one", "[cli][settings]") {
  const std::string json = GENERATE(as<std::string>(), "{\n  // fast\n  \"lr\": 1}", "{\n  /* fast */ \"lr\": 1}",
                                    "{\n  # fast\n  \"lr\": 1}", "{\"lr\": 1,\n// end\n}", "{\"lr\": 1}\n# end\n");
  CAPTURE(json);
  const ConfigFile file(json);
  CHECK_THROWS_AS(load({"--config", file.path()}), ane::FileError);
  CHECK_THROWS_WITH(load({"--config", file.path()}), ANE_CONTAINS(file.path() + ": line 2 has a comment") &&
                                                         ANE_CONTAINS("description") &&
                                                         !ANE_CONTAINS("json.exception"));
}

TEST_CASE("a config that is missing or not a JSON object is a file error", "[cli][settings]") {
  const std::string json = GENERATE(as<std::string>(), "", "[]", "{\"lr\": }", "3", "{\"lr\": 1", "\xff\xfe");
  CAPTURE(json);
  const ConfigFile file(json);
  CHECK_THROWS_AS(load({"--config", file.path()}), ane::FileError);
  CHECK_THROWS_AS(load({"--config", "/nowhere/at-all.json"}), ane::FileError);
  CHECK_THROWS_WITH(load({"--config", "/nowhere/at-all.json"}), ANE_CONTAINS("/nowhere/at-all.json"));
}

TEST_CASE("an unknown config suggests the nearest, or lists them if none is near", "[cli][settings]") {
  CHECK_THROWS_AS(load({"--config", "shakespear"}), ane::UsageError);
  CHECK_THROWS_WITH(load({"--config", "shakespear"}), "unknown config 'shakespear'; did you mean shakespeare?");
  CHECK_THROWS_WITH(load({"--config", "xyzzy"}), ANE_CONTAINS("available: shakespeare, stories110m, stories15m, tiny"));
}

TEST_CASE("an unknown variable with our prefix causes a warning", "[cli][settings]") {
  const LoadedSettings loaded = load({}, {"ANE_ACUM_STEPS=3", "ANE_TRAIN_STATE=5:1", "PATH=/bin"});
  REQUIRE(loaded.warnings.size() == 1);
  CHECK(loaded.warnings.front() ==
        "ignoring unknown environment variable ANE_ACUM_STEPS; did you mean ANE_ACCUM_STEPS?");
}

TEST_CASE("help and version return their text", "[cli][settings]") {
  const CommandLine help = parse_command_line(std::vector{training_command()}, Words{"--help"});
  REQUIRE(help.answer);
  for (const Setting& row : settings_table()) CHECK_THAT(*help.answer, ANE_CONTAINS(row.flag()));
  // CLI11's blanks and line breaks differ between versions.
  std::string packed = *help.answer;
  std::erase_if(packed, [](char c) { return c == ' ' || c == '\n'; });
  for (const Setting& row : settings_table())
    if (row.kind == ValueKind::choice) {
      CAPTURE(row.flag());
      CHECK_THAT(packed, ANE_CONTAINS(row.flag() + row.placeholder));
    }
  CHECK_THAT(packed, ANE_CONTAINS("--weightsbaked|dynamic|auto") && ANE_CONTAINS("--outputauto|plain|dashboard|quiet"));
  CHECK_THAT(packed, ANE_CONTAINS("--tied,--untiedthe") && ANE_CONTAINS("separateweights)[true]"));
  const CommandLine version = parse_command_line(std::vector{training_command()}, Words{"--version"});
  REQUIRE(version.answer);
  CHECK_THAT(*version.answer, ANE_CONTAINS("ane-train "));
}
