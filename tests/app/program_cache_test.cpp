#include <chrono>
#include <csignal>
#include <filesystem>
#include <iterator>
#include <string>
#include <thread>

#include "app/program.h"
#include "app/small_run.h"
#include "support/catch.h"
#include "support/sanitized.h"

// The cache of the system's daemon, which keeps compiled programs after a process ends.

#ifdef ANE_TRAIN_STANDIN

using namespace cli_test;

namespace {

/// A temporary directory and a cache shared by all processes of a test, as on a Mac.
struct CacheHome {
  [[nodiscard]] std::string variable() const { return "STANDIN_HOME=" + (folder / "home"); }
  [[nodiscard]] std::ptrdiff_t cached() const { return entries_in(folder / "home-cache"); }
  [[nodiscard]] std::ptrdiff_t directories() const { return entries_in(folder / "home"); }
  Folder folder;
};

Result run_in(const CacheHome& home, const Words& settings, const Words& environment = {}) {
  return Program(Words{"--device", "ane"} + settings, environment + Words{home.variable()}, home.folder.path(),
                 ANE_TRAIN_STANDIN)
      .wait();
}

const Words kTiny = {"--config", "tiny", "--accum-steps", "1"};

}  // namespace

TEST_CASE("many updates and their restarts leave nothing in the system's cache", "[app][cache]") {
  const CacheHome home;
  const Result result = run_in(home, kTiny + Words{"--steps", kSanitized ? "100" : "300"}, {"ANE_MAX_COMPILES=20"});
  CAPTURE(result.out, result.err);
  REQUIRE(result.code == 0);
  CHECK(count(result.out, "[exec() restart") >= 10);
  CHECK(home.cached() == 0);
  CHECK(home.directories() == 0);
  // Shows that the test can fail: without purging there is an entry for every compile.
  REQUIRE(run_in(home, kTiny + Words{"--steps", "30", "--no-ane-purge-cache"}).code == 0);
  CHECK(home.cached() >= 30);
}

TEST_CASE("a run in which a call fails leaves nothing in the system's cache", "[app][cache]") {
  const CacheHome home;
  const auto [fault, code, words] = GENERATE(table<std::string, int, std::string>(
      {{"compile:31", 0, "compile 31 of this process fails as planned"},  // continued by a new process
       {"compile:31@1,compile:1@2", 4, "compile 1 of this process fails as planned"},
       {"run:40", 4, "run 40 of this process fails as planned"},
       {"compile:7=delay:1ms,run:41", 4, "run 41 of this process fails as planned"}}));
  const Result result =
      run_in(home, kTiny + Words{"--steps", "60"}, {"ANE_TRAIN_FAULT=" + fault, "ANE_MAX_COMPILES=50"});
  CAPTURE(fault, result.out, result.err);
  CHECK(result.code == code);
  CHECK_THAT(result.err, ANE_CONTAINS(words));
  CHECK(home.cached() == 0);
  CHECK(home.directories() == 0);
}

TEST_CASE("the next start purges the programs of a killed run from the system's cache, but not those in use",
          "[app][cache]") {
  const CacheHome home;
  const Words endless = kTiny + Words{"--steps", "100000", "--device", "ane", "--log-every", "1"};
  Program living(endless + Words{"--weights", "dynamic"}, {home.variable()}, home.folder.path(), ANE_TRAIN_STANDIN);
  REQUIRE(living.wait_for("step 5 "));
  const std::ptrdiff_t held = home.cached();
  REQUIRE(held > 0);
  {
    Program killed(endless + Words{"--seed", "7"}, {home.variable(), "ANE_TRAIN_FAULT=run:*=delay:5ms"},
                   home.folder.path(), ANE_TRAIN_STANDIN);
    REQUIRE(killed.wait_for("step 5 "));
    // Between an update's unload and its compile the cache is empty: stop the run when it is not.
    for (int attempt = 0; attempt < 1000; ++attempt) {
      killed.send(SIGSTOP);
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      if (home.cached() > held) break;
      killed.send(SIGCONT);
      std::this_thread::sleep_for(std::chrono::milliseconds(3));
    }
    killed.send(SIGKILL);
    REQUIRE(killed.wait().code == 128 + SIGKILL);
  }
  REQUIRE(home.cached() > held);
  REQUIRE(run_in(home, kTiny + Words{"--steps", "2"}).code == 0);
  CHECK(home.cached() == held);
  living.send(SIGTERM);
  static_cast<void>(living.wait());
  CHECK(home.cached() == 0);
}

TEST_CASE("a run that cannot purge its programs warns once, and a later one purges them", "[app][cache]") {
  const CacheHome home;
  const Result result = run_in(home, kTiny + Words{"--steps", "30"},
                               {"STANDIN_HIDE=-[_ANEInMemoryModel purgeCompiledModel]", "ANE_MAX_COMPILES=40"});
  CAPTURE(result.out, result.err);
  REQUIRE(result.code == 0);
  CHECK(count(result.out, "[exec() restart") == 1);
  CHECK(count(result.err, "lacks -[_ANEInMemoryModel purgeCompiledModel]") == 1);
  REQUIRE(home.cached() >= 6);
  const Result next = run_in(home, kTiny + Words{"--steps", "2"});
  REQUIRE(next.code == 0);
  CHECK(count(next.err, "warning") == 0);  // a leak checker may add its own lines
  CHECK(home.cached() == 0);
  CHECK(home.directories() == 0);
}
#endif
