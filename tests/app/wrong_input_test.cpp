#include <csignal>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <string>
#include <vector>

#ifdef __linux__
#include <sched.h>
#endif

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "ane/model/safetensors.h"

#include "app/program.h"
#include "app/small_run.h"
#include "support/catch.h"
#include "support/sanitized.h"

/// Inconsistent files, small machines, unwritable output, and diverging training.
namespace {

using namespace cli_test;
namespace fs = std::filesystem;

/// A safetensors file with one tensor and with `config` as the model's config in the metadata.
std::string model_file(const std::string& config) {
  const nlohmann::json tensor = {{"dtype", "F32"}, {"shape", {1}}, {"data_offsets", {0, 4}}};
  const std::string header = nlohmann::json({{"__metadata__", {{"config", config}}}, {"tok", tensor}}).dump();
  const std::uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof length) + header + "1234";
}

}  // namespace

TEST_CASE("a model file sets dimensions and nothing else", "[app][model]") {
  const Folder folder;
  write_file(folder / "victim", "precious");
  nlohmann::json config = {
      {"model_type", "mlp"}, {"hidden_size", 8}, {"intermediate_size", 16}, {"max_position_embeddings", 4}};
  for (const char* path : {"profile", "telemetry", "data"}) config[path] = "victim";
  for (const char* made : {"checkpoint-dir", "checkpoint_dir", "dump-mil", "dump_mil"}) config[made] = "made";
  for (const char* number : {"steps", "threads", "lr", "accum_steps"}) config[number] = 7;
  const std::vector<float> values(std::size_t{8} * 16);
  const ane::mil::Shape up = {16, 8};
  const ane::mil::Shape down = {8, 16};
  ane::model::write_safetensors(
      folder / "m.safetensors",
      std::vector<ane::model::NamedTensor>{{"w1.weight", up, values}, {"w2.weight", down, values}},
      {{"config", config.dump()}});
  const Result result = run({"--model", "m.safetensors", "--print-config"}, {}, folder.path());
  CAPTURE(result.out, result.err);
  CHECK(result.code == 0);
  CHECK(count(result.out, " model m.safetensors") == 4);  // family, dim, hidden and seq
  CHECK_THAT(result.out, ANE_CONTAINS(R"({"model_type":"mlp","hidden_size":8,)"));
  CHECK_THAT(result.out, !ANE_CONTAINS("victim") && !ANE_CONTAINS("made"));
  CHECK(read_file(folder / "victim") == "precious");
  CHECK(entries_in(folder.path()) == 2);
}

TEST_CASE("a model file's dimensions must be valid and match its tensors", "[app][model]") {
  const auto llama = [](const char* dim, const char* layers) {
    return fmt::format(R"({{"model_type":"llama","hidden_size":{},"intermediate_size":176,"num_hidden_layers":{},)"
                       R"("num_attention_heads":4,"vocab_size":256,"max_position_embeddings":64}})",
                       dim, layers);
  };
  const std::string config = GENERATE_COPY(values<std::string>(
      {llama("64", "2"), llama("1000000", "1000"), llama("99999999999999999999", "1"), llama("66", "2"),
       llama("\"wide\"", "2"), llama("64", "0"),
       R"({"model_type":"mlp","hidden_size":64,"intermediate_size":128,"max_position_embeddings":32})", "not JSON",
       ""}));
  CAPTURE(config);
  const Folder folder;
  write_file(folder / "m.safetensors", model_file(config));
  const Result result = run({"--device", "host", "--steps", "4", "--model", "m.safetensors"}, {}, folder.path());
  CAPTURE(result.out, result.err);
  CHECK(result.code == 3);
  CHECK(count(result.err, "ane-train: m.safetensors: ") == 1);
  CHECK(result.out.empty());
}

TEST_CASE("a checkpoint directory can be used as --model", "[app][model]") {
  const Folder folder;
  REQUIRE(run(kSmall + Words{"--steps", "2", "--checkpoint-dir", "c"}, {}, folder.path()).code == 0);
  const Result result = run({"--steps", "1", "--model", "c/step-00000002/"}, {}, folder.path());
  CAPTURE(result.err);
  CHECK(result.code == 0);
  CHECK_THAT(result.out, ANE_CONTAINS("dim=32 hidden=64 heads=2 seq=32 vocab=64 layers=1"));
  const Result above = run({"--steps", "1", "--model", "c"}, {}, folder.path());
  CHECK(above.code == 3);
  CHECK_THAT(above.err,
             ANE_CONTAINS("model 'c' is a directory of checkpoints; name one of them, for example the newest: "
                          "c/step-00000002"));
}

