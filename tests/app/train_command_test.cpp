#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <sstream>
#include <string>
#include <tuple>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include "app/program.h"
#include "app/small_run.h"
#include "support/catch.h"
#include "support/sanitized.h"

namespace {

using namespace cli_test;
namespace fs = std::filesystem;

/// The number after "LABEL:" in the report.
double reported(const std::string& out, const std::string& label) {
  std::smatch match;
  const std::regex pattern(label + R"(:\s+([-0-9.]+))");
  REQUIRE(std::regex_search(out, match, pattern));
  return std::stod(match[1]);
}

std::string parameters_in(const fs::path& checkpoint) { return read_file(checkpoint / "model.safetensors"); }

}  // namespace

TEST_CASE("a run prints the lines that the field's dashboards read", "[app][run]") {
  const Folder folder;
  const Result result = run(kSmall + Words{"--steps", "20"}, {}, folder.path());
  CAPTURE(result.out, result.err);
  REQUIRE(result.code == 0);
  const std::vector<std::string> patterns = {
      R"(dim=32 hidden=64 heads=2 seq=32 vocab=64 layers=1)",
      R"(Params: \d+\.\d\dM \(transformer \d+\.\d\dM \+ embed \d+\.\d\dM\))",
      R"(Kernels: 6 \(5 weight-bearing \+ 1 static\))",
      R"(Accum 2 steps per recompile \| Adam LR=1\.0e-03)",
      R"(FLOPs/step: fwd=[\d.]+M bwd_dx=[\d.]+M bwd_dW=[\d.]+M sdpa_bwd=[\d.]+M total=[\d.]+M cls=[\d.]+M)",
      R"(ANE FLOPs/step: [\d.]+M)",
      R"(Compiled 6 kernels in \d+ms)",
      R"(step 1    loss=\d\.\d{4} lr=1\.0e-03 \d+\.\dms/step)",
      R"(step 10   loss=\d\.\d{4} lr=1\.0e-03 \d+\.\dms/step)",
      R"(\[batch 2: compile=\d+ms train=\d+\.\dms \(\d+\.\dms/step\) compiles=\d+\])",
      R"(ane=\d+\.\d io=\d+\.\d cls=\d+\.\d elem=\d+\.\d rms=\d+\.\d cblas_wait=\d+\.\d ms/step)",
      R"(=== Efficiency Report ===)",
      R"(Total steps:\s+20)",
      R"(Wall time:\s+\d+ ms.*)",
      R"(Compile time:\s+\d+ ms \(\d+\.\d%\))",
      R"(Train time:\s+\d+ ms \(\d+\.\d%\))",
      R"(Avg train:\s+\d+\.\d ms/step)",
      R"(Host TFLOPS:.*)",
  };
  const std::vector<std::string> lines = lines_of(result.out);
  for (const std::string& pattern : patterns) {
    CAPTURE(pattern);
    CHECK(std::any_of(lines.begin(), lines.end(),
                      [&](const std::string& line) { return std::regex_match(line, std::regex(pattern)); }));
  }
  CHECK(count(result.out, "\nstep ") == 3);  // 1, 10, 20
  CHECK(result.out.find("ANE TFLOPS") == std::string::npos);
  CHECK(result.out.find('\033') == std::string::npos);
  CHECK(result.err.empty());  // no bar without a terminal, no warnings
}

TEST_CASE("the number of steps is the only required setting", "[app][run]") {
  const Folder folder;
  const Result result = run({"--steps", "1"}, {}, folder.path());
  CAPTURE(result.out, result.err);
  CHECK(result.code == 0);
  CHECK_THAT(result.out, ANE_CONTAINS("dim=64 hidden=176 heads=4 seq=64 vocab=256 layers=2"));
  CHECK_THAT(result.err, ANE_CONTAINS("the host device runs the kernels on the CPU"));
  CHECK(fs::is_empty(folder.path()));
}

TEST_CASE("the parameters do not depend on how the run was divided into processes", "[app][restart]") {
  const Folder folder;
  const Words settings = kSmall + Words{"--steps", "20", "--log-every", "2"};
  const Result whole = run(settings + Words{"--checkpoint-dir", "whole"}, {"ANE_MAX_COMPILES=1000000"}, folder.path());
  CAPTURE(whole.err);
  REQUIRE(whole.code == 0);
  CHECK(count(whole.out, "[exec() restart") == 0);
  const std::string expected = parameters_in(folder / "whole/step-00000020");
  REQUIRE_FALSE(expected.empty());

  SECTION("by a re-execution at each update, with blanks and quotes in the arguments") {
    const std::string name = "it's \"cut\" up";
    const Result cut = run(settings + Words{"--checkpoint-dir", name}, {"ANE_MAX_COMPILES=8"}, folder.path());
    CAPTURE(cut.out, cut.err);
    REQUIRE(cut.code == 0);
    CHECK(count(cut.out, "[exec() restart step") == 9);
    CHECK(count(cut.out, "[RESUMED step") == 9);
    CHECK(count(cut.out, "Params:") == 1);  // the header is not repeated
    CHECK(count(cut.out, "Data:") == 1);
    CHECK(count(cut.out, "=== Efficiency Report ===") == 1);
    CHECK_THAT(cut.out, ANE_CONTAINS("[exec() restart step 2, 6 compiles, loss="));
    CHECK(parameters_in(folder / (name + "/step-00000020")) == expected);
    const auto steps = [](const std::string& out) {
      std::vector<std::string> found;  // without the times, which differ
      for (const std::string& line : lines_of(out)) {
        if (line.starts_with("step ")) found.push_back(line.substr(0, line.find(" lr=")));
      }
      return found;
    };
    CHECK(steps(cut.out) == steps(whole.out));
  }
  SECTION("by resuming") {
    REQUIRE(run(kSmall + Words{"--steps", "10", "--checkpoint-dir", "parts"}, {}, folder.path()).code == 0);
    const Result rest = run(settings + Words{"--checkpoint-dir", "parts", "--resume"}, {}, folder.path());
    CAPTURE(rest.out, rest.err);
    REQUIRE(rest.code == 0);
    CHECK_THAT(rest.out, ANE_CONTAINS("[RESUMED step 10, loss="));
    CHECK(parameters_in(folder / "parts/step-00000020") == expected);
  }
}

