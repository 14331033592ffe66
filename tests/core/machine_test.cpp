#include "ane/core/machine.h"

#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <string_view>

#ifdef __linux__
#include <sched.h>
#endif

#include "support/catch.h"
#include "support/temporary_directory.h"

using namespace ane;
namespace fs = std::filesystem;

namespace {

/// Files as in Linux's /proc and /sys, below a test directory.
class FakeRoot {
 public:
  void write(const std::string& file, std::string_view text) const {
    fs::create_directories((path() / file).parent_path());
    std::ofstream(path() / file) << text;
  }
  [[nodiscard]] const fs::path& path() const { return directory_.path(); }

 private:
  TemporaryDirectory directory_;
};

constexpr std::string_view kMeminfo =
    "MemTotal:       24684084 kB\nMemFree:        11564436 kB\nMemAvailable:      20000 kB\nSwapTotal: 9 kB\n"
    "SwapFree:           1000 kB\n";

}  // namespace

TEST_CASE("fields of meminfo and memory.stat are found by their whole name", "[core][machine]") {
  CHECK(field_bytes(kMeminfo, "MemAvailable") == 20000U * 1024);
  CHECK(field_bytes(kMeminfo, "SwapFree") == 1000U * 1024);
  CHECK(field_bytes(kMeminfo, "Mem") == std::nullopt);
  CHECK(field_bytes(kMeminfo, "HugePages_Total") == std::nullopt);
  CHECK(field_bytes("anon 5\ninactive_file 4096\n", "inactive_file") == 4096U);
  CHECK(field_bytes("total_inactive_file 7", "inactive_file") == std::nullopt);
  CHECK(field_bytes("", "x") == std::nullopt);
  CHECK(field_bytes("x:", "x") == std::nullopt);
  CHECK(field_bytes("x: many kB", "x") == std::nullopt);
  CHECK(field_bytes("x: 18446744073709551615 kB", "x") == std::nullopt);  // overflow
}

TEST_CASE("a control group's number is the beginning of its file", "[core][machine]") {
  CHECK(leading_number("123\n") == 123U);
  CHECK(leading_number("200000 100000\n") == 200000U);
  CHECK(leading_number("max\n") == std::nullopt);
  CHECK(leading_number("-1\n") == std::nullopt);
  CHECK(leading_number("") == std::nullopt);
  CHECK(leading_number("99999999999999999999999") == std::nullopt);
}

TEST_CASE("the groups of a controller are those of both versions", "[core][machine]") {
  CHECK(control_groups("0::/user.slice/x\n", "memory") == std::vector<ControlGroup>{{2, "/user.slice/x"}});
  const std::string_view both = "9:name=systemd:/\n4:memory:/a:b\n2:cpu,cpuacct:/c\n0::/\n";
  CHECK(control_groups(both, "memory") == std::vector<ControlGroup>{{1, "/a:b"}, {2, "/"}});
  CHECK(control_groups(both, "cpu") == std::vector<ControlGroup>{{1, "/c"}, {2, "/"}});
  CHECK(control_groups("nonsense\n::\n:\n", "memory") == std::vector<ControlGroup>{{2, ""}});
  CHECK(control_groups("", "memory").empty());
}

#ifdef __linux__

TEST_CASE("available memory is the minimum over machine and groups", "[core][machine]") {
  const FakeRoot root;
  CHECK_FALSE(available_memory(root.path()));
  root.write("proc/meminfo", kMeminfo);
  const auto expect = [&](std::uint64_t bytes, const char* limit) {
    const auto available = available_memory(root.path());
    REQUIRE(available);
    CHECK(available->bytes == bytes);
    CHECK_THAT(available->limit, ANE_CONTAINS(limit));
  };
  expect(21000U * 1024, "this machine");

  SECTION("version 2, with limits of parent groups and reclaimable file cache") {
    root.write("proc/self/cgroup", "0::/slice/run\n");
    root.write("sys/fs/cgroup/slice/run/memory.max", "max\n");
    root.write("sys/fs/cgroup/slice/run/memory.current", "5000\n");
    expect(21000U * 1024, "this machine");
    root.write("sys/fs/cgroup/slice/memory.max", "1000000\n");
    root.write("sys/fs/cgroup/slice/memory.current", "600000\n");
    root.write("sys/fs/cgroup/slice/memory.stat", "file 9\ninactive_file 100000\n");
    expect(500000, "control group");
    root.write("sys/fs/cgroup/slice/memory.current", "2000000\n");
    expect(0, "control group");
  }
  SECTION("version 1, in a container whose own group is the root") {
    root.write("proc/self/cgroup", "4:memory:/docker/0123\n");
    root.write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    root.write("sys/fs/cgroup/memory/memory.usage_in_bytes", "300\n");
    expect(21000U * 1024, "this machine");
    root.write("sys/fs/cgroup/memory/memory.limit_in_bytes", "1000\n");
    root.write("sys/fs/cgroup/memory/memory.stat", "inactive_file 1\ntotal_inactive_file 50\n");
    expect(750, "control group");
  }
}

TEST_CASE("usable processors depend on the CPU affinity and the quota", "[core][machine]") {
  cpu_set_t before;
  REQUIRE(sched_getaffinity(0, sizeof before, &before) == 0);
  const int allowed = CPU_COUNT(&before);
  const FakeRoot root;
  CHECK(usable_processors(root.path()) == allowed);

  root.write("proc/self/cgroup", "1:cpu,cpuacct:/\n0::/x\n");
  root.write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
  root.write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  root.write("sys/fs/cgroup/x/cpu.max", "max 100000\n");
  CHECK(usable_processors(root.path()) == allowed);
  root.write("sys/fs/cgroup/x/cpu.max", "190000 100000\n");
  CHECK(usable_processors(root.path()) == 1);
  root.write("sys/fs/cgroup/x/cpu.max", "1000 100000\n");
  CHECK(usable_processors(root.path()) == 1);
  root.write("sys/fs/cgroup/x/cpu.max", "1000 0\n");
  CHECK(usable_processors(root.path()) == allowed);
  root.write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "100000\n");
  CHECK(usable_processors(root.path()) == 1);

  int one = 0;
  while (!CPU_ISSET(one, &before)) ++one;
  cpu_set_t single;
  CPU_ZERO(&single);
  CPU_SET(one, &single);
  const FakeRoot free;
  REQUIRE(sched_setaffinity(0, sizeof single, &single) == 0);
  CHECK(usable_processors(free.path()) == 1);
  sched_setaffinity(0, sizeof before, &before);
}

#endif

TEST_CASE("this machine has memory and a processor", "[core][machine]") {
  const auto available = available_memory();
  REQUIRE(available);
  CHECK(available->bytes > 0);
  CHECK_FALSE(available->limit.empty());
  CHECK(usable_processors() >= 1);
}
