#include "model_directory.h"

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include <dlfcn.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ane/core/file.h"
#include "ane/device/device.h"

#include "program_files.h"
#include "support/catch.h"

#ifdef __linux__
namespace {

/// During its lifetime, flock fails.
class NoLocks {
 public:
  NoLocks() { alive_ = true; }
  ~NoLocks() { alive_ = false; }
  NoLocks(const NoLocks&) = delete;
  NoLocks& operator=(const NoLocks&) = delete;
  [[nodiscard]] static bool is_alive() { return alive_; }

 private:
  static inline bool alive_ = false;
};

}  // namespace

// Replaces the system's function in this program.
extern "C" int flock(int file, int operation) noexcept {
  if (NoLocks::is_alive()) {
    errno = ENOLCK;
    return -1;
  }
  static auto* const real = reinterpret_cast<int (*)(int, int)>(::dlsym(RTLD_NEXT, "flock"));
  return real(file, operation);
}
#endif

namespace ane::device::apple {
namespace {

namespace fs = std::filesystem;

/// Three hashes, like the framework's identifiers.
std::string identifier_of(char digit) {
  const std::string hash(64, digit);
  return hash + "_" + hash + "_" + hash;
}
const std::string kIdentifier = identifier_of('A');

fs::path record_of(const fs::path& program) { return program.string() + std::string(ProgramClaim::kSuffix); }

/// A path in a private directory, so that the cleanup affects no other process.
struct Scratch {
  Scratch() { fs::create_directories(folder); }
  ~Scratch() { fs::remove_all(folder); }
  fs::path folder = fs::temp_directory_path() / ("ane-model-directory-" + std::to_string(getpid()));
  fs::path path = folder / kIdentifier;
};

/// Leaves a program's directory and record behind, like a killed process.
void leave(const fs::path& path, const mil::Blobs& weights) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const ModelDirectory directory(path, "program", weights);
    ::raise(SIGKILL);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFSIGNALED(status));
  REQUIRE(fs::exists(path / "model.mil"));
  REQUIRE(fs::exists(record_of(path)));
}

void touch(const fs::path& path) { write_file_atomically(path, std::vector<std::byte>(8)); }

mil::Blobs two_blobs() {
  return {{"@model_path/weights/w.bin", std::vector<std::byte>(200, std::byte{7})},
          {"@model_path/masks/deep/m.bin", std::vector<std::byte>(3, std::byte{8})}};
}