TEST_CASE("in every mode the parameters do not depend on how the run was divided into processes", "[app][restart]") {
  // Several KV groups, an untied classifier, and widths that are not multiples of 16.
  const Words model = {"--dim",      "40",        "--hidden", "56",       "--layers", "2",  "--heads",  "4",
                       "--kv-heads", "2",         "--vocab",  "64",       "--seq",    "32", "--untied", "--accum-steps",
                       "2",          "--threads", "2",        "--device", "host"};
  const std::string weights = GENERATE(as<std::string>(), "baked", "dynamic");
  const std::string plan = GENERATE(as<std::string>(), "split", "merged");
  CAPTURE(weights, plan);
  const Folder folder;
  const Words settings = model + Words{"--weights", weights, "--plan", plan, "--steps", "12"};
  const Result whole = run(settings + Words{"--checkpoint-dir", "whole"}, {"ANE_MAX_COMPILES=1000"}, folder.path());
  CAPTURE(whole.out, whole.err);
  REQUIRE(whole.code == 0);
  const std::string expected = parameters_in(folder / "whole/step-00000012");

  REQUIRE(run(model + Words{"--weights", weights, "--plan", plan, "--steps", "6", "--checkpoint-dir", "parts"}, {},
              folder.path())
              .code == 0);
  REQUIRE(run(settings + Words{"--checkpoint-dir", "parts", "--resume"}, {}, folder.path()).code == 0);
  CHECK(parameters_in(folder / "parts/step-00000012") == expected);

  const std::string least = weights == "dynamic" ? (plan == "split" ? "6" : "4") : (plan == "split" ? "11" : "8");
  const Result cut = run(settings + Words{"--checkpoint-dir", "cut"}, {"ANE_MAX_COMPILES=" + least}, folder.path());
  CAPTURE(cut.out, cut.err);
  REQUIRE(cut.code == 0);
  CHECK(count(cut.out, "[exec() restart") == (weights == "dynamic" ? 0 : 6));
  CHECK(parameters_in(folder / "cut/step-00000012") == expected);
}

TEST_CASE("dynamic weights need one compile round and have a line in the report", "[app][run]") {
  const Folder folder;
  const Result result =
      run(kSmall + Words{"--steps", "20"}, {"ANE_WEIGHTS=dynamic", "ANE_MAX_COMPILES=6"}, folder.path());
  CAPTURE(result.out, result.err);
  REQUIRE(result.code == 0);
  CHECK_THAT(result.out, ANE_CONTAINS("Kernels: 6 (0 weight-bearing + 6 static)"));
  CHECK(count(result.out, "Compiled 6 kernels") == 1);
  CHECK_THAT(result.out, ANE_CONTAINS("Compiles:        6 (1 training round)"));
  CHECK(count(result.out, "\nWeight loads: ") == 1);
  const Result mlp = run({"--family", "mlp", "--steps", "20", "--device", "host", "--weights", "dynamic"},
                         {"ANE_MAX_COMPILES=2"}, folder.path());
  CAPTURE(mlp.out, mlp.err);
  CHECK(mlp.code == 0);
  CHECK_THAT(mlp.out, ANE_CONTAINS("Compiles:        2 (1 training round)"));
}

