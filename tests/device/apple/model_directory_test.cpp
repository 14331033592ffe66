#include "model_directory.h"

#include <csignal>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

#include "ane/core/file.h"
#include "ane/device/device.h"

#include "support/catch.h"

namespace ane::device::apple {
namespace {

namespace fs = std::filesystem;

/// A path in a folder of our own, so that sweeping meets nobody else.
struct Scratch {
  Scratch() { fs::create_directories(folder); }
  ~Scratch() { fs::remove_all(folder); }
  fs::path folder = fs::temp_directory_path() / ("ane-model-directory-" + std::to_string(getpid()));
  fs::path path = folder / "0123ABCD";
};

mil::Blobs two_blobs() {
  return {{"@model_path/weights/w.bin", std::vector<std::byte>(200, std::byte{7})},
          {"@model_path/masks/deep/m.bin", std::vector<std::byte>(3, std::byte{8})}};
}

TEST_CASE("a model's directory holds text and weights while it lives", "[apple]") {
  const Scratch scratch;
  const fs::path& path = scratch.path;
  {
    const ModelDirectory directory(path, "program", two_blobs());
    CHECK(read_text_file(path / "model.mil", "text") == "program");
    CHECK(fs::file_size(path / "weights" / "w.bin") == 200);
    CHECK(fs::file_size(path / "masks" / "deep" / "m.bin") == 3);
    CHECK(directory.holds("program", two_blobs()));
    CHECK_FALSE(directory.holds("programs", two_blobs()));
    mil::Blobs other = two_blobs();
    other["@model_path/masks/deep/m.bin"].own()[2] = std::byte{9};
    CHECK_FALSE(directory.holds("program", other));
    other = two_blobs();
    other["@model_path/more.bin"] = {};
    CHECK_FALSE(directory.holds("program", other));
  }
  CHECK_FALSE(fs::exists(path));
}

TEST_CASE("what a killed process left is replaced", "[apple]") {
  const Scratch scratch;
  const fs::path& path = scratch.path;
  fs::create_directories(path / "weights");
  write_file_atomically(path / "weights" / "stale.bin", std::vector<std::byte>(8));
  const ModelDirectory directory(path, "program", {});
  CHECK_FALSE(fs::exists(path / "weights" / "stale.bin"));
  CHECK(fs::is_directory(path / "weights"));
}

TEST_CASE("a directory goes with the last that holds the program", "[apple]") {
  const Scratch scratch;
  const fs::path& path = scratch.path;
  std::vector<std::string> purged;
  const auto purge = [&](const std::string& identifier) { purged.push_back(identifier); };
  {
    auto first = std::make_unique<ModelDirectory>(path, "program", two_blobs());
    ModelDirectory second(path, "program", two_blobs());
    CHECK_FALSE(first->take_over());
    first.reset();
    CHECK(second.holds("program", two_blobs()));
    remove_abandoned_programs(path.parent_path(), purge);
    CHECK(second.holds("program", two_blobs()));
    fs::remove_all(path);  // as the framework does when it unloads the other
    CHECK(second.restore("program", two_blobs()));
    CHECK_FALSE(second.restore("program", two_blobs()));
    CHECK(second.take_over());
  }
  CHECK_FALSE(fs::exists(path));
  CHECK_FALSE(fs::exists(path.string() + std::string(ProgramClaim::kSuffix)));
  CHECK(purged.empty());
}

TEST_CASE("what a killed process left is removed by the next", "[apple]") {
  const Scratch scratch;
  const fs::path& path = scratch.path;
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const ModelDirectory directory(path, "program", two_blobs());
    ::raise(SIGKILL);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFSIGNALED(status));
  REQUIRE(fs::exists(path / "model.mil"));

  std::vector<std::string> purged;
  const auto purge = [&](const std::string& identifier) { purged.push_back(identifier); };
  remove_abandoned_programs(path.parent_path(), purge);
  CHECK_FALSE(fs::exists(path));
  CHECK_FALSE(fs::exists(path.string() + std::string(ProgramClaim::kSuffix)));
  CHECK(purged == std::vector<std::string>{"0123ABCD"});
  CHECK_NOTHROW(remove_abandoned_programs("/nowhere", purge));
}

TEST_CASE("a directory that cannot be filled is removed", "[apple]") {
  const Scratch scratch;
  const fs::path& path = scratch.path;
  // One blob's file is where another's folder must be.
  const mil::Blobs clash{{"@model_path/a", std::vector<std::byte>(1)}, {"@model_path/a/b", std::vector<std::byte>(1)}};
  CHECK_THROWS_AS(ModelDirectory(path, "program", clash), DeviceError);
  CHECK_FALSE(fs::exists(path));
}

TEST_CASE("blobs lie inside the directory", "[apple]") {
  CHECK(blob_file("@model_path/weights/w.bin") == fs::path("weights/w.bin"));
  CHECK(blob_file("@model_path/w.bin") == fs::path("w.bin"));
  const std::string bad = GENERATE("", "w.bin", "/etc/passwd", "@model_path/", "@model_path/../x", "@model_path//etc/x",
                                   "@model_path/weights/", "@model_path/weights/../../x", "@model_path/model.mil");
  CAPTURE(bad);
  CHECK_THROWS_AS(blob_file(bad), CompileError);
}

}  // namespace
}  // namespace ane::device::apple
