#include "compile_workers.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "ane/core/file.h"
#include "ane/device/apple/compile_worker.h"

#include "direct.h"
#include "fixture.h"
#include "support/temporary_directory.h"

#ifdef ANE_TRAIN_STANDIN

extern char** environ;  // NOLINT: POSIX declares it so

namespace ane::device::apple {
namespace {

/// Options with workers that share the stand-in's directories with this process; `variables` for them alone.
AneOptions with_workers(const fakes::Control& standin, int count, const std::vector<std::string>& variables = {}) {
  AneOptions options;
  options.workers.count = count;
  options.workers.executable = ANE_TRAIN_STANDIN;
  for (char** entry = environ; *entry != nullptr; ++entry) options.workers.environment.emplace_back(*entry);
  std::string home = standin.temporary_directory();
  home.pop_back();
  options.workers.environment.push_back("STANDIN_HOME=" + home);
  options.workers.environment.emplace_back("STANDIN_THREADS=1");
  options.workers.environment.insert(options.workers.environment.end(), variables.begin(), variables.end());
  return options;
}

std::unique_ptr<Kernel> compiled(Device& device, const Sample& sample) {
  return device.compile("attn_fwd", sample.text, sample.weights);
}

TEST_CASE("what workers compile computes the same, and this process compiles nothing", "[apple][standin][workers]") {
  fakes::Control& standin = fresh_standin();
  const int count = GENERATE(1, 2);
  {
    AneDevice alone;
    AneDevice ane(with_workers(standin, count));
    CHECK(ane.compile_workers() == count);
    CHECK(alone.compile_workers() == 0);
    CHECK(ane.limits().hard_compiles == CompileBudget::kUnlimited);
    for (const Sample& sample : {projection(), unsorted()}) {
      const std::vector<Buffer> expected = run(alone, sample, 1);
      const int compiles = standin.counts().compiles;
      CHECK(run(ane, sample, 1) == expected);
      CHECK(standin.counts().compiles == compiles);
    }
    CHECK(ane.counters().compiles == 0);
    CHECK(ane.compiled_by_workers() == 2);
    CHECK(ane.warning().empty());
  }
  CHECK(standin.counts().none_left());
}

TEST_CASE("with workers the cache contains only loaded programs, and no process exceeds its limit",
          "[apple][standin][workers][cache]") {
  fakes::Control& standin = fresh_standin();
  const TemporaryDirectory directory;
  const std::filesystem::path report = directory.path() / "report";
  AneOptions options = with_workers(standin, 1, {"STANDIN_REPORT=" + report.string()});
  options.workers.compiles = 60;
  std::optional<AneDevice> device;
  AneDevice& ane = device.emplace(options);
  std::vector<std::unique_ptr<Kernel>> layers(3);
  for (std::uint32_t update = 0; update < 300; ++update) {
    layers[update % 3] = nullptr;
    layers[update % 3] = compiled(ane, projection(update));
    const fakes::Counts counts = standin.counts();
    REQUIRE(counts.cached == counts.loaded);
    REQUIRE(counts.cached == std::min(static_cast<int>(update) + 1, 3));
  }
  CHECK(standin.counts().compiles == 0);
  CHECK(ane.compiled_by_workers() == 300);
  CHECK(ane.counters().failed_workers == 0);
  layers.clear();
  device.reset();
  CHECK(standin.counts().none_left());
  std::string written = read_text_file(report, "report");
  for (int worker = 0; worker < 5; ++worker) {  // each leaves a line when it ends
    const std::size_t found = written.find("compiles=60 ");
    REQUIRE(found != std::string::npos);
    written.erase(found, 1);
  }
}

TEST_CASE("several threads share the workers", "[apple][standin][workers]") {
  fakes::Control& standin = fresh_standin();
  AneDevice ane(with_workers(standin, 2, {"STANDIN_COMPILE_MS=5"}));
  std::vector<std::unique_ptr<Kernel>> kernels(24);
  std::atomic<std::uint32_t> next{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i)
    threads.emplace_back([&] {
      for (std::uint32_t index = next++; index < kernels.size(); index = next++)
        kernels[index] = compiled(ane, projection(index / 2));  // pairs of equal programs
    });
  for (std::thread& thread : threads) thread.join();
  AneDevice alone;
  surface::SurfacePool pool(ane.surface_allocator());
  for (std::uint32_t index = 0; index < kernels.size(); ++index) {
    Bound bound(pool, *kernels[index], 1);
    bound.run(*kernels[index]);
    CHECK(bound.results() == run(alone, projection(index / 2), 1));
  }
  CHECK(standin.counts().cached == 12);
  kernels.clear();
  CHECK(standin.counts().cached == 0);
  CHECK(standin.counts().loaded == 0);
  CHECK(standin.counts().directories + standin.counts().files == 0);
}

TEST_CASE("a worker that dies or hangs is replaced, and its program is compiled by the next",
          "[apple][standin][workers]") {
  fakes::Control& standin = fresh_standin();
  const auto [fault, reason] =
      GENERATE(table<std::string, std::string>({{"STANDIN_CRASH=compile:2", "was killed by signal 6"},
                                                {"STANDIN_HANG=compile:2", "did not compile a program"}}));
  AneOptions options = with_workers(standin, 1, {fault});
  if (fault.starts_with("STANDIN_HANG")) options.workers.time_limit = std::chrono::seconds(2);
  AneDevice ane(options);
  const auto first = compiled(ane, projection(1));
  const auto second = compiled(ane, projection(2));
  CHECK(ane.compiled_by_workers() == 2);
  CHECK(ane.counters().failed_workers == 1);
  CHECK(ane.counters().compiles == 0);
  CHECK_THAT(ane.warning(), ANE_CONTAINS("a worker that compiled attn_fwd failed: it " + reason));
  CHECK(standin.counts().cached == 2);
}

TEST_CASE("a program that the cache does not contain is compiled again", "[apple][standin][workers]") {
  fakes::Control& standin = fresh_standin();
  AneDevice ane(with_workers(standin, 1));
  standin.fail("compiledModelExists", 1);
  const auto kernel = compiled(ane, projection());
  CHECK(ane.counters().failed_workers == 1);
  CHECK(ane.compiled_by_workers() == 1);
  CHECK_THAT(ane.warning(), ANE_CONTAINS("the system's cache does not contain the program"));
}

TEST_CASE("if workers fail repeatedly, this process compiles within its limit", "[apple][standin][workers]") {
  fakes::Control& standin = fresh_standin();
  AneOptions options = with_workers(standin, 1, {"STANDIN_CRASH=compile:1"});
  const bool can_start = GENERATE(true, false);
  if (!can_start) options.workers.executable = "/nowhere/ane-train";
  options.workers.compiles = 2;
  {
    AneDevice alone;
    AneDevice ane(options);
    CHECK(run(ane, projection(1), 1) == run(alone, projection(1), 1));
    const auto second = compiled(ane, projection(2));
    CHECK(ane.counters().in_place_of_workers == 2);
    CHECK(ane.counters().failed_workers == 4);
    CHECK(ane.counters().compiles == 2);
    CHECK(ane.compiled_by_workers() == 0);
    CHECK_THAT(ane.warning(),
               ANE_CONTAINS("4 compile worker(s) failed and were replaced; 2 program(s) were compiled by "
                            "this process in their place"));
    const std::string refusal = message_of([&] { static_cast<void>(compiled(ane, projection(3))); });
    CHECK_THAT(refusal, ANE_CONTAINS("workers in a row that compiled attn_fwd failed") &&
                            ANE_CONTAINS("the 2 programs that it may") &&
                            ANE_CONTAINS(can_start ? "was killed by signal 6" : "cannot be started: /nowhere"));
  }
  CHECK(standin.counts().none_left());
}

TEST_CASE("a program that the compiler refuses is refused, with the compiler's message", "[apple][standin][workers]") {
  fakes::Control& standin = fresh_standin();
  {
    AneDevice ane(with_workers(standin, 1, {"STANDIN_REFUSE=sigmoid"}));
    const std::string refusal = message_of([&] { static_cast<void>(compiled(ane, projection())); });
    CHECK_THAT(refusal, ANE_CONTAINS("the ANE's compiler refused the program") && ANE_CONTAINS("sigmoid"));
    CHECK(ane.counters().compiles == 0);
    CHECK(ane.counters().failed_workers == 2);
    CHECK_NOTHROW(compiled(ane, unsorted()));
  }
  CHECK(standin.counts().none_left());
}

TEST_CASE("a request to stop ends a compile, also in a worker that hangs", "[apple][standin][workers]") {
  fakes::Control& standin = fresh_standin();
  std::atomic<bool> stop{false};
  {
    AneOptions options = with_workers(standin, 1, {"STANDIN_HANG=compile:2"});
    options.workers.stop = &stop;
    AneDevice ane(options);
    const auto first = compiled(ane, projection(1));
    std::atomic<int> stopped{0};
    std::vector<std::thread> threads;
    for (std::uint32_t i = 2; i < 5; ++i)  // one hangs, the others wait for the worker
      threads.emplace_back([&ane, &stopped, i] {
        try {
          static_cast<void>(compiled(ane, projection(i)));
        } catch (const CompileStopped&) {
          ++stopped;
        }
      });
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    stop = true;
    for (std::thread& thread : threads) thread.join();
    CHECK(stopped == 3);
    CHECK(standin.counts().cached == 1);
  }
  CHECK(standin.counts().none_left());
}

// ---- The worker's side

/// The answers to these requests, served in this process.
std::vector<std::string> answers_to(const std::string& requests) {
  std::istringstream lines(requests);
  std::vector<std::string> answers;
  compile_for_trainer(21, lines, [&](const std::string& answer) { answers.push_back(answer); });
  return answers;
}

TEST_CASE("a fresh worker is a new process", "[apple][standin][workers]") {
  Direct direct;
  const Sample sample = projection();
  const objc::Id model = direct.model(sample);
  const auto claim = direct.directory(model, sample);
  CompileWorkers workers(with_workers(direct.standin, 1, {"STANDIN_CRASH=compile:2"}).workers, 21);
  const std::string identifier = direct.identifier(model);
  CHECK_FALSE(workers.compile(identifier).has_value());
  CHECK_FALSE(workers.compile(identifier, WorkerAge::fresh).has_value());
  CHECK(workers.compile(identifier).has_value());
}

TEST_CASE("a worker leaves a program in the cache as long as its trainer claims it",
          "[apple][standin][workers][cache]") {
  Direct direct;
  const Sample sample = projection();
  const objc::Id model = direct.model(sample);
  const std::string identifier = direct.identifier(model);
  auto claim = direct.directory(model, sample);
  CHECK(answers_to(identifier + "\n" + identifier + "\n") == std::vector<std::string>{kCompiled, kCompiled});
  CHECK(direct.standin.counts().cached == 1);
  CHECK(direct.standin.counts().directories == 1);
  CHECK(direct.load(model).empty());
  CHECK(direct.standin.counts().compiles == 2);
}

TEST_CASE("a worker purges the program of a trainer that has ended", "[apple][standin][workers][cache]") {
  Direct direct;
  const Sample sample = projection();
  const objc::Id model = direct.model(sample);
  const std::string identifier = direct.identifier(model);
  const std::filesystem::path path = direct.standin.temporary_directory() + identifier;
  {
    const auto claim = direct.directory(model, sample);
    std::filesystem::copy(path, path.string() + ".kept", std::filesystem::copy_options::recursive);
  }
  std::filesystem::rename(path.string() + ".kept", path);  // as if the trainer had been killed
  CHECK(answers_to(identifier + "\n") == std::vector<std::string>{kCompiled});
  CHECK(direct.standin.counts().compiles == 1);
  CHECK(direct.standin.counts().cached == 0);
  CHECK(direct.standin.counts().directories == 0);
  CHECK(direct.standin.counts().files == 0);
}

TEST_CASE("a worker refuses what is no program", "[apple][standin][workers]") {
  Direct direct;
  const Sample sample = projection();
  const objc::Id model = direct.model(sample);
  const std::string identifier = direct.identifier(model);
  CHECK_THAT(answers_to("../../etc\n").at(0), ANE_CONTAINS("'../../etc' identifies no program"));
  CHECK_THAT(answers_to(identifier + "\n").at(0), ANE_CONTAINS("model.mil"));
  const std::string wrong = identifier.substr(0, 64) + "_" + std::string(64, 'A') + "_" + std::string(64, 'A');
  const ModelDirectory claim(direct.standin.temporary_directory() + wrong, sample.text, sample.weights);
  CHECK_THAT(answers_to(wrong + "\n").at(0), ANE_CONTAINS("are those of another program, " + identifier));
  CHECK(direct.standin.counts().cached == 0);
}

TEST_CASE("a process is a worker if a variable says so", "[apple][workers]") {
  const std::string name = kWorkerVariable;
  CHECK(find_worker_request(std::vector<std::string>{"A=1", name + "=21"}) == 21U);
  CHECK_FALSE(find_worker_request(std::vector<std::string>{"A=1"}).has_value());
  for (const std::string value : {"", "x", "21 ", "-1"})
    CHECK_THROWS_AS(find_worker_request(std::vector<std::string>{name + "=" + value}), UsageError);
}

}  // namespace
}  // namespace ane::device::apple

#endif