TEST_CASE("a restart does not need the executable's path, the config or the model file", "[app][restart]") {
  const Folder folder;
  REQUIRE(run(kSmall + Words{"--steps", "2", "--checkpoint-dir", "start"}, {}, folder.path()).code == 0);
  fs::copy_file(folder / "start/step-00000002/model.safetensors", folder / "start.safetensors");
  fs::copy_file(ANE_TRAIN_PROGRAM, folder / "copied ane-train");
  write_file(folder / "settings.json",
             R"({"lr": 0.001, "accum_steps": 2, "device": "host", "threads": 1, "val_samples": 2, "log_every": 1})");
  const Words settings = {"--config", "./settings.json", "--model", "start.safetensors", "--steps"};

  // Enough steps that the removal happens in between; with sanitizers each process takes many times as long.
  const int steps = kSanitized ? 40 : 200;
  const std::string last = fmt::format("step-{:08}", steps);

  const Result whole = run(settings + Words{std::to_string(steps), "--checkpoint-dir", "whole"},
                           {"ANE_MAX_COMPILES=1000000"}, folder.path());
  CAPTURE(whole.err);
  REQUIRE(whole.code == 0);

  Program program(settings + Words{std::to_string(steps), "--checkpoint-dir", "cut"}, {"ANE_MAX_COMPILES=8"},
                  folder.path(), folder / "copied ane-train");
  REQUIRE(program.wait_for("step 1 "));
  fs::remove(folder / "copied ane-train");
  fs::remove(folder / "start.safetensors");
  write_file(folder / "settings.json", R"({"lr": 7)");
  const Result cut = program.wait();
  CAPTURE(cut.out, cut.err);
  REQUIRE(cut.code == 0);
  CHECK(count(cut.out, "[exec() restart") == steps / 2 - 1);
  CHECK(parameters_in(folder / ("cut/" + last)) == parameters_in(folder / ("whole/" + last)));
}

TEST_CASE("data from standard input are read by every process of a run", "[app][restart]") {
  const Folder folder;
  std::string text(20000, 'a');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>('a' + i * i % 23);
  write_file(folder / "text", text);
  fs::create_directory(folder / "tmp");
  const Words settings = with(kSmall, "--vocab", "256") + Words{"--steps", "20", "--checkpoint-dir"};
  const Words environment = {"ANE_MAX_COMPILES=13", "TMPDIR=" + folder / "tmp"};
  const Result named = run(settings + Words{"named", "--data", "text"}, environment, folder.path());
  REQUIRE(named.code == 0);
  const Words shell = {"-c", R"(cat text | "$0" "$@")", ANE_TRAIN_PROGRAM};
  const Result piped =
      Program(shell + settings + Words{"piped", "--data", "-"}, environment, folder.path(), "/bin/sh").wait();
  CAPTURE(piped.out, piped.err);
  REQUIRE(piped.code == 0);
  CHECK(count(piped.out, "[exec() restart") == 4);
  CHECK_THAT(piped.out, ANE_CONTAINS("Data: standard input: 18000 bytes for training, 2000 held out"));
  CHECK(parameters_in(folder / "piped/step-00000020") == parameters_in(folder / "named/step-00000020"));
  CHECK(fs::is_empty(folder / "tmp"));

  const Words more = {"-c", R"(cat text | "$0" "$@" --data - --resume --steps 24)", ANE_TRAIN_PROGRAM};
  const Result resumed =
      Program(more + Words{"--device", "host", "--checkpoint-dir", "piped"}, environment, folder.path(), "/bin/sh")
          .wait();
  CAPTURE(resumed.err);
  CHECK(resumed.code == 0);
  CHECK_THAT(resumed.out, ANE_CONTAINS("[RESUMED step 20, loss="));
  const Result unnamed = run({"--device", "host", "--checkpoint-dir", "piped", "--resume"}, {}, folder.path());
  CHECK(unnamed.code == 2);
  CHECK_THAT(unnamed.err, ANE_CONTAINS("read the data from standard input"));
}

TEST_CASE("data that change during a run end it, and no progress is lost", "[app][restart]") {
  const Folder folder;
  write_file(folder / "text.txt", std::string(20000, 'a'));
  Words settings = kSmall;
  *(std::find(settings.begin(), settings.end(), "--vocab") + 1) = "256";
  Program running(settings + Words{"--data", "text.txt", "--steps", "100000", "--log-every", "1"},
                  {"ANE_MAX_COMPILES=6"}, folder.path());
  REQUIRE(running.wait_for("step 4 "));
  fs::remove(folder / "text.txt");
  const Result result = running.wait();
  CAPTURE(result.out.substr(0, 2000), result.err);
  CHECK(result.code == 3);
  CHECK_THAT(result.err, ANE_CONTAINS("text.txt"));
  CHECK_THAT(result.err, ANE_CONTAINS("--checkpoint-dir ane-train-checkpoint --resume"));
  CHECK(fs::exists(folder / "ane-train-checkpoint"));
}

TEST_CASE("without a limit given, the host compiles as often as it needs to", "[app][restart]") {
  const Folder folder;
  const Words settings = kSmall + Words{"--steps", "50"};  // 128 compiles
  const Result result = run(settings, {}, folder.path());
  CAPTURE(result.out, result.err);
  REQUIRE(result.code == 0);
  CHECK(reported(result.out, "Compiles") == 6 + 24 * 5 + 2);  // the last two are for the validation
  CHECK(count(result.out, "[exec() restart") == 0);
  CHECK(count(run(settings, {"ANE_MAX_COMPILES=100"}, folder.path()).out, "[exec() restart") == 1);
  CHECK(count(run(settings + Words{"--max-compiles", "100"}, {}, folder.path()).out, "[exec() restart") == 1);
  CHECK_THAT(run(settings + Words{"--dry-run", "--no-time"}, {}, folder.path()).out,
             ANE_CONTAINS("Restarts: none, because this device does not limit compiles"));
  CHECK(std::regex_search(run(settings + Words{"--print-config"}, {}, folder.path()).out,
                          std::regex("max_compiles +auto +default\n")));
}

