#include "model_directory.h"

#include <cstddef>
#include <string>
#include <vector>

#include <unistd.h>

#include "ane/core/file.h"
#include "ane/device/device.h"

#include "support/catch.h"

namespace ane::device::apple {
namespace {

namespace fs = std::filesystem;

fs::path scratch() { return fs::temp_directory_path() / ("ane-model-directory-" + std::to_string(getpid())); }

mil::Blobs two_blobs() {
  return {{"@model_path/weights/w.bin", std::vector<std::byte>(200, std::byte{7})},
          {"@model_path/masks/deep/m.bin", std::vector<std::byte>(3, std::byte{8})}};
}

TEST_CASE("a model's directory holds text and weights while it lives", "[apple]") {
  const fs::path path = scratch();
  {
    const ModelDirectory directory(path, "program", two_blobs());
    CHECK(read_text_file(path / "model.mil", "text") == "program");
    CHECK(fs::file_size(path / "weights" / "w.bin") == 200);
    CHECK(fs::file_size(path / "masks" / "deep" / "m.bin") == 3);
    CHECK(directory.holds("program", two_blobs()));
    CHECK_FALSE(directory.holds("programs", two_blobs()));
    mil::Blobs other = two_blobs();
    other["@model_path/masks/deep/m.bin"][2] = std::byte{9};
    CHECK_FALSE(directory.holds("program", other));
    other = two_blobs();
    other["@model_path/more.bin"] = {};
    CHECK_FALSE(directory.holds("program", other));
  }
  CHECK_FALSE(fs::exists(path));
}

TEST_CASE("what a killed process left is replaced", "[apple]") {
  const fs::path path = scratch();
  fs::create_directories(path / "weights");
  write_file_atomically(path / "weights" / "stale.bin", std::vector<std::byte>(8));
  const ModelDirectory directory(path, "program", {});
  CHECK_FALSE(fs::exists(path / "weights" / "stale.bin"));
  CHECK(fs::is_directory(path / "weights"));
}

TEST_CASE("a directory that cannot be filled is removed", "[apple]") {
  const fs::path path = scratch();
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