TEST_CASE("a model's directory contains text and weights during its lifetime", "[apple]") {
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

TEST_CASE("leftovers of a killed process are replaced", "[apple]") {
  const Scratch scratch;
  const fs::path& path = scratch.path;
  fs::create_directories(path / "weights");
  write_file_atomically(path / "weights" / "stale.bin", std::vector<std::byte>(8));
  const ModelDirectory directory(path, "program", {});
  CHECK_FALSE(fs::exists(path / "weights" / "stale.bin"));
  CHECK(fs::is_directory(path / "weights"));
}

TEST_CASE("a directory is removed with the last user of the program", "[apple]") {
  const Scratch scratch;
  const fs::path& path = scratch.path;
  std::vector<std::string> purged;
  const auto purge = [&](const std::string& identifier) {
    purged.push_back(identifier);
    return true;
  };
  {
    auto first = std::make_unique<ModelDirectory>(path, "program", two_blobs());
    ModelDirectory second(path, "program", two_blobs());
    CHECK_FALSE(first->take_over());
    first.reset();
    CHECK(second.holds("program", two_blobs()));
    remove_abandoned_programs(path.parent_path(), purge);
    CHECK(second.holds("program", two_blobs()));
    fs::remove_all(path);  // like the framework when it unloads the other one
    CHECK(second.restore("program", two_blobs()));
    CHECK_FALSE(second.restore("program", two_blobs()));
    CHECK(second.take_over());
  }
  CHECK_FALSE(fs::exists(path));
  CHECK_FALSE(fs::exists(record_of(path)));
  CHECK(purged.empty());
}

TEST_CASE("leftovers of a killed process are removed by the next one", "[apple]") {
  const Scratch scratch;
  const fs::path& path = scratch.path;
  leave(path, {{"@model_path/weights/deep/w.bin", std::vector<std::byte>(200, std::byte{7})}});
  touch(path / "net.plist");  // the framework's own
  touch(path / "data");
  touch(path / "model.mil.4711");  // never finished
  std::vector<std::string> purged;
  const auto purge = [&](const std::string& identifier) {
    purged.push_back(identifier);
    return true;
  };
  remove_abandoned_programs(path.parent_path(), purge);
  CHECK_FALSE(fs::exists(path));
  CHECK_FALSE(fs::exists(record_of(path)));
  CHECK(purged == std::vector<std::string>{kIdentifier});
  CHECK_NOTHROW(remove_abandoned_programs("/nowhere", purge));
}

TEST_CASE("the record of a program that cannot be purged stays until it can", "[apple]") {
  const Scratch scratch;
  leave(scratch.path, {});
  remove_abandoned_programs(scratch.folder, [](const std::string&) { return false; });
  CHECK_FALSE(fs::exists(scratch.path));
  CHECK(fs::exists(record_of(scratch.path)));
  int purged = 0;
  const auto purge = [&](const std::string&) { return ++purged > 0; };
  remove_abandoned_programs(scratch.folder, purge);
  CHECK(purged == 1);
  CHECK(fs::is_empty(scratch.folder));
}

TEST_CASE("files that do not belong to the bridge stay", "[apple]") {
  const Scratch scratch;
  const fs::path& folder = scratch.folder;
  std::vector<std::string> purged;
  const auto purge = [&](const std::string& identifier) {
    purged.push_back(identifier);
    return true;
  };
  fs::create_directory(folder / "work");
  touch(folder / "work" / "thesis.tex");

  SECTION("a file with another name") {
    const std::string suffix(ProgramClaim::kSuffix);
    const std::vector<std::string> names{
        "", "work", kIdentifier + "0", kIdentifier.substr(1), "x" + kIdentifier, "G" + kIdentifier.substr(1)};
    for (const std::string& name : names) {
      touch(folder / (name + suffix));
      fs::create_directory(folder / name);
    }
    remove_abandoned_programs(folder, purge);
    for (const std::string& name : names) {
      CAPTURE(name);
      CHECK(fs::exists(folder / (name + suffix)));
      CHECK(fs::exists(folder / name));
    }
    CHECK(purged.empty());
  }
  SECTION("a record that is a symbolic link") {
    touch(folder / "notes");
    fs::create_symlink("notes", record_of(scratch.path));
    fs::create_directory(scratch.path);
    touch(scratch.path / "model.mil");
    remove_abandoned_programs(folder, purge);
    CHECK(fs::exists(scratch.path / "model.mil"));
    CHECK(fs::is_symlink(record_of(scratch.path)));
    CHECK(purged.empty());
    CHECK_THROWS_WITH(ModelDirectory(scratch.path, "program", {}), ANE_CONTAINS("cannot be created"));
  }
  SECTION("a record that is a pipe") {
    REQUIRE(::mkfifo(record_of(scratch.path).c_str(), 0600) == 0);
    remove_abandoned_programs(folder, purge);
    CHECK(fs::exists(record_of(scratch.path)));
    CHECK(purged.empty());
    CHECK_THROWS_WITH(ModelDirectory(scratch.path, "program", {}),
                      ANE_CONTAINS("is not a regular file owned by this user"));
  }
  SECTION("a program's directory that is a symbolic link") {
    touch(folder / "work" / "model.mil");
    fs::create_directory_symlink("work", scratch.path);
    touch(record_of(scratch.path));
    CHECK_THROWS_WITH(ModelDirectory(scratch.path, "program", {}),
                      ANE_CONTAINS("is not a directory owned by this user"));
    touch(record_of(scratch.path));
    remove_abandoned_programs(folder, purge);
    CHECK(fs::exists(folder / "work" / "model.mil"));
    CHECK(fs::is_symlink(scratch.path));
  }
  SECTION("a program's weights/ that is a symbolic link") {
    leave(scratch.path, {});
    fs::remove(scratch.path / "weights");
    fs::create_directory_symlink("../work", scratch.path / "weights");
    remove_abandoned_programs(folder, purge);
    CHECK(fs::is_symlink(scratch.path / "weights"));
  }
  SECTION("other files in a program's directory, and the targets of links in it") {
    leave(scratch.path, two_blobs());
    touch(scratch.path / "model.mil.orig");
    touch(scratch.path / "notes");
    fs::create_symlink("../../work", scratch.path / "weights" / "more");
    remove_abandoned_programs(folder, purge);
    CHECK(purged == std::vector<std::string>{kIdentifier});
    CHECK_FALSE(fs::exists(scratch.path / "model.mil"));
    CHECK_FALSE(fs::exists(scratch.path / "weights" / "w.bin"));
    CHECK(fs::exists(scratch.path / "model.mil.orig"));
    CHECK(fs::exists(scratch.path / "notes"));
    CHECK(fs::is_symlink(scratch.path / "weights" / "more"));
  }
  CHECK(fs::exists(folder / "work" / "thesis.tex"));
}

#ifdef __linux__
TEST_CASE("a refused lock is reported with the system's message", "[apple]") {
  const Scratch scratch;
  const NoLocks no_locks;
  CHECK_THROWS_WITH(ModelDirectory(scratch.path, "program", {}),
                    ANE_CONTAINS(record_of(scratch.path).string()) &&
                        ANE_CONTAINS("cannot be locked: " + std::generic_category().message(ENOLCK)));
}

#endif

TEST_CASE("a directory that cannot be filled is removed", "[apple]") {
  const Scratch scratch;
  const fs::path& path = scratch.path;
  // One blob's file is in the place of another's directory.
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