TEST_CASE("a dry run counts the memory of the optimizer", "[app]") {
  const Folder folder;
  // 12,384 parameters, of which 10,240 are in hidden matrices; the largest of these is 64 x 32.
  using Row = std::tuple<Words, std::string, std::string>;
  const auto [optimizer, state, workspace] = GENERATE(values<Row>({
      {{"--optimizer", "adamw"}, "state 148.6 KB", ""},
      {{"--optimizer", "muon"}, "state 107.6 KB", "optimizer workspace 16.4 KB"},
      {{"--optimizer", "lion"}, "state 99.1 KB", ""},
      {{"--optimizer", "sgd"}, "state 49.5 KB", ""},
      {{"--optimizer", "sgd", "--momentum", "0.9"}, "state 99.1 KB", ""},
  }));
  const Result result = run(kSmall + Words{"--steps", "4", "--dry-run", "--no-time"} + optimizer, {}, folder.path());
  CAPTURE(result.out, result.err);
  CHECK(result.code == 0);
  CHECK_THAT(result.out, ANE_CONTAINS(state) && ANE_CONTAINS(workspace));
  CHECK(count(result.out, "optimizer workspace") == (workspace.empty() ? 0 : 1));
}

TEST_CASE("a budget too small for one update is refused at once, with the smallest sufficient one", "[app][restart]") {
  const Folder folder;
  const Result refused = run(kSmall + Words{"--steps", "4"}, {"ANE_MAX_COMPILES=5"}, folder.path());
  CAPTURE(refused.out, refused.err);
  CHECK(refused.code == 2);
  CHECK_THAT(refused.err, ANE_CONTAINS("--max-compiles 6"));
  CHECK(refused.out.find("step ") == std::string::npos);
  CHECK(run(kSmall + Words{"--steps", "4"}, {"ANE_MAX_COMPILES=6"}, folder.path()).code == 0);
}

TEST_CASE("after a signal the run finishes the step, writes a checkpoint and says how to resume", "[app][signal]") {
  const int signal = GENERATE(SIGINT, SIGTERM, SIGHUP);
  CAPTURE(signal);
  const Folder folder;
  const Words settings = kSmall + Words{"--steps", "1000000", "--log-every", "1"};

  SECTION("into the requested directory") {
    Program program(settings + Words{"--checkpoint-dir", "asked"}, {}, folder.path());
    REQUIRE(program.wait_for("step 4 "));
    program.send(signal);
    const Result result = program.wait();
    CAPTURE(result.err);
    CHECK(result.code == 128 + signal);
    CHECK_THAT(result.err, ANE_CONTAINS("--resume"));
    CHECK_THAT(result.out, ANE_CONTAINS("[checkpoint step "));
    CHECK_THAT(result.out, ANE_CONTAINS("=== Efficiency Report ==="));
    CHECK_THAT(result.err, ANE_CONTAINS(fmt::format("at step {};", reported(result.out, "Total steps"))));
    CHECK(fs::exists(folder / "asked"));
  }
  SECTION("into a rescue directory, across re-executions") {
    Program program(settings, {"ANE_MAX_COMPILES=6"}, folder.path());
    REQUIRE(program.wait_for("[RESUMED step 20,"));
    program.send(signal);
    const Result result = program.wait();
    CAPTURE(result.err);
    CHECK(result.code == 128 + signal);
    CHECK_THAT(result.err, ANE_CONTAINS("ANE_MAX_COMPILES=6 "));
    CHECK_THAT(result.err, ANE_CONTAINS("--checkpoint-dir ane-train-checkpoint --resume"));
    CHECK(fs::exists(folder / "ane-train-checkpoint"));
  }
}

TEST_CASE("a run whose output pipe is closed is saved", "[app][signal]") {
  const Folder folder;
  const Words shell = {"-c", R"({ "$0" "$@"; echo $? >code; } | head -1)", ANE_TRAIN_PROGRAM};
  const Words settings = kSmall + Words{"--steps", "1000000", "--log-every", "1"};
  const Result result = Program(shell + settings, {"ANE_MAX_COMPILES=6"}, folder.path(), "/bin/sh").wait();
  CAPTURE(result.err);
  CHECK(std::stoi(read_file(folder / "code")) == 128 + SIGPIPE);
  CHECK_THAT(result.err, ANE_CONTAINS("--checkpoint-dir ane-train-checkpoint --resume"));
  CHECK(fs::exists(folder / "ane-train-checkpoint"));
}