TEST_CASE("diverged training ends with 5, names the learning rate, and saves no diverged state", "[app][diverged]") {
  const Folder folder;
  const Words settings = {"--device", "host", "--accum-steps", "2", "--checkpoint-dir", "c", "--val-samples", "4"};
  REQUIRE(run(settings + Words{"--steps", "8"}, {}, folder.path()).code == 0);
  const std::string good = read_file(folder / "c/step-00000008/model.safetensors");
  const Result result = run(settings + Words{"--resume", "--lr", "1", "--steps", "100"}, {}, folder.path());
  CAPTURE(result.out, result.err);
  CHECK(result.code == 5);
  CHECK_THAT(result.err, ANE_CONTAINS("training diverged: ") && ANE_CONTAINS("--lr (it was 1)"));
  CHECK(result.out.find("-nan") == std::string::npos);
  CHECK(result.err.find("-nan") == std::string::npos);
  CHECK(entries_in(folder / "c") == 2);  // the good checkpoint and the lock
  CHECK((read_file(folder / "c/step-00000008/model.safetensors") == good));
  const Result resumed = run(settings + Words{"--resume", "--lr", "1e-3", "--steps", "20"}, {}, folder.path());
  CAPTURE(resumed.err);
  CHECK(resumed.code == 0);
}

TEST_CASE("a model that does not fit is refused with both numbers before anything is allocated", "[app][memory]") {
  const Folder folder;
  const Words huge = {"--device", "host",  "--steps",  "4",   "--dim",   "16384",
                      "--hidden", "32768", "--layers", "500", "--heads", "64"};
  const Result refused = run(huge + Words{"--checkpoint-dir", "c"}, {}, folder.path());
  CAPTURE(refused.out, refused.err);
  CHECK(refused.code == 2);
  CHECK_THAT(refused.err, ANE_CONTAINS("this model needs about ") && ANE_CONTAINS(" TB of memory, but ") &&
                              ANE_CONTAINS(" is available ("));
  const Result planned = run(huge + Words{"--dry-run", "--no-time"}, {}, folder.path());
  CHECK(planned.code == 0);
  CHECK_THAT(planned.out, ANE_CONTAINS("Memory: about ") && ANE_CONTAINS(": not enough for this model"));

  // Its activations alone are more than the memory of most machines, so that Linux would refuse to reserve them.
  const Result deep = run({"--device", "host", "--steps", "4", "--config", "stories110m", "--data", "synthetic",
                           "--layers", "1000", "--seq", "2048", "--parallel-sequences", "1"},
                          {}, folder.path());
  CAPTURE(deep.err);
  CHECK(deep.code == 2);
  CHECK_THAT(deep.err, ANE_CONTAINS("this model needs about "));

  const Result mlp = run(
      {"--device", "host", "--steps", "4", "--family", "mlp", "--dim", "1000000", "--hidden", "2000", "--seq", "2000"},
      {}, folder.path());
  CAPTURE(mlp.err);
  CHECK(mlp.code == 2);
  CHECK_THAT(mlp.err, ANE_CONTAINS("this model needs about "));
  if (kSanitized) return;
  const Result limited = run_in_shell(
      R"(ulimit -v 2000000 && exec "$0" "$@")",
      {"--config", "stories110m", "--data", "synthetic", "--device", "host", "--threads", "1", "--steps", "1"},
      folder.path());
  CAPTURE(limited.err);
  CHECK(limited.code == 2);
  CHECK_THAT(limited.err, ANE_CONTAINS("limit on address space"));
}

TEST_CASE("output that cannot be written is an error of every command", "[app][output]") {
  if (!fs::exists("/dev/full")) {
    WARN("skipped: no /dev/full here");
    return;
  }
  const Folder folder;
  write_file(folder / "add.mil", R"(program(1.0)
[buildInfo = dict<tensor<string, []>, tensor<string, []>>({})]
{
    func main<ios16>(tensor<fp32, [1, 4, 1, 16]> a, tensor<fp32, [1, 4, 1, 16]> b) {
        tensor<fp32, [1, 4, 1, 16]> sum = add(x = a, y = b)[name = tensor<string, []>("sum")];
    } -> (sum);
}
)");
  REQUIRE(run({"mil", "add.mil"}, {}, folder.path()).code == 0);
  const Words command = GENERATE(values<Words>({{"--help"},
                                                {"--version"},
                                                {"--steps", "1", "--print-config"},
                                                {"--steps", "1", "--dry-run", "--no-time"},
                                                {"mil", "--help"},
                                                {"mil", "add.mil"},
                                                {"doctor", "--help"},
                                                {"doctor", "--device", "host"},
                                                kSmall + Words{"--steps", "4", "--checkpoint-dir", "c"}}));
  CAPTURE(command);
  const Result result = run_in_shell(R"(exec "$0" "$@" >/dev/full)", command, folder.path());
  CAPTURE(result.err);
  CHECK(result.code == 3);
  CHECK(count(result.err, "ane-train: standard output could not be written (No space left on device)") == 1);
  CHECK(fs::exists(folder / "c/step-00000004") == (command.front() == "--device"));  // a training run finishes first
}

