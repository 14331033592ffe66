#include "ane/core/file.h"

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ane/core/descriptor.h"
#include "ane/core/error.h"

#include "support/bytes.h"
#include "support/catch.h"

namespace {

namespace fs = std::filesystem;

class Folder {
 public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "ane-file-test-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~Folder() {
    std::error_code ignored;
    fs::permissions(path_, fs::perms::owner_all, ignored);
    fs::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  fs::path operator/(const char* name) const { return path_ / name; }
  const fs::path& path() const { return path_; }

  std::vector<std::string> names() const {
    std::vector<std::string> found;
    for (const fs::directory_entry& entry : fs::directory_iterator(path_)) found.push_back(entry.path().filename());
    return found;
  }

 private:
  fs::path path_;
};

// Root ignores permissions: during its lifetime, root acts as an unprivileged user.
class WithoutRootRights {
 public:
  WithoutRootRights() {
    if (::geteuid() == 0) was_root_ = ::seteuid(65534) == 0;
  }
  ~WithoutRootRights() {
    if (was_root_ && ::seteuid(0) != 0) std::abort();
  }
  WithoutRootRights(const WithoutRootRights&) = delete;
  WithoutRootRights& operator=(const WithoutRootRights&) = delete;

 private:
  bool was_root_ = false;
};

// Limits file sizes to `bytes` during its lifetime, to simulate a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : old_action_(std::signal(SIGXFSZ, SIG_IGN)) {
    REQUIRE(::getrlimit(RLIMIT_FSIZE, &old_) == 0);
    const rlimit limit{bytes, old_.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &old_);
    static_cast<void>(std::signal(SIGXFSZ, old_action_));
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  void (*old_action_)(int);
  rlimit old_{};
};

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string contents(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write(const fs::path& path, std::string_view text) { std::ofstream(path, std::ios::binary) << text; }

TEST_CASE("a regular file is read in pieces and as a whole, and moves", "[core]") {
  const Folder folder;
  std::string text("a\0b\n", 4);
  text.append(3'000'000, 'x');
  text += "end";
  write(folder / "data", text);
  ane::RegularFile file(folder / "data", "token file");
  CHECK(file.size_bytes() == text.size());
  CHECK(text_of(file.read_all()) == text);
  CHECK(file.path() == folder / "data");
  CHECK(ane::checksum_of(file) == ane::checksum_of(bytes_of(text)));

  const ane::RegularFile moved(std::move(file));
  std::vector<std::byte> piece(5);
  moved.read(text.size() - piece.size(), piece);
  CHECK(text_of(piece) == "xxend");
  CHECK_NOTHROW(moved.read(text.size(), {}));

  write(folder / "empty", "");
  const ane::RegularFile empty(folder / "empty", "token file");
  CHECK(empty.read_all().empty());
  CHECK(ane::checksum_of(empty) == ane::checksum_of({}));
}

TEST_CASE("a file truncated while it is read is an error that names it", "[core]") {
  const Folder folder;
  write(folder / "data", std::string(100'000, 'x'));
  const ane::RegularFile file(folder / "data", "token file");
  fs::resize_file(folder / "data", 50'000);
  std::vector<std::byte> piece(2000);
  CHECK_NOTHROW(file.read(48'000, piece));
  for (const std::uint64_t offset : {48'001U, 50'000U, 98'000U, 200'000U}) {
    CAPTURE(offset);
    CHECK_THROWS_AS(file.read(offset, piece), ane::FileError);
    CHECK_THROWS_WITH(file.read(offset, piece),
                      ANE_CONTAINS("token file '" + (folder / "data").string() + "' ends at"));
  }
  CHECK_THROWS_AS(file.read_all(), ane::FileError);
  CHECK_THROWS_AS(ane::checksum_of(file), ane::FileError);
}

TEST_CASE("a file that cannot be opened is named with its role and the reason", "[core]") {
  const Folder folder;
  const auto open = [](const fs::path& path) { return ane::RegularFile(path, "token file"); };

  const fs::path missing = folder / "missing.bin";
  REQUIRE_THROWS_AS(open(missing), ane::FileError);
  REQUIRE_THROWS_WITH(open(missing), "token file '" + missing.string() +
                                         "' does not exist (No such file or directory); check the path");

  REQUIRE_THROWS_AS(open(folder.path()), ane::FileError);
  REQUIRE_THROWS_WITH(open(folder.path()), ANE_CONTAINS("token file '" + folder.path().string() + "' is a directory"));

  write(folder / "file", "x");
  REQUIRE_THROWS_AS(open(folder / "file" / "below"), ane::FileError);
  REQUIRE_THROWS_WITH(open(folder / "file" / "below"), ANE_CONTAINS("cannot be read (Not a directory)"));

  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  REQUIRE_THROWS_AS(open(folder / "pipe"), ane::FileError);
  REQUIRE_THROWS_WITH(open(folder / "pipe"), ANE_CONTAINS("a regular file is needed"));
}

TEST_CASE("a file without read permission says so", "[core]") {
  const Folder folder;
  write(folder / "secret", "x");
  fs::permissions(folder.path(), fs::perms::owner_all | fs::perms::others_exec);
  fs::permissions(folder / "secret", fs::perms::none);
  std::string opened;
  std::string read;
  {
    const WithoutRootRights guard;
    try {
      const ane::RegularFile file(folder / "secret", "model");
    } catch (const ane::FileError& error) {
      opened = error.what();
    }
    try {
      read = ane::read_text_file(folder / "secret", "config");
    } catch (const ane::FileError& error) {
      read = error.what();
    }
  }
  CHECK_THAT(opened, ANE_CONTAINS("model '") && ANE_CONTAINS("is not readable (Permission denied)"));
  CHECK_THAT(read, ANE_CONTAINS("config '") && ANE_CONTAINS("is not readable (Permission denied)"));
}

TEST_CASE("a text file of any length is read completely, and may be empty", "[core]") {
  const Folder folder;
  const auto size = GENERATE(0U, 1U, 65'535U, 65'536U, 65'537U, 300'000U);
  CAPTURE(size);
  std::string text(size, '\0');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 31);
  write(folder / "text", text);
  CHECK(ane::read_text_file(folder / "text", "config") == text);
}

TEST_CASE("a text file may be a pipe", "[core]") {
  const Folder folder;
  const fs::path pipe = folder / "pipe";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  std::thread writer([&] { write(pipe, "through a pipe"); });
  CHECK(ane::read_text_file(pipe, "config") == "through a pipe");
  writer.join();
}

TEST_CASE("a text file that cannot be read is named with its role and the reason", "[core]") {
  const Folder folder;
  REQUIRE_THROWS_AS(ane::read_text_file(folder / "missing", "config"), ane::FileError);
  REQUIRE_THROWS_WITH(ane::read_text_file(folder / "missing", "config"),
                      ANE_CONTAINS("config '") && ANE_CONTAINS("does not exist"));
  REQUIRE_THROWS_WITH(ane::read_text_file(folder.path(), "config"), ANE_CONTAINS("is a directory"));
  REQUIRE_THROWS_WITH(ane::read_text_file("/dev/zero", "config"), ANE_CONTAINS("config '/dev/zero'"));
}

TEST_CASE("an atomic write creates or replaces the file and leaves nothing else", "[core]") {
  const Folder folder;
  ane::write_file_atomically(folder / "state", bytes_of("first, which is longer"));
  CHECK(contents(folder / "state") == "first, which is longer");
  ane::write_file_atomically(folder / "state", bytes_of("second"));
  CHECK(contents(folder / "state") == "second");
  ane::write_file_atomically(folder / "state", {});
  CHECK(contents(folder / "state").empty());
  CHECK(folder.names() == std::vector<std::string>{"state"});
}

TEST_CASE("a temporary file is in place after commit(), and its digest is that of its contents", "[core]") {
  const Folder folder;
  write(folder / "state", "old");
  const std::string text(3 << 20, 'y');
  {
    ane::TemporaryFile file(folder / "state");
    file.write(bytes_of(text));
    file.write(bytes_of("end"));
    CHECK(file.digest().size_bytes == text.size() + 3);
    CHECK(file.digest().checksum == ane::checksum_of(bytes_of(text + "end")));
    CHECK(contents(folder / "state") == "old");
    file.commit();
  }
  CHECK(contents(folder / "state") == text + "end");
  { ane::TemporaryFile(folder / "state").write(bytes_of("never committed")); }
  CHECK(contents(folder / "state") == text + "end");
  CHECK(folder.names() == std::vector<std::string>{"state"});
}

TEST_CASE("directories are created with their parents, and a file in the way is named", "[core]") {
  const Folder folder;
  ane::make_directories(folder / "a/b/c");
  CHECK(fs::is_directory(folder / "a/b/c"));
  CHECK_NOTHROW(ane::make_directories(folder / "a/b/c/"));
  CHECK_NOTHROW(ane::make_directories(""));
  write(folder / "file", "x");
  CHECK_THROWS_AS(ane::make_directories(folder / "file/d"), ane::FileError);
  CHECK_THROWS_WITH(ane::make_directories(folder / "file/d"), ANE_CONTAINS("file"));
}

TEST_CASE("free space is that of the disk, if known", "[core]") {
  const Folder folder;
  const std::optional<std::uint64_t> bytes = ane::free_disk_bytes(folder.path());
  REQUIRE(bytes.has_value());
  CHECK(*bytes <= fs::space(folder.path()).capacity);
  CHECK(*bytes > 0);
  CHECK_FALSE(ane::free_disk_bytes(folder / "missing").has_value());
#ifdef __linux__
  CHECK_FALSE(ane::free_disk_bytes("/proc").has_value());  // reports zeros
#endif
}

// During its lifetime, temporary files go to `folder`.
class TemporaryFilesIn {
 public:
  explicit TemporaryFilesIn(const fs::path& folder) {
    if (const char* const before = std::getenv("TMPDIR")) before_ = before;
    ::setenv("TMPDIR", folder.c_str(), 1);
  }
  ~TemporaryFilesIn() { before_ ? ::setenv("TMPDIR", before_->c_str(), 1) : ::unsetenv("TMPDIR"); }
  TemporaryFilesIn(const TemporaryFilesIn&) = delete;
  TemporaryFilesIn& operator=(const TemporaryFilesIn&) = delete;

 private:
  std::optional<std::string> before_;
};

TEST_CASE("temporary directories are private to this user", "[core]") {
  const Folder folder;
  const TemporaryFilesIn moved(folder.path());
  const fs::path first = ane::make_temporary_directory("saved");
  const fs::path second = ane::make_temporary_directory("saved");
  CHECK(first.parent_path() == folder.path());
  CHECK_THAT(first.string(), ANE_CONTAINS("/saved-"));
  CHECK(first != second);
  CHECK(fs::status(first).permissions() == fs::perms::owner_all);

  const fs::path named = ane::private_temporary_directory("failed-1");
  CHECK(named == folder / "failed-1");
  CHECK(fs::status(named).permissions() == fs::perms::owner_all);
  CHECK(ane::private_temporary_directory("failed-1") == named);

  fs::permissions(named, fs::perms::group_write, fs::perm_options::add);
  CHECK_THROWS_AS(ane::private_temporary_directory("failed-1"), ane::FileError);
  fs::create_directory_symlink(first, folder / "link");
  CHECK_THROWS_WITH(ane::private_temporary_directory("link"), ANE_CONTAINS("link' cannot be written"));
  write(folder / "file", "x");
  CHECK_THROWS_AS(ane::private_temporary_directory("file"), ane::FileError);

  const TemporaryFilesIn nowhere("/dev/null/nowhere");
  CHECK_THROWS_WITH(ane::make_temporary_directory("saved"), ANE_CONTAINS("set TMPDIR to one"));
  CHECK_THROWS_WITH(ane::private_temporary_directory("saved"), ANE_CONTAINS("set TMPDIR to one"));
}

TEST_CASE("names of temporary files are recognized", "[core]") {
  const auto is_name = [](std::string_view name) { return ane::TemporaryFile::is_name_for("model", name); };
  CHECK(is_name("model.tmp-123-0"));
  for (const char* name : {"model", "model.tmp-", "model.tmp-1", "model.tmp-1-", "model.tmp-1-2x", "model.tmp--1",
                           "model.tmp-a-1", "model2.tmp-1-1", "x.tmp-1-1"}) {
    CAPTURE(name);
    CHECK_FALSE(is_name(name));
  }
}

TEST_CASE("an atomic write gives the default permissions of a new file", "[core]") {
  const Folder folder;
  const mode_t mask = ::umask(022);
  ane::write_file_atomically(folder / "state", bytes_of("x"));
  ::umask(mask);
  CHECK(fs::status(folder / "state").permissions() ==
        (fs::perms::owner_read | fs::perms::owner_write | fs::perms::group_read | fs::perms::others_read));
}

TEST_CASE("an atomic write ignores leftovers of a crashed process", "[core]") {
  const Folder folder;
  write(folder.path() / ("state.tmp-" + std::to_string(::getpid()) + "-0"), "torn");
  ane::write_file_atomically(folder / "state", bytes_of("whole"));
  CHECK(contents(folder / "state") == "whole");
  CHECK(folder.names().size() == 2);
}

TEST_CASE("an atomic write accepts a path without a directory", "[core]") {
  const Folder folder;
  const fs::path before = fs::current_path();
  fs::current_path(folder.path());
  CHECK_NOTHROW(ane::write_file_atomically("bare", bytes_of("x")));
  fs::current_path(before);
  CHECK(contents(folder / "bare") == "x");
}

TEST_CASE("an atomic write that fails keeps the old file and names the reason", "[core]") {
  const Folder folder;
  const fs::path missing = folder / "no" / "state";
  REQUIRE_THROWS_AS(ane::write_file_atomically(missing, bytes_of("x")), ane::FileError);
  REQUIRE_THROWS_WITH(
      ane::write_file_atomically(missing, bytes_of("x")),
      ANE_CONTAINS("'" + missing.string() + "' cannot be written") && ANE_CONTAINS("No such file or directory"));

  fs::create_directory(folder / "taken");
  REQUIRE_THROWS_AS(ane::write_file_atomically(folder / "taken", bytes_of("x")), ane::FileError);
  REQUIRE_THROWS_WITH(ane::write_file_atomically(folder / "taken", bytes_of("x")), ANE_CONTAINS("(Is a directory)"));
  CHECK(folder.names() == std::vector<std::string>{"taken"});
  fs::remove(folder / "taken");

  write(folder / "state", "old");
  {
    const FileSizeLimit limit(1000);
    const std::string text(2000, 'x');
    REQUIRE_THROWS_AS(ane::write_file_atomically(folder / "state", bytes_of(text)), ane::FileError);
    REQUIRE_THROWS_WITH(ane::write_file_atomically(folder / "state", bytes_of(text)),
                        ANE_CONTAINS("is the disk full?") && ANE_CONTAINS("(File too large)"));
  }
  CHECK(contents(folder / "state") == "old");
  CHECK(folder.names() == std::vector<std::string>{"state"});

  fs::permissions(folder.path(), fs::perms::owner_read | fs::perms::owner_exec | fs::perms::others_exec);
  std::string message;
  {
    const WithoutRootRights guard;
    try {
      ane::write_file_atomically(folder / "state", bytes_of("new"));
    } catch (const ane::FileError& error) {
      message = error.what();
    }
  }
  CHECK_THAT(message, ANE_CONTAINS("(Permission denied)"));
  CHECK(contents(folder / "state") == "old");
}

TEST_CASE("a directory is synced, and one that is missing is named", "[core]") {
  const Folder folder;
  CHECK_NOTHROW(ane::sync_directory(folder.path()));
  REQUIRE_THROWS_AS(ane::sync_directory(folder / "missing"), ane::FileError);
  REQUIRE_THROWS_WITH(ane::sync_directory(folder / "missing"), ANE_CONTAINS("No such file or directory"));
}

bool is_open(int descriptor) { return ::fcntl(descriptor, F_GETFD) != -1; }

TEST_CASE("a descriptor is closed once, by its last owner", "[core]") {
  const int raw = ::open("/dev/null", O_RDONLY);
  REQUIRE(raw >= 0);
  {
    ane::Descriptor first(raw);
    CHECK(first);
    ane::Descriptor second(std::move(first));
    CHECK(second.get() == raw);
    CHECK(is_open(raw));
    ane::Descriptor third;
    CHECK_FALSE(third);
    third = std::move(second);
    CHECK(third.get() == raw);
  }
  CHECK_FALSE(is_open(raw));

  const int kept = ::open("/dev/null", O_RDONLY);
  CHECK(ane::Descriptor(kept).release() == kept);
  CHECK(is_open(kept));
  ::close(kept);
}

}  // namespace

TEST_CASE("a temporary directory appears when it is complete, or not at all", "[core]") {
  const Folder folder;
  const fs::path place = folder / "made";
  const auto entries = [&] {
    return std::distance(fs::directory_iterator(place.parent_path()), fs::directory_iterator());
  };
  {
    ane::NewDirectory directory(place);
    std::ofstream(directory.path() / "file") << "x";
    CHECK_FALSE(fs::exists(place));
    CHECK(directory.path().parent_path() == place.parent_path());
  }
  CHECK(entries() == 0);
  {
    ane::NewDirectory directory(place);
    std::ofstream(directory.path() / "file") << "x";
    directory.commit();
  }
  CHECK(fs::exists(place / "file"));
  CHECK(entries() == 1);
  {
    ane::NewDirectory directory(place);  // in place of one that is not empty
    CHECK_THROWS_AS(directory.commit(), ane::FileError);
  }
  CHECK(fs::exists(place / "file"));
  CHECK(entries() == 1);
  CHECK_THROWS_AS(ane::NewDirectory(folder / "absent/made"), ane::FileError);
}

TEST_CASE("a nameless file is read through its descriptor", "[core]") {
  ane::NamelessFile file;
  const std::string text = "some text";
  file.write(std::as_bytes(std::span(text)));
  file.write(std::as_bytes(std::span(text)));
  const ane::RegularFile read(std::move(file).release(), "nameless", "test");
  CHECK(ane::whole_text(read, 100) == text + text);
}