TEST_CASE("closed standard streams change nothing", "[app][run]") {
  const Folder folder;
  const Words settings = kSmall + Words{"--steps", "20", "--log-every", "1"};
  REQUIRE(run(settings + Words{"--checkpoint-dir", "open"}, {}, folder.path()).code == 0);
  const Words shell = {"-c", R"(exec "$0" "$@" <&- >&- 2>&-)", ANE_TRAIN_PROGRAM};
  Program program(shell + settings + Words{"--checkpoint-dir", "closed"}, {}, folder.path(), "/bin/sh");
  CHECK(program.wait().code == 0);
  CHECK(parameters_in(folder / "closed/step-00000020") == parameters_in(folder / "open/step-00000020"));
}

TEST_CASE("a signal ends a program that still waits for its config", "[app][signal]") {
  const Folder folder;
  const std::string pipe = folder / "config.json";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  Program program({"--config", pipe}, {}, folder.path());
  {
    const std::ofstream writer(pipe);  // blocks until the program has opened it
    program.send(SIGINT);
  }
  CHECK(program.wait().code == 128 + SIGINT);
}

TEST_CASE("the parts of the report add up to its wall time", "[app][report]") {
  const Folder folder;
  const Result result =
      run(kSmall + Words{"--steps", "400", "--val-every", "20", "--checkpoint-dir", "c", "--checkpoint-every", "50"},
          {"ANE_MAX_COMPILES=60"}, folder.path());
  CAPTURE(result.out, result.err);
  REQUIRE(result.code == 0);
  double sum = 0;
  for (const char* part : {"Compile time", "Train time", "Validation", "Checkpoints", "Restarts", "Startup"}) {
    sum += reported(result.out, part);
  }
  const double wall = reported(result.out, "Wall time");
  CHECK(sum >= 0.98 * wall);
  CHECK(sum <= 1.02 * wall);
  CHECK(reported(result.out, "Total steps") == 400);
  CHECK_THAT(result.out, ANE_CONTAINS("200 training rounds"));
}

TEST_CASE("telemetry is one run of complete JSON lines, across re-executions", "[app][telemetry]") {
  const Folder folder;
  const Result result =
      run(kSmall + Words{"--steps", "20", "--telemetry", "t.jsonl"}, {"ANE_MAX_COMPILES=13"}, folder.path());
  CAPTURE(result.err);
  REQUIRE(result.code == 0);
  std::map<std::string, int> records;
  for (const std::string& line : lines_of(read_file(folder / "t.jsonl"))) {
    ++records[nlohmann::json::parse(line).at("type").get<std::string>()];
  }
  CHECK(records["run"] == 1);
  CHECK(records["step"] == 20);
  CHECK(records["batch"] == 10);
  CHECK(records["update"] == 10);
  CHECK(records["restart"] == 4);
  CHECK(records["val"] == 1);
  CHECK(records["end"] == 1);
}

TEST_CASE("each run in a telemetry file has its own identifier, the same in all its processes", "[app][telemetry]") {
  const Folder folder;
  const Words settings = kSmall + Words{"--val-every", "3", "--checkpoint-dir", "c", "--telemetry", "t.jsonl"};
  const Words variables = {"ANE_MAX_COMPILES=13"};
  REQUIRE(run(settings + Words{"--steps", "10"}, variables, folder.path()).code == 0);
  REQUIRE(run(settings + Words{"--steps", "20", "--resume"}, variables, folder.path()).code == 0);
  std::vector<std::vector<nlohmann::json>> runs;
  for (const std::string& line : lines_of(read_file(folder / "t.jsonl"))) {
    const nlohmann::json record = nlohmann::json::parse(line);
    if (record.at("type") == "run") runs.emplace_back();
    REQUIRE_FALSE(runs.empty());
    runs.back().push_back(record);
  }
  REQUIRE(runs.size() == 2);
  for (const auto& records : runs) {
    std::string time;
    std::int64_t step = 0;
    for (const nlohmann::json& record : records) {
      CAPTURE(record.dump());
      CHECK(record.at("time").get<std::string>() >= time);
      if (record.at("type") != "checkpoint") CHECK(record.at("step").get<std::int64_t>() >= step);
      time = record.at("time").get<std::string>();
      if (record.at("type") != "checkpoint") step = record.at("step").get<std::int64_t>();
      // Completed updates of two steps each.
      if (record.at("type") != "step") CHECK(record.at("update").get<std::int64_t>() * 2 == record.at("step"));
      if (record.at("type") == "step") CHECK(record.at("update") == (step - 1) / 2);
      if (record.contains("tokens")) CHECK(record.at("tokens") == step * 32);
    }
    CHECK(records.front().at("run_id").get<std::string>().size() == 16);
    CHECK(records.front().at("run_id") == records.back().at("run_id"));
    CHECK_THAT(records.front().at("version").get<std::string>(), ANE_CONTAINS("ane-train "));
    CHECK(records.back().at("type") == "end");
    CHECK(records.back().at("run_tokens") == 320);
    CHECK(records.back().at("val_best_update").is_number());
  }
  CHECK(runs[0].front().at("run_id") != runs[1].front().at("run_id"));
  CHECK(runs[0].front().at("step") == 0);
  CHECK(runs[1].front().at("step") == 10);
  CHECK(runs[1].front().at("update") == 5);
}