TEST_CASE("standard error that cannot be written changes no exit code", "[app][output]") {
  if (!fs::exists("/dev/full")) {
    WARN("skipped: no /dev/full here");
    return;
  }
  const Folder folder;
  const auto code = [&](const Words& command) {
    return run_in_shell(R"(exec "$0" "$@" 2>/dev/full)", command, folder.path()).code;
  };
  CHECK(code({"--no-such-option"}) == 2);
  CHECK(code({"mil", "missing.mil"}) == 3);
  CHECK(code(kSmall + Words{"--steps", "4"}) == 0);
}

TEST_CASE("a small stack changes nothing", "[app][limits]") {
  const Folder folder;
  const Words settings = with(kSmall, "--threads", "2") + Words{"--steps", "20", "--checkpoint-dir"};
  REQUIRE(run(settings + Words{"plenty"}, {"ANE_MAX_COMPILES=13"}, folder.path()).code == 0);
  const Result result =
      run_in_shell(R"(ulimit -s 64 && ANE_MAX_COMPILES=13 exec "$0" "$@")", settings + Words{"little"}, folder.path());
  CAPTURE(result.out, result.err);
  if (kSanitized && result.code != 0) return;  // the sanitizers' own runtime needs more
  REQUIRE(result.code == 0);
  CHECK(count(result.out, "[exec() restart") == 4);
  CHECK((read_file(folder / "little/step-00000020/model.safetensors") ==
         read_file(folder / "plenty/step-00000020/model.safetensors")));

  Program program(Words{"-c", R"(ulimit -s 64 && exec "$0" "$@")", ANE_TRAIN_PROGRAM} + kSmall +
                      Words{"--steps", "1000000", "--log-every", "1"},
                  {"ANE_MAX_COMPILES=6"}, folder.path(), "/bin/sh");
  REQUIRE(program.wait_for("[RESUMED step 8,"));
  program.send(SIGTERM);
  CHECK(program.wait().code == 128 + SIGTERM);
}

#ifdef __linux__
TEST_CASE("a run has one thread per usable processor", "[app][limits]") {
  cpu_set_t before;
  REQUIRE(sched_getaffinity(0, sizeof before, &before) == 0);
  int one = 0;
  while (!CPU_ISSET(one, &before)) ++one;
  cpu_set_t single;
  CPU_ZERO(&single);
  CPU_SET(one, &single);
  const Folder folder;
  REQUIRE(sched_setaffinity(0, sizeof single, &single) == 0);
  const Result result = run({"--steps", "1", "--device", "host"}, {}, folder.path());
  sched_setaffinity(0, sizeof before, &before);
  CAPTURE(result.err);
  CHECK_THAT(result.out, ANE_CONTAINS(" 1 thread,"));
}
#endif

TEST_CASE("invalid paths are errors of a file or a setting, never internal errors", "[app][errors]") {
  const Folder folder;
  const std::string long_name(300, 'n');
  std::string long_path = ".";
  for (int i = 0; i < 3000; ++i) long_path += "/x";
  fs::create_symlink("loop", folder / "loop");
  fs::create_symlink("loop.bin", folder / "loop.bin");
  fs::create_symlink("loop.json", folder / "loop.json");
  write_file(folder / "file", "x");
  write_file(folder / "file.bin", std::string(4000, '\1'));
  fs::create_directory(folder / "directory.json");
  fs::create_directory(folder / "directory.txt");
  const std::string flag = GENERATE(as<std::string>(), "--config", "--data", "--model", "--checkpoint-dir",
                                    "--telemetry", "--profile", "--dump-mil", "mil");
  const bool makes = flag == "--checkpoint-dir" || flag == "--telemetry" || flag == "--profile" || flag == "--dump-mil";
  std::vector<std::string> paths = {
      long_name + ".bin",   long_path + ".bin",    "loop.bin", "loop.json",      "loop/a.bin", "file/a.bin",
      "\xff\xfe\x01/a.bin", "directory.txt/a.txt", "",         "/dev/full/a.bin"};
  if (makes) paths = {long_name, long_path, "loop", "loop/a", "file/a", "/dev/full/a", "/proc/self/a"};
  if (flag == "--config") paths.insert(paths.end(), {"directory.json", long_name + ".json", "loop/a.json"});
  if (flag == "--data") paths.emplace_back("directory.txt");
  for (const std::string& path : paths) {
    const Words arguments = flag == "mil" ? Words{"mil", path} : kSmall + Words{"--steps", "1", flag, path};
    for (const char* last : {"", "--resume"}) {
      if (*last != '\0' && flag != "--checkpoint-dir") continue;
      const Result result = run(*last == '\0' ? arguments : arguments + Words{last}, {}, folder.path());
      CAPTURE(flag, path.substr(0, 40), last, result.err.substr(0, 400));
      CHECK((result.code == 2 || result.code == 3));
      CHECK(count(result.err, "ane-train: ") == 1);
    }
  }
}
