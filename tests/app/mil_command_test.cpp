#include "ane/app/mil_command.h"

#include <bit>
#include <cmath>
#include <filesystem>
#include <limits>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "ane/app/kernel_run.h"
#include "ane/app/random_weights.h"
#include "ane/device/host/host_device.h"
#include "ane/mil/blob.h"
#include "ane/mil/text.h"

#include "app/program.h"
#include "support/catch.h"
#include "support/paths.h"

namespace {

using namespace cli_test;

const char* const kTimesTwo = R"(program(1.3)
[buildInfo = dict<string, string>({{"coremlc-version", "3505.4.1"}})]
{
  func main<ios18>(tensor<fp16, [1, 4, 1, 32]> x) {
    fp16 two = const()[name = string("two"), val = fp16(0x1p+1)];
    tensor<fp16, [1, 4, 1, 32]> y = mul(x = x, y = two)[name = string("y")];
  } -> (y);
}
)";

const char* const kWeighted = R"(program(1.3)
[buildInfo = dict<string, string>({{"coremlc-version", "3505.4.1"}})]
{
  func main<ios18>(tensor<fp16, [1, 2, 1, 32]> x) {
    tensor<fp16, [1, 2, 1, 1]> w = const()[name = string("w"), val = tensor<fp16, [1, 2, 1, 1]>(BLOBFILE(path = string("@model_path/weights/w.bin"), offset = uint64(64)))];
    tensor<fp16, [1, 2, 1, 32]> y = mul(x = x, y = w)[name = string("y")];
  } -> (y);
}
)";

}  // namespace

TEST_CASE("MIL by hand: the rules of one chip are notes for another", "[app][mil]") {
  const Folder folder;
  std::string text = kTimesTwo;
  text.replace(text.find("mul("), std::string("mul(x = x, y = two)").size(), "sin(x = x)");
  write_file(folder / "sine.mil", text);
  const auto rules = [&](const Words& more) {
    Words arguments = {"mil", "sine.mil"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments, {}, folder.path()).out;
  };
  CHECK_THAT(rules({}), ANE_CONTAINS("A56 (refusal on M1, M2)"));
  CHECK_THAT(rules({"--chip", "M2 Max"}), ANE_CONTAINS("A56 (refusal on M1, M2)"));
  CHECK_THAT(rules({"--chip", "M4"}), ANE_CONTAINS("A56 (note; seen on M1, M2)"));
}