TEST_CASE("a profile is one trace with nested spans, across re-executions", "[app][profile]") {
  const Folder folder;
  const Result result =
      run(kSmall + Words{"--steps", "20", "--profile", "p.json"}, {"ANE_MAX_COMPILES=13"}, folder.path());
  CAPTURE(result.err);
  REQUIRE(result.code == 0);
  struct Span {
    double begin, end;
    std::string name;
  };
  std::map<std::string, int> counts;
  std::vector<Span> spans;
  for (const nlohmann::json& event : nlohmann::json::parse(read_file(folder / "p.json"))) {
    ++counts[event.at("name").get<std::string>()];
    if (event.at("ph") != "X") continue;
    CHECK(event.at("tid") == 1);  // the host device shares the CPU: nothing overlaps
    const auto begin = event.at("ts").get<double>();
    spans.push_back({begin, begin + event.at("dur").get<double>(), event.at("name").get<std::string>()});
  }
  CHECK(counts["process_name"] == 1);
  CHECK(counts["step"] == 20);
  CHECK(counts["update"] == 10);
  CHECK(counts["compile round"] == 11);  // the last one for the validation
  CHECK(counts["validation"] == 1);
  CHECK(counts["leave process"] == 4);
  CHECK(counts["restart"] == 4);
  CHECK(counts["ffn_bwd"] == 20);

  std::stable_sort(spans.begin(), spans.end(),
                   [](const Span& a, const Span& b) { return a.begin != b.begin ? a.begin < b.begin : a.end > b.end; });
  constexpr double kRounding = 0.002;  // microseconds: three decimals are written
  std::vector<Span> open;
  for (const Span& span : spans) {
    while (!open.empty() && open.back().end <= span.begin + kRounding) open.pop_back();
    CAPTURE(span.name, span.begin);
    if (!open.empty()) CHECK(span.end <= open.back().end + kRounding);
    if (span.name == "ffn_bwd") CHECK((!open.empty() && open.back().name == "step"));
    open.push_back(span);
  }
}

TEST_CASE("telemetry and profile do not depend on their paths after the run has begun", "[app][restart]") {
  const Folder folder;
  fs::create_directory(folder / "t");
  const std::size_t steps = kSanitized ? 60 : 200;
  const Words settings = {"--steps", std::to_string(steps), "--max-compiles", "6", "--telemetry", "t/t"};
  Program program(kSmall + settings + Words{"--profile", "t/p"}, {}, folder.path());
  REQUIRE(program.wait_for("[RESUMED step 4,"));
  fs::rename(folder / "t", folder / "moved");
  const Result result = program.wait();
  CAPTURE(result.err);
  CHECK(result.code == 0);
  CHECK(result.err.find("warning") == std::string::npos);
  CHECK(count(read_file(folder / "moved/t"), R"({"type":"step")") == steps);
  CHECK(nlohmann::json::accept(read_file(folder / "moved/p")));
  CHECK_FALSE(fs::exists(folder / "t"));
}

