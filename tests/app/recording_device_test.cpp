#include "ane/app/recording_device.h"

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "ane/core/error.h"
#include "ane/device/host/host_device.h"

#include "app/program.h"
#include "support/catch.h"

namespace {

using namespace ane;
using cli_test::Folder;
using cli_test::read_file;
namespace fs = std::filesystem;

const std::string kDoubled = R"(program(1.3)
[buildInfo = dict<string, string>({{"coremlc-version", "3505.4.1"}})]
{
  func main<ios18>(tensor<fp16, [1, 4, 1, 32]> x) {
    tensor<fp16, [1, 4, 1, 32]> y = add(x = x, y = x)[name = string("y")];
  } -> (y);
}
)";

app::RecordingDevice recording(math::ThreadPool& threads, app::RecordingDevice::Settings settings) {
  return {std::make_unique<device::host::HostDevice>(threads), std::move(settings)};
}

std::function<fs::path()> into(fs::path directory) {
  return [directory = std::move(directory)] { return directory; };
}

}  // namespace

TEST_CASE("each compiled kernel is written to files, with its blobs at the paths that the text names",
          "[app][recording]") {
  const Folder folder;
  math::ThreadPool threads(1);
  app::RecordingDevice device =
      recording(threads, {.dump_to = folder.path(), .failures_to = into(folder.path() / "failed")});
  CHECK(device.name() == "host");
  const mil::Blobs blobs = {{"@model_path/weights/w.bin", {std::byte{1}, std::byte{2}}}};
  CHECK(device.compile("doubled", kDoubled, blobs) != nullptr);
  CHECK(device.compile("doubled", kDoubled, {}) != nullptr);
  CHECK(read_file(folder / "doubled/model.mil") == kDoubled);
  CHECK(read_file(folder / "doubled/weights/w.bin") == "\x01\x02");
  CHECK(fs::exists(folder / "doubled.1"));
  CHECK_FALSE(fs::exists(folder / "doubled.2"));
  CHECK_FALSE(fs::exists(folder / "failed"));
}

TEST_CASE("a forwarding device has the properties of the device behind it", "[app][recording]") {
  class Other final : public device::ForwardingDevice {
   public:
    using ForwardingDevice::ForwardingDevice;
    [[nodiscard]] bool shares_cpu() const noexcept override { return false; }
    [[nodiscard]] bool limits_compiles() const noexcept override { return true; }
    [[nodiscard]] bool approximates() const noexcept override { return true; }
    [[nodiscard]] std::optional<double> peak_tflops() const noexcept override { return 2; }
  };
  math::ThreadPool threads(1);
  const app::RecordingDevice device(std::make_unique<Other>(std::make_unique<device::host::HostDevice>(threads)), {});
  CHECK_FALSE(device.shares_cpu());
  CHECK(device.limits_compiles());
  CHECK(device.approximates());
  CHECK(device.peak_tflops() == 2);
}

TEST_CASE("no blob is written outside the directory", "[app][recording]") {
  const Folder folder;
  for (const std::string path : {"/abs/olute.bin", "@model_path/../../out.bin", "@model_path/"}) {
    CAPTURE(path);
    CHECK_THROWS_AS(app::write_kernel_files(folder.path() / "in/side", kDoubled, {{path, {std::byte{3}}}}), FileError);
  }
  CHECK_FALSE(fs::exists(folder / "out.bin"));
}

TEST_CASE("a kernel that does not compile is saved, and the error says where", "[app][recording]") {
  const Folder folder;
  math::ThreadPool threads(1);
  app::RecordingDevice device = recording(threads, {.failures_to = into(folder.path() / "failed")});
  std::string broken = kDoubled;
  broken.replace(broken.find("add("), 3, "addx");
  CHECK_THROWS_AS(device.compile("doubled", broken, {}), device::CompileError);
  CHECK_THROWS_WITH(device.compile("doubled", broken, {}), ANE_CONTAINS("doubled did not compile: "));
  CHECK_THROWS_WITH(device.compile("doubled", broken, {}), ANE_CONTAINS("addx"));
  CHECK_THROWS_WITH(device.compile("doubled", broken, {}), ANE_CONTAINS((folder.path() / "failed/doubled").string()));
  CHECK(read_file(folder / "failed/doubled/model.mil") == broken);
}

TEST_CASE("if a kernel cannot be saved, the compile error is still reported", "[app][recording]") {
  const Folder folder;
  cli_test::write_file(folder / "file", "x");
  math::ThreadPool threads(1);
  std::string broken = kDoubled;
  broken.replace(broken.find("add("), 3, "addx");
  const auto refuse = []() -> fs::path { throw FileError("there is no place"); };
  for (const auto& failures_to : {std::function<fs::path()>(refuse), into(folder / "file")}) {
    app::RecordingDevice device = recording(threads, {.failures_to = failures_to});
    CHECK_THROWS_AS(device.compile("doubled", broken, {}), device::CompileError);
    CHECK_THROWS_WITH(device.compile("doubled", broken, {}), ANE_CONTAINS("doubled did not compile: ") &&
                                                                 ANE_CONTAINS("addx") &&
                                                                 ANE_CONTAINS("its MIL could not be saved: "));
  }
}