TEST_CASE("MIL by hand: ports, rules, time, range and checksum", "[app][mil]") {
  const Folder folder;
  write_file(folder / "doubled.mil", kTimesTwo);
  const Result read = run({"mil", "doubled.mil"}, {}, folder.path());
  CAPTURE(read.out, read.err);
  REQUIRE(read.code == 0);
  CHECK_THAT(read.out, ANE_CONTAINS("x: fp16 [1, 4, 1, 32], 256 bytes"));
  CHECK_THAT(read.out, ANE_CONTAINS("y: fp16 [1, 4, 1, 32], 256 bytes"));
  CHECK_THAT(read.out, ANE_CONTAINS("Rules of the ANE"));
  CHECK(read.out.find("Run on") == std::string::npos);

  const auto checksum = [&](const Words& more) {
    Words arguments = {"mil", "doubled.mil", "--run", "--device", "host"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Result result = run(arguments, {}, folder.path());
    CAPTURE(result.out, result.err);
    REQUIRE(result.code == 0);
    const std::size_t at = result.out.find("checksum ");
    REQUIRE(at != std::string::npos);
    return result.out.substr(at, 25);
  };
  CHECK(checksum({}) == checksum({"--runs", "1"}));
  CHECK(checksum({}) == checksum({"--seed", "42"}));
  CHECK(checksum({}) != checksum({"--seed", "43"}));
  const Result compared = run({"mil", "doubled.mil", "--compare", "host", "--device", "host"}, {}, folder.path());
  CHECK_THAT(compared.out, ANE_CONTAINS("Largest difference between host and host:"));
  CHECK_THAT(compared.out, ANE_CONTAINS("y: 0, of values up to"));
}

TEST_CASE("weights come from the named directory, and missing ones are listed", "[app][mil]") {
  const Folder folder;
  write_file(folder / "weighted.mil", kWeighted);
  const Result missing = run({"mil", "weighted.mil", "--run"}, {}, folder.path());
  CHECK(missing.code == 3);
  CHECK_THAT(missing.err, ANE_CONTAINS("weights/w.bin"));
  CHECK_THAT(missing.err, ANE_CONTAINS("--weights DIR"));
  CHECK(run({"mil", "weighted.mil"}, {}, folder.path()).code == 0);

  ane::mil::BlobWriter writer;
  const std::vector<std::uint16_t> ones_and_two = {0x3c00, 0x4000};
  writer.add(ane::mil::DType::fp16, std::as_bytes(std::span(ones_and_two)));
  const std::vector<std::byte> blob = std::move(writer).finish();
  std::filesystem::create_directories(folder / "given/weights");
  write_file(folder / "given/weights/w.bin", {reinterpret_cast<const char*>(blob.data()), blob.size()});
  const Result result = run({"mil", "weighted.mil", "--run", "--weights", "given"}, {}, folder.path());
  CAPTURE(result.out, result.err);
  CHECK(result.code == 0);
  CHECK_THAT(result.out, ANE_CONTAINS("checksum"));

  write_file(folder / "given/weights/w.bin", std::string(100, 'x'));
  const Result damaged = run({"mil", "weighted.mil", "--run", "--weights", "given"}, {}, folder.path());
  CHECK(damaged.code == 3);
  CHECK_THAT(damaged.err, ANE_CONTAINS("w.bin"));
}

TEST_CASE("unreadable files and programs that cannot run are input errors", "[app][mil]") {
  const Folder folder;
  std::filesystem::create_symlink("loop", folder / "loop");
  for (const std::string& path : {std::string(300, 'a'), std::string("loop"), "loop/" + std::string(5000, 'b')}) {
    std::string text = kWeighted;
    text.replace(text.find("weights/w.bin"), std::string_view("weights/w.bin").size(), path);
    write_file(folder / "unreadable.mil", text);
    const Result result = run({"mil", "unreadable.mil", "--run"}, {}, folder.path());
    CAPTURE(path, result.err);
    CHECK(result.code == 3);
    CHECK_THAT(result.err, ANE_CONTAINS("cannot be read"));
  }
  const Result text = run({"mil", std::string(300, 'a')}, {}, folder.path());
  CHECK(text.code == 3);
  const Result directory = run({"mil", "unreadable.mil", "--run", "--weights", "loop"}, {}, folder.path());
  CHECK(directory.code == 3);

  write_file(folder / "none.mil", "program(1.3) {}");
  for (const Words& arguments : {Words{"mil", "none.mil"}, Words{"mil", "none.mil", "--run"}}) {
    const Result result = run(arguments, {}, folder.path());
    CHECK(result.code == 3);
    CHECK_THAT(result.err, ANE_CONTAINS("none.mil: ") && ANE_CONTAINS("expected 'func'"));
  }
}

TEST_CASE("missing weights are generated and reported on request", "[app][mil]") {
  const Folder folder;
  write_file(folder / "weighted.mil", kWeighted);
  const auto checksum = [&](const Words& more) {
    Words arguments = {"mil", "weighted.mil", "--run", "--device", "host", "--weights", "random"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Result result = run(arguments, {}, folder.path());
    CAPTURE(result.out, result.err);
    REQUIRE(result.code == 0);
    CHECK_THAT(result.out, ANE_CONTAINS("because their files are missing: @model_path/weights/w.bin"));
    const std::size_t at = result.out.find("checksum ");
    REQUIRE(at != std::string::npos);
    return result.out.substr(at, 25);
  };
  CHECK(checksum({}) == checksum({}));
  CHECK(checksum({}) != checksum({"--seed", "43"}));
  CHECK_FALSE(std::filesystem::exists(folder / "weights"));

  // Existing files are used unchanged.
  ane::mil::BlobWriter writer;
  const std::vector<std::uint16_t> zeros = {0, 0};
  writer.add(ane::mil::DType::fp16, std::as_bytes(std::span(zeros)));
  const std::vector<std::byte> blob = std::move(writer).finish();
  std::filesystem::create_directories(folder / "weights");
  write_file(folder / "weights/w.bin", {reinterpret_cast<const char*>(blob.data()), blob.size()});
  const Result present =
      run({"mil", "weighted.mil", "--run", "--device", "host", "--weights", "random"}, {}, folder.path());
  CHECK(present.code == 0);
  CHECK(present.out.find("Weights generated") == std::string::npos);
  CHECK_THAT(present.out, ANE_CONTAINS("y: from 0 to 0"));
}

TEST_CASE("generated weights have the declared types and sizes, one file per tensor", "[app][mil]") {
  using ane::mil::DType;
  ane::mil::Program program = ane::mil::parse(R"(program(1.3)
{
  func main<ios18>(tensor<fp16, [1, 64, 1, 32]> x) {
    tensor<fp16, [64, 64, 1, 1]> w = const()[val = tensor<fp16, [64, 64, 1, 1]>(BLOBFILE(path = string("all.bin"), offset = uint64(64)))];
    tensor<fp16, [64, 64, 1, 1]> w2 = const()[val = tensor<fp16, [64, 64, 1, 1]>(BLOBFILE(path = string("all.bin"), offset = uint64(64)))];
    tensor<fp32, [2]> v = const()[val = tensor<fp32, [2]>(BLOBFILE(path = string("all.bin"), offset = uint64(9000000000000000000)))];
    tensor<fp16, [10]> s = constexpr_sparse_to_dense()[mask = tensor<uint8, [2]>(BLOBFILE(path = string("all.bin"), offset = uint64(128))), nonzero_data = tensor<fp16, [3]>(BLOBFILE(path = string("here.bin"), offset = uint64(64))), shape = tensor<uint32, [1]>([10])];
    tensor<fp16, [1, 64, 1, 32]> y = conv(x = x, weight = w);
  } -> (y);
})");
  const ane::mil::Blobs blobs = ane::app::generate_weights(program, {"all.bin"}, 7);
  CHECK(blobs.size() == 3);
  const auto constant = [&](std::size_t operation, std::size_t attribute) {
    return std::get<ane::mil::Constant>(program.main().operations[operation].attributes[attribute].operands[0]);
  };
  const auto bytes = [&](std::size_t operation) {
    const ane::mil::Constant wanted = constant(operation, 0);
    return ane::mil::read_blob(blobs, std::get<ane::mil::BlobRef>(wanted.data), wanted.type);
  };
  CHECK(bytes(0).size() == 64 * 64 * 2);
  CHECK(bytes(0).data() == bytes(1).data());
  CHECK(bytes(2).size() == 8);
  CHECK(std::popcount(std::to_integer<unsigned>(bytes(3)[0])) + std::popcount(std::to_integer<unsigned>(bytes(3)[1])) ==
        3);
  CHECK(std::to_integer<unsigned>(bytes(3)[1]) < 4);
  CHECK(std::get<ane::mil::BlobRef>(constant(3, 1).data).path == "here.bin");
  CHECK(ane::mil::parse(ane::mil::print(program)) == program);
}

TEST_CASE("weights that do not fit into memory are not generated", "[app][mil]") {
  const Folder folder;
  std::string text = kWeighted;
  for (std::size_t at = text.find("[1, 2, 1, 1]"); at != std::string::npos; at = text.find("[1, 2, 1, 1]")) {
    text.replace(at, 12, "[1048576, 2, 4096, 64]");
  }
  const std::string used = "mul(x = x, y = w)";
  text.replace(text.find(used), used.size(), "exp(x = x)");
  write_file(folder / "huge.mil", text);
  const Result result = run({"mil", "huge.mil", "--run", "--device", "host", "--weights", "random"}, {}, folder.path());
  CAPTURE(result.out, result.err);
  CHECK(result.code == 4);
  CHECK_THAT(result.err, ANE_CONTAINS("generated weights would take"));
}

TEST_CASE("of several functions main is used, or the named one", "[app][mil]") {
  const auto function = [](const std::string& name, const std::string& operation) {
    return "func " + name + "<ios17>(tensor<fp16, [1, 4, 1, 32]> x) { tensor<fp16, [1, 4, 1, 32]> y_" + name + " = " +
           operation + "(x = x); } -> (y_" + name + ");\n";
  };
  const Folder folder;
  write_file(folder / "two.mil", "program(1.3)\n{" + function("main", "relu") + function("other", "abs") + "}");
  write_file(folder / "none.mil", "program(1.5)\n{" + function("first", "relu") + function("second", "abs") + "}");
  write_file(folder / "one.mil", "program(1.0)\n{" + function("only", "relu") + "}");

  const Result main = run({"mil", "two.mil", "--run", "--device", "host"}, {}, folder.path());
  CAPTURE(main.out, main.err);
  CHECK(main.code == 0);
  CHECK_THAT(main.out, ANE_CONTAINS("function main of 1 operations, program(1.3)/ios17"));
  CHECK_THAT(main.out, ANE_CONTAINS("Other functions (--function NAME): other"));
  CHECK_THAT(main.out, ANE_CONTAINS("y_main: from 0 to"));
  const Result other = run({"mil", "two.mil", "--run", "--device", "host", "--function", "other"}, {}, folder.path());
  CHECK(other.code == 0);
  CHECK_THAT(other.out, ANE_CONTAINS("y_other: from"));
  CHECK(other.out.find("y_main: from") == std::string::npos);

  const Result first = run({"mil", "none.mil"}, {}, folder.path());
  CHECK(first.code == 0);
  CHECK_THAT(first.out, ANE_CONTAINS("function first of 1 operations"));
  CHECK_THAT(first.out, ANE_CONTAINS("Other functions (--function NAME): second"));
  const Result unknown = run({"mil", "two.mil", "--function", "mian"}, {}, folder.path());
  CHECK(unknown.code == 3);
  CHECK_THAT(unknown.err, ANE_CONTAINS("unknown function 'mian'; --function NAME accepts main, other"));
  const Result chosen = run({"mil", "none.mil", "--function", "second"}, {}, folder.path());
  CHECK(chosen.code == 0);
  CHECK_THAT(chosen.out, ANE_CONTAINS("Note: program(1.5) is untested"));
  CHECK_THAT(run({"mil", "one.mil"}, {}, folder.path()).out,
             ANE_CONTAINS("function only of 1 operations, program(1.0)/ios17"));
}

TEST_CASE("an error in an unused function does not hide the others", "[app][mil]") {
  const Folder folder;
  const std::string port = "(tensor<fp16, [1, 4, 1, 32]> x) { tensor<fp16, [1, 4, 1, 32]> y = ";
  const std::string good = "func good<ios18>" + port + "relu(x = x); } -> (y);\n";
  const std::string bad = "func bad<ios18>" + port + "lstm(x = x); } -> (y);\n";
  write_file(folder / "both.mil", "program(1.3)\n{" + bad + good + "}");
  const Result chosen = run({"mil", "both.mil", "--run", "--device", "host", "--function", "good"}, {}, folder.path());
  CAPTURE(chosen.out, chosen.err);
  CHECK(chosen.code == 0);
  CHECK_THAT(chosen.out, ANE_CONTAINS("function good of 1 operations") && ANE_CONTAINS("y: from 0 to"));
  CHECK_THAT(chosen.out,
             ANE_CONTAINS("Note: not all of these functions can be read: line 2, ") && ANE_CONTAINS("'lstm'"));
  const Result first = run({"mil", "both.mil"}, {}, folder.path());
  CHECK(first.code == 3);
  CHECK_THAT(first.err, ANE_CONTAINS("both.mil: line 2, ") && ANE_CONTAINS("operation 'lstm' is not supported"));
}

TEST_CASE("constants in a program with several functions are reported", "[app][mil]") {
  const Folder folder;
  const std::string other = "func other<ios18>(tensor<fp16, [1, 2, 1, 32]> x) { } -> (x);\n}";
  std::string text = kWeighted;
  text.replace(text.rfind('}'), 1, other);
  write_file(folder / "one.mil", kWeighted);
  write_file(folder / "two.mil", text);
  const std::string rule =
      "A30 (refusal): line 6, column 5: op 'y' (mul): it takes a constant [1, 2, 1, 1] in a program of 2";
  CHECK(run({"mil", "one.mil"}, {}, folder.path()).out.find("A30") == std::string::npos);
  CHECK_THAT(run({"mil", "two.mil"}, {}, folder.path()).out, ANE_CONTAINS(rule));
  const Result other_one = run({"mil", "two.mil", "--function", "other"}, {}, folder.path());
  CHECK(other_one.code == 0);
  CHECK(other_one.out.find("A30") == std::string::npos);
  const Result generated =
      run({"mil", "two.mil", "--run", "--device", "host", "--weights", "random"}, {}, folder.path());
  CAPTURE(generated.out, generated.err);
  CHECK(generated.code == 0);
  CHECK_THAT(generated.out, ANE_CONTAINS(rule) && ANE_CONTAINS("checksum"));
}

TEST_CASE("MIL of other projects is accepted or refused correctly", "[app][mil]") {
  const std::filesystem::path cases = ane::test::shared_dir() / "cases/mil";
  if (!std::filesystem::exists(cases)) {
    WARN(cases.string() + " is not there");
    return;
  }
  const std::map<std::string, std::string> refused = {
      {"flexible_dim.mil", "flexible dimension '?': give a fixed shape to 'x'"},
      {"state_input.mil", "state inputs are not supported: make 'kv' an input"},
      {"op_lstm.mil", "operation 'lstm' is not supported"}};
  for (const auto& entry : std::filesystem::directory_iterator(cases)) {
    const std::string name = entry.path().filename().string();
    if (entry.path().extension() != ".mil" || name.starts_with("rule_")) continue;
    const Result result = run({"mil", entry.path().string(), "--run", "--device", "host", "--weights", "random"});
    CAPTURE(name, result.out, result.err);
    const auto refusal = refused.find(name);
    if (refusal != refused.end()) {
      CHECK(result.code == 3);
      CHECK_THAT(result.err, ANE_CONTAINS(refusal->second));
      continue;
    }
    CHECK(result.code == 0);
    CHECK_THAT(result.out, ANE_CONTAINS("checksum"));
    if (name == "program_15.mil") CHECK_THAT(result.out, ANE_CONTAINS("program(1.5) is untested"));
  }
}

TEST_CASE("errors in MIL text and in arguments name the position", "[app][mil]") {
  const Folder folder;
  std::string text = kTimesTwo;
  text.replace(text.find("mul("), 3, "mulx");
  write_file(folder / "unknown.mil", text);
  const Result unknown = run({"mil", "unknown.mil"}, {}, folder.path());
  CHECK(unknown.code == 3);
  CHECK_THAT(unknown.err, ANE_CONTAINS("unknown.mil: line 6, column "));
  CHECK_THAT(unknown.err, ANE_CONTAINS("mulx"));

  write_file(folder / "doubled.mil", kTimesTwo);
  struct Row {
    Words arguments;
    std::string message;
  };
  for (const Row& row : std::vector<Row>{{{"--runs", "0"}, "--runs: '0' is not a whole number from 1"},
                                         {{"--seed", "1e3"}, "--seed: '1e3' is not a whole number from 0"},
                                         {{"--compare", "ane"}, "--compare: 'ane' is not host"},
                                         {{"--run", "--device", "gpu"}, "--device: 'gpu' is not one of"},
                                         {{"--fast"}, "--fast"}}) {
    Words arguments = {"mil", "doubled.mil"};
    arguments.insert(arguments.end(), row.arguments.begin(), row.arguments.end());
    const Result result = run(arguments, {}, folder.path());
    CAPTURE(row.arguments, result.err);
    CHECK(result.code == 2);
    CHECK_THAT(result.err, ANE_CONTAINS(row.message));
  }
  if (!kMayHaveEngine) CHECK(run({"mil", "doubled.mil", "--run", "--device", "ane"}, {}, folder.path()).code == 4);
  CHECK_THAT(run({"mil", "--help"}).out, ANE_CONTAINS("--compare"));
}

TEST_CASE("outputs are the kernel's values without the padding of surfaces", "[app][mil]") {
  std::string text = kTimesTwo;
  for (std::size_t at = text.find("32]"); at != std::string::npos; at = text.find("32]")) text.replace(at, 2, "5");
  ane::math::ThreadPool threads(1);
  ane::device::host::HostDevice device(threads);
  const ane::app::KernelRun run = ane::app::run_kernel(device, text, {}, 7, 2);
  REQUIRE(run.outputs.size() == 1);
  CHECK(run.times.size() == 2);
  CHECK(run.outputs[0].values.size() == 20);
  double sum_of_squares = 0;
  for (const double value : run.outputs[0].values) sum_of_squares += value * value;
  CHECK(sum_of_squares / 20 > 1);  // twice a standard normal: 4 on average
  CHECK(sum_of_squares / 20 < 16);
}

TEST_CASE("compare() gives the largest difference, and NaN differs from a number", "[app][mil]") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double inf = std::numeric_limits<double>::infinity();
  const auto tensor = [](std::vector<double> values) { return ane::app::TensorValues{"t", {}, std::move(values), 0}; };
  using ane::app::compare;
  CHECK(compare(tensor({1, -4, 2}), tensor({1, -3, 2.5})).largest == 1);
  CHECK(compare(tensor({1, -4, 2}), tensor({1, -3, 2.5})).scale == 4);
  CHECK(compare(tensor({nan, inf}), tensor({nan, inf})).largest == 0);
  CHECK(std::isnan(compare(tensor({nan}), tensor({1})).largest));
  CHECK(compare(tensor({inf}), tensor({1})).largest == inf);
}