TEST_CASE("invalid settings, files and devices give one message and their exit code", "[app][errors]") {
  struct Row {
    Words arguments;
    Words environment;
    int code;
    std::string message;
  };
  const Folder folder;
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  write_file(folder / "empty.bin", "");
  write_file(folder / "short.bin", "ab");
  write_file(folder / "odd.bin", std::string(1001, '\1'));
  write_file(folder / "outside.bin", std::string(1000, '\xff'));
  write_file(folder / "cut.bin", std::string(20, '\1'));
  write_file(folder / "broken.json", "{");
  write_file(folder / "short.txt", "too short");
  write_file(folder / "short.pdf", "too short");
  write_file(folder / "bad.safetensors", "12345678nothing");
  write_file(folder / "file", "x");
  fs::create_directory(folder / "folder.bin");
  std::vector<Row> rows = {
      {{}, {}, 2, "missing --steps N"},
      {{"--steps", "ten"}, {}, 2, "--steps: 'ten' is not a whole number"},
      {{"--steps", "1"}, {"ANE_ACCUM_STEPS=abc"}, 2, "ANE_ACCUM_STEPS: 'abc' is not a whole number from 1 to 1000000"},
      {{"--step", "1"}, {}, 2, "did you mean --steps?"},
      {{"--steps", "1", "--config", "./broken.json"}, {}, 3, "broken.json"},
      {{"--steps", "1", "--config", "nothing.json"}, {}, 3, "nothing.json"},
      {{"--steps", "1", "--config", "nothing"}, {}, 2, "unknown config 'nothing'"},
      {{"--steps", "1", "--data", "nothing.bin"}, {}, 3, "nothing.bin"},
      {{"--steps", "1", "--data", "empty.bin"}, {}, 3, "empty.bin"},
      {{"--steps", "1", "--data", "short.bin"}, {}, 3, "short.bin"},
      {{"--steps", "1", "--data", "odd.bin"}, {}, 3, "odd.bin"},
      {{"--steps", "1", "--data", "outside.bin"}, {}, 3, "outside.bin"},
      {{"--steps", "1", "--data", "folder.bin"}, {}, 3, "folder.bin"},
      {{"--steps", "1", "--data", "short.txt"}, {}, 3, "short.txt"},
      {{"--steps", "1", "--data", "short.pdf"}, {}, 3, "short.pdf"},
      {{"--steps", "1", "--data", "short.txt,"}, {}, 2, "data: a name is empty"},
      {{"--steps", "1", "--data", "."}, {}, 3, "short.txt: "},
      {{"--steps", "1", "--data", "-"}, {}, 3, "standard input: 0 bytes for training"},
      {{"--steps", "1", "--data-format", "json"}, {}, 2, "--data-format: 'json' is not one of auto, text, tokens"},
      {{"--steps", "1", "--model", "nothing.bin"}, {}, 3, "nothing.bin"},
      {{"--steps", "1", "--model", "cut.bin"}, {}, 3, "cut.bin"},
      {{"--steps", "1", "--model", "bad.safetensors"}, {}, 3, "bad.safetensors"},
      {{"--steps", "1", "--model", "folder.bin"}, {}, 3, "folder.bin"},
      {{"--steps", "1", "--model", "weights.gguf"}, {}, 2, "weights.gguf"},
      {{"--steps", "1", "--dim", "65"}, {}, 2, "dim"},
      {{"--steps", "1", "--heads", "3"}, {}, 2, "heads"},
      {{"--steps", "1", "--kv-heads", "3"}, {}, 2, "kv_heads"},
      {{"--steps", "1", "--resume", "--checkpoint-dir", "none"}, {}, 3, "none"},
      {{"--steps", "1", "--checkpoint-dir", "file"}, {}, 3, "file"},
      {{"--steps", "1", "--checkpoint-dir", "/dev/null/nowhere"}, {}, 3, "/dev/null/nowhere"},
      {{"--steps", "1", "--telemetry", "/dev/null/nowhere/t"}, {}, 3, "/dev/null/nowhere/t"},
      {{"--steps", "1", "--telemetry", "."}, {}, 3, "."},
      {{"--steps", "1", "--telemetry", "pipe"}, {}, 3, "a pipe without a reader"},
      {{"--steps", "1", "--profile", "/dev/null/nowhere/p"}, {}, 3, "/dev/null/nowhere/p: the trace file"},
      {{"--steps", "1", "--dump-mil", "file"}, {}, 3, "file"},
      {{"--steps", "1"}, {"ANE_TRAIN_STATE=x"}, 2, "ANE_TRAIN_STATE"},
      {{"--steps", "1"}, {"ANE_TRAIN_STATE=99:1"}, 2, "ANE_TRAIN_STATE"},
      {{"mil"}, {}, 2, "FILE"},
      {{"mil", "nothing.mil"}, {}, 3, "nothing.mil"},
      {{"mil", "file"}, {}, 3, "file: line 1, column 1"},
  };
  if (!kMayHaveEngine) {
    rows.push_back({{"--steps", "1", "--device", "ane"}, {}, 4, "Neural Engine"});
    rows.push_back({{"--steps", "1"}, {"ANE_DEVICE=ane"}, 4, "--device host"});
  }
  for (const Row& row : rows) {
    const Result result = run(row.arguments, row.environment, folder.path());
    CAPTURE(row.arguments, row.environment, result.out, result.err);
    CHECK(result.code == row.code);
    CHECK_THAT(result.err, ANE_CONTAINS(row.message));
    CHECK(count(result.err, "ane-train: ") == 1);
  }
}

TEST_CASE("a new run does not overwrite existing checkpoints", "[app][errors]") {
  const Folder folder;
  const Words settings = kSmall + Words{"--steps", "2", "--checkpoint-dir", "c"};
  REQUIRE(run(settings, {}, folder.path()).code == 0);
  const Result again = run(settings, {}, folder.path());
  CHECK(again.code == 2);
  CHECK_THAT(again.err, ANE_CONTAINS("already contains checkpoints; add --resume"));
}

TEST_CASE("a model file's dimensions are used, and contradicting ones refused", "[app][model]") {
  const Folder folder;
  REQUIRE(run(kSmall + Words{"--steps", "2", "--checkpoint-dir", "c"}, {}, folder.path()).code == 0);
  const std::string model = folder / "c/step-00000002/model.safetensors";
  const Result adopted = run({"--steps", "1", "--model", model}, {}, folder.path());
  CAPTURE(adopted.out, adopted.err);
  CHECK(adopted.code == 0);
  CHECK_THAT(adopted.out, ANE_CONTAINS("dim=32 hidden=64 heads=2 seq=32 vocab=64 layers=1"));
  const Result refused = run({"--steps", "1", "--model", model, "--dim", "48"}, {}, folder.path());
  CHECK(refused.code == 2);
  CHECK_THAT(refused.err, ANE_CONTAINS("dim is 48 (--dim), but " + model + " has 32"));
  CHECK(run({"--steps", "1", "--model", model, "--seq", "16"}, {}, folder.path()).code == 0);
  CHECK(run({"--steps", "1", "--model", model, "--seq", "64"}, {}, folder.path()).code == 2);
}

TEST_CASE("a dry run plans and runs nothing", "[app][plan]") {
  const Folder folder;
  const Words default_of_ane = {"ANE_MAX_COMPILES=100"};
  const Result result =
      run({"--config", "stories110m", "--steps", "30", "--dry-run", "--no-time"}, default_of_ane, folder.path());
  CAPTURE(result.out, result.err);
  REQUIRE(result.code == 0);
  CHECK_THAT(result.out, ANE_CONTAINS("Params: 109.53M (transformer 84.95M + embed 24.58M)"));
  CHECK_THAT(result.out, ANE_CONTAINS("Kernels: 61 (60 weight-bearing + 1 static)"));
  CHECK_THAT(
      result.out,
      ANE_CONTAINS("FLOPs/step: fwd=43487M bwd_dx=43487M bwd_dW=43487M sdpa_bwd=6040M total=174248M cls=37749M"));
  CHECK_THAT(result.out, ANE_CONTAINS("Training: 3 updates of 10 sequences (2560 tokens each); AdamW, learning rate"));
  CHECK_THAT(result.out, ANE_CONTAINS("ANE FLOPs/step: 93013M"));
  CHECK_THAT(result.out, ANE_CONTAINS("Restarts: 2 for 3 updates"));
  CHECK_THAT(run({"--config", "stories110m", "--steps", "30", "--dry-run", "--no-time"},
                 default_of_ane + Words{"ANE_ACCUM_STEPS=20"}, folder.path())
                 .out,
             ANE_CONTAINS("Restarts: 1 for 2 updates"));
  CHECK_THAT(
      result.out,
      ANE_CONTAINS(
          "attention backward    attn_bwd1 q k v do     dv probs dp             o_proj                      12"));
  const Result merged = run({"--config", "stories110m", "--steps", "20", "--plan", "merged", "--dry-run", "--no-time"},
                            {}, folder.path());
  CHECK_THAT(
      merged.out,
      ANE_CONTAINS("attention backward    attn_bwd q k v do dxn dq dk dv            o_proj q_proj k_proj v_proj 12"));
  CHECK_THAT(merged.out, ANE_CONTAINS("Compiles: 48 for the first update"));
  const Result dynamic = run({"--config", "stories110m", "--steps", "20", "--weights", "dynamic", "--dry-run",
                              "--no-time", "--max-compiles", "100"},
                             {}, folder.path());
  CHECK_THAT(dynamic.out, ANE_CONTAINS("Compiles: 6 for the first update, 0 for each further one in the same process"));
  CHECK_THAT(dynamic.out, ANE_CONTAINS("Restarts: 0 for 2 updates"));
  CHECK(result.out.find("step 1") == std::string::npos);
}

TEST_CASE("a dry run measures the parts of a run and predicts its time", "[app][plan]") {
  const Folder folder;
  const Words settings =
      kSmall + Words{"--steps", "40", "--val-every", "5", "--checkpoint-dir", "checkpoints", "--dry-run"};
  const Result result = run(settings, {}, folder.path());
  CAPTURE(result.out, result.err);
  REQUIRE(result.code == 0);
  CHECK_THAT(result.out, ANE_CONTAINS("\nMeasured: ") && ANE_CONTAINS(" ms per sequence, optimizer "));
  CHECK_THAT(result.out, ANE_CONTAINS("\nPredicted: ") && ANE_CONTAINS(" per update; ") &&
                             ANE_CONTAINS(" for the run: training ") && ANE_CONTAINS(", the last checkpoint "));
  CHECK(std::filesystem::is_empty(folder.path()));
  CHECK_THAT(run(settings + Words{"--no-time"}, {}, folder.path()).out, !ANE_CONTAINS("Predicted"));
}

TEST_CASE("a dry run does not measure what a process could not run", "[app][plan]") {
  const Folder folder;
  CHECK_THAT(run(kSmall + Words{"--steps", "4", "--dry-run"}, {"ANE_MAX_COMPILES=1"}, folder.path()).out,
             ANE_CONTAINS("Time: not measured, because a process may not make enough compiles"));
}

TEST_CASE("the mil command runs dumped kernels", "[app][mil]") {
  const Folder folder;
  REQUIRE(run(kSmall + Words{"--steps", "4", "--dump-mil", "dump"}, {"ANE_MAX_COMPILES=6"}, folder.path()).code == 0);
  std::vector<std::string> kernels;
  for (const auto& entry : fs::directory_iterator(folder / "dump")) kernels.push_back(entry.path().filename());
  std::sort(kernels.begin(), kernels.end());
  CHECK(kernels == Words{"attn_bwd1", "attn_bwd2", "attn_fwd", "ffn_bwd", "ffn_fwd", "qkv_bwd"});
  for (const std::string& kernel : kernels) {
    const Result result = run(
        {"mil", "dump/" + kernel + "/model.mil", "--run", "--device", "host", "--compare", "host"}, {}, folder.path());
    CAPTURE(kernel, result.out, result.err);
    CHECK(result.code == 0);
    CHECK_THAT(result.out, ANE_CONTAINS("checksum"));
    CHECK_THAT(result.out, ANE_CONTAINS(": 0, of values up to"));
  }
}
