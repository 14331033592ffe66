#include "ane/device/apple/ane_device.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <functional>
#include <thread>
#include <vector>

#include "ane/device/apple/probe.h"

#include "fixture.h"

namespace ane::device::apple {
namespace {

TEST_CASE("the ANE's results equal the host's, bit for bit", "[apple][standin]") {
  fresh_standin().set_threads(2);
  const Sample sample = GENERATE(projection(), projection(2), unsorted());
  const auto seed = GENERATE(1U, 2U);
  math::ThreadPool threads(2);
  host::HostDevice host(threads);
  AneDevice ane;
  const std::vector<Buffer> expected = run(host, sample, seed);
  const std::vector<Buffer> found = run(ane, sample, seed);
  CHECK(found == expected);
  CHECK(found != run(ane, sample, seed + 100));
}

TEST_CASE("the device describes itself", "[apple][standin]") {
  fresh_standin();
  AneDevice ane;
  CHECK(ane.name() == "ane");
  CHECK(ane.description() == "Apple Neural Engine of Apple stand-in, 16 cores, standin, macOS 0.0 (stand-in)");
  CHECK_FALSE(ane.shares_cpu());
  CHECK(ane.limits_compiles());
  CHECK(ane.approximates());
  CHECK(ane.peak_tflops() == 15.8);
}

TEST_CASE("ports are in the order of the text", "[apple][standin]") {
  fresh_standin();
  AneDevice ane;
  const auto kernel = ane.compile("kernel", unsorted().text, {});
  REQUIRE(kernel->inputs().size() == 2);
  CHECK(kernel->inputs()[0].name == "tall");
  CHECK(kernel->inputs()[0].size_bytes == 64 * 64);
  CHECK(kernel->inputs()[1].name == "bias");
  REQUIRE(kernel->outputs().size() == 2);
  CHECK(kernel->outputs()[0].name == "whole");
  CHECK(kernel->outputs()[1].size_bytes == 32 * 64);
}

TEST_CASE("nothing is left after device, kernels and surfaces are destroyed", "[apple][standin]") {
  const fakes::Control& standin = fresh_standin();
  REQUIRE(standin.counts().none_left());
  const std::ptrdiff_t files = open_files();
  {
    AneDevice ane;
    surface::SurfacePool pool(ane.surface_allocator());
    const auto kernel = ane.compile("kernel", projection().text, projection().weights);
    Bound bound(pool, *kernel, 1);
    bound.run(*kernel);
    const fakes::Counts during = standin.counts();
    CHECK(during.objects == 4);  // model, request, two wrapped surfaces
    CHECK(during.surfaces == 2);
    CHECK(during.loaded == 1);
    CHECK(during.directories == 1);
  }
  CHECK(standin.counts().none_left());
  CHECK(open_files() == files);
}

TEST_CASE("kernels of equal text and weights share a loaded program", "[apple][standin]") {
  const fakes::Control& standin = fresh_standin();
  AneDevice ane;
  auto first = ane.compile("kernel", projection().text, projection().weights);
  auto second = ane.compile("kernel", projection().text, projection().weights);
  const auto other = ane.compile("kernel", projection(2).text, projection(2).weights);
  CHECK(standin.counts().loaded == 2);
  CHECK(standin.counts().compiles == 2);
  CHECK(ane.counters().compiles == 2);
  CHECK(ane.counters().shared == 1);

  first.reset();
  CHECK(standin.counts().directories == 2);
  surface::SurfacePool pool(ane.surface_allocator());
  Bound bound(pool, *second, 1);
  CHECK_NOTHROW(bound.run(*second));
  second.reset();
  CHECK(standin.counts().directories == 1);
  CHECK(standin.counts().loaded == 1);
}

TEST_CASE("the cache contains only loaded programs, however many updates there are", "[apple][standin][cache]") {
  fakes::Control& standin = fresh_standin();
  AneDevice ane;
  std::vector<std::unique_ptr<Kernel>> layers(3);
  for (std::uint32_t update = 0; update < 300; ++update) {
    if (update % 30 == 0) standin.reset();  // the number of compilations is another limit
    if (update % 7 == 3) {
      standin.fail(update % 2 == 0 ? "compile" : "load", 1);
      AneOptions once;
      once.load_retries = 0;
      AneDevice failing(once);
      CHECK_THROWS_AS(failing.compile("kernel", projection(update + 1000).text, projection(update + 1000).weights),
                      CompileError);
    }
    layers[update % 3] = nullptr;
    layers[update % 3] = ane.compile("kernel", projection(update).text, projection(update).weights);
    const fakes::Counts counts = standin.counts();
    REQUIRE(counts.cached == counts.loaded);
    REQUIRE(counts.cached == std::min(static_cast<int>(update) + 1, 3));
  }
  layers.clear();
  CHECK(standin.counts().none_left());
  CHECK(ane.counters().purges == 300);
}

TEST_CASE("without purging every program stays in the cache", "[apple][standin][cache]") {
  fakes::Control& standin = fresh_standin();
  AneOptions keeping;
  keeping.purge_cached = false;
  for (std::uint32_t i = 0; i < 3; ++i) {
    AneDevice ane(keeping);
    static_cast<void>(ane.compile("kernel", projection(i).text, projection(i).weights));
  }
  CHECK(standin.counts().cached == 3);
  standin.clear_cache();
}

// Two devices lock like two processes.
TEST_CASE("a program in use by another process is not purged", "[apple][standin][cache]") {
  const fakes::Control& standin = fresh_standin();
  AneDevice one;
  auto ours = one.compile("kernel", projection().text, projection().weights);
  {
    AneDevice other;  // purges programs that are not in use
    CHECK(standin.counts().cached == 1);
    auto theirs = other.compile("kernel", projection().text, projection().weights);
    ours.reset();
    CHECK(standin.counts().cached == 1);
    surface::SurfacePool pool(other.surface_allocator());
    Bound bound(pool, *theirs, 1);
    CHECK_NOTHROW(bound.run(*theirs));
    ours = one.compile("kernel", projection().text,
                       projection().weights);  // meanwhile the unload has deleted the directory
  }
  CHECK(standin.counts().cached == 1);
  ours.reset();
  CHECK(standin.counts().none_left());
}

TEST_CASE("a program that another process unloads during its compilation is compiled again",
          "[apple][standin][cache]") {
  fakes::Control& standin = fresh_standin();
  AneDevice one;
  auto ours = one.compile("kernel", projection().text, projection().weights);
  AneDevice other;
  standin.slow_compiles(std::chrono::milliseconds(200));
  std::unique_ptr<Kernel> theirs;
  std::thread compiler([&] { theirs = other.compile("kernel", projection().text, projection().weights); });
  while (other.counters().compiles == 0) std::this_thread::yield();
  ours.reset();
  compiler.join();
  CHECK(theirs != nullptr);
  CHECK(other.counters().compiles == 2);
  CHECK(standin.counts().cached == 1);
}

TEST_CASE("an exception raised while unloading is counted with its reason and does not propagate", "[apple][standin]") {
  fakes::Control& standin = fresh_standin();
  AneDevice ane;
  auto kernel = ane.compile("kernel", projection().text, projection().weights);
  standin.raise_exceptions(true);
  const std::string call = GENERATE(as<std::string>(), "unload", "purgeCompiledModel");
  standin.fail(call, 1);
  kernel.reset();
  CHECK(ane.counters().failed_unloads + ane.counters().failed_purges == 1);
  CHECK(ane.counters().failed_purges == (call == "unload" ? 0 : 1));
  CHECK_THAT(ane.counters().last_failure,
             ANE_CONTAINS("NSInvalidArgumentException: the stand-in was told to raise in"));
  CHECK_THAT(ane.warning(), ANE_CONTAINS(ane.counters().last_failure));
  standin.raise_exceptions(false);
  const AneDevice next;
  CHECK(next.warning().empty());
  CHECK(standin.counts().none_left());
}

TEST_CASE("a program that could not be purged stays recorded until a later device purges it",
          "[apple][standin][cache]") {
  fakes::Control& standin = fresh_standin();
  const Sample sample = projection();
  LibraryPaths incomplete = standard_libraries();
  incomplete.hidden = {"-[_ANEInMemoryModel purgeCompiledModel]"};
  {
    AneDevice ane({}, incomplete);
    CHECK_THAT(ane.warning(), ANE_CONTAINS("programs stay in the system's cache"));
    CHECK_THAT(ane.warning(), ANE_CONTAINS("lacks -[_ANEInMemoryModel purgeCompiledModel]"));
    static_cast<void>(ane.compile("kernel", sample.text, sample.weights));
    CHECK(ane.counters().failed_purges == 1);
    CHECK(ane.counters().purges == 0);
    CHECK_THAT(ane.warning(),
               ANE_CONTAINS("0 program(s) could not be unloaded") && ANE_CONTAINS("and 1 could not be purged"));
  }
  CHECK(standin.counts().cached == 1);
  CHECK(standin.counts().files == 1);
  CHECK(standin.counts().directories == 0);

  SECTION("the framework returns no client") { standin.fail("sharedConnection", 1); }
  SECTION("the purge raises an exception") {
    standin.raise_exceptions(true);
    standin.fail("purgeCompiledModelMatchingHash", 1);
  }
  SECTION("the framework lacks the method") { incomplete.hidden = {"-[_ANEClient purgeCompiledModelMatchingHash:]"}; }
  SECTION("purging is disabled") { incomplete.hidden = {}; }
  {
    AneOptions options;
    options.purge_cached = !incomplete.hidden.empty();
    const AneDevice ane(options, incomplete);
    CHECK(ane.counters().failed_purges == (options.purge_cached ? 1 : 0));
    CHECK(ane.warning().empty() != options.purge_cached);
  }
  CHECK(standin.counts().cached == 1);
  CHECK(standin.counts().files == 1);
  standin.raise_exceptions(false);

  const AneDevice ane;
  CHECK(ane.counters().purges == 1);
  CHECK(ane.warning().empty());
  CHECK(standin.counts().none_left());
}

TEST_CASE("an exception keeps its reason", "[apple][standin]") {
  fakes::Control& standin = fresh_standin();
  AneDevice ane;
  standin.raise_exceptions(true);
  standin.fail("compile", 1);
  CHECK(message_of([&] { static_cast<void>(ane.compile("kernel", projection().text, projection().weights)); }) ==
        "compiling a program for the ANE: the framework raised an Objective-C exception: NSInvalidArgumentException: "
        "the stand-in was told to raise in compile");
  standin.raise_exceptions(false);
  CHECK(standin.counts().none_left());
}

TEST_CASE("weights are baked in", "[apple][standin]") {
  fresh_standin();
  AneDevice ane;
  surface::SurfacePool pool(ane.surface_allocator());
  Sample sample = projection();
  const auto kernel = ane.compile("kernel", sample.text, sample.weights);
  Bound bound(pool, *kernel, 1);
  bound.run(*kernel);
  const std::vector<Buffer> before = bound.results();
  for (auto& [path, bytes] : sample.weights) std::fill(bytes.own().begin() + 128, bytes.own().end(), std::byte{0});
  bound.run(*kernel);
  CHECK(bound.results() == before);
}

TEST_CASE("a request is built once for a set of surfaces", "[apple][standin]") {
  const fakes::Control& standin = fresh_standin();
  AneDevice ane;
  surface::SurfacePool pool(ane.surface_allocator());
  const auto kernel = ane.compile("kernel", projection().text, projection().weights);
  const int before = standin.counts().requests;
  std::vector<Bound> sets;
  for (std::uint32_t i = 0; i < 16; ++i) sets.emplace_back(pool, *kernel, i);
  for (int round = 0; round < 3; ++round) {
    for (Bound& set : sets) set.run(*kernel);
  }
  CHECK(standin.counts().requests == before + 16);
  CHECK(ane.counters().requests == 16);

  // One more evicts the least recently used one.
  sets.emplace_back(pool, *kernel, 16);
  sets.back().run(*kernel);
  sets[1].run(*kernel);
  CHECK(ane.counters().requests == 17);
  sets[0].run(*kernel);
  CHECK(ane.counters().requests == 18);
  CHECK(standin.counts().objects == 1 + 16 * 3);
}

TEST_CASE("layers that share a kernel keep their requests, however many layers there are", "[apple][standin]") {
  fresh_standin();
  AneDevice ane;
  surface::SurfacePool pool(ane.surface_allocator());
  const auto kernel = ane.compile("kernel", projection().text, projection().weights);
  std::vector<Bound> layers;
  for (std::uint32_t i = 0; i < 40; ++i) {
    layers.emplace_back(pool, *kernel, i);
    layers.back().inputs[0].set_resident({.row_bytes = 64, .begin = 32, .revision = 1});
  }
  for (int step = 0; step < 3; ++step) {
    for (Bound& layer : layers) layer.run(*kernel);
  }
  CHECK(ane.counters().requests == 40);
}

TEST_CASE("requests are built by any available factory", "[apple][standin]") {
  const fakes::Control& standin = fresh_standin();
  const std::string start = "+[_ANERequest requestWithInputs:inputIndices:outputs:outputIndices:";
  const std::vector<std::string> factories{start + "weightsBuffer:perfStats:procedureIndex:]",
                                           start + "weightsBuffer:procedureIndex:]",
                                           start + "perfStats:procedureIndex:]", start + "procedureIndex:]"};
  AneDevice usual;
  const std::vector<Buffer> expected = run(usual, unsorted(), 1);
  for (std::size_t hidden = 1; hidden < factories.size(); ++hidden) {
    LibraryPaths paths = standard_libraries();
    paths.hidden.assign(factories.begin(), factories.begin() + static_cast<std::ptrdiff_t>(hidden));
    AneDevice ane({}, paths);
    CHECK(run(ane, unsorted(), 1) == expected);
  }
  LibraryPaths paths = standard_libraries();
  paths.hidden = factories;
  CHECK_THROWS_WITH(AneDevice({}, paths), ANE_CONTAINS(factories[0] + ": missing"));
  CHECK(standin.counts().none_left());
}

TEST_CASE("a program that breaks rules is refused with all violations", "[apple][standin]") {
  const fakes::Control& standin = fresh_standin();
  mil::Builder b(mil::DType::fp16);
  const mil::Var x = b.input("data", {1, 64, 1, 33});
  const mil::Var root = b.unary(mil::OpKind::rsqrt, "root", x);
  const std::string text = mil::print(std::move(b).finish(std::vector{root}));
  AneDevice ane;
  CHECK(ane.check(mil::parse(text)).size() >= 2);
  CHECK_THROWS_AS(ane.compile("kernel", text, {}), CompileError);
  CHECK_THROWS_WITH(ane.compile("kernel", text, {}), ANE_CONTAINS("A1") && ANE_CONTAINS("A22"));
  CHECK(standin.counts().compiles == 0);
}

TEST_CASE("weights must be in the program's directory", "[apple][standin]") {
  const fakes::Control& standin = fresh_standin();
  AneDevice ane;
  mil::Blobs weights = projection().weights;
  weights["@model_path/../out.bin"] = {};
  CHECK_THROWS_WITH(ane.compile("kernel", projection().text, weights),
                    ANE_CONTAINS("blob path '@model_path/../out.bin': expected a file below"));
  CHECK(standin.counts().none_left());
}

TEST_CASE("surfaces that cannot be bound are refused", "[apple][standin]") {
  fresh_standin();
  AneDevice ane;
  surface::SurfacePool pool(ane.surface_allocator());
  const auto kernel = ane.compile("kernel", projection().text, projection().weights);
  Bound bound(pool, *kernel, 1);
  surface::Surface small = pool.acquire(64);
  surface::HeapAllocator heap;
  surface::SurfacePool heap_pool(heap);
  surface::Surface foreign = heap_pool.acquire(kernel->inputs()[0].size_bytes);
  surface::Surface empty;
  const std::vector<surface::Surface*> outputs = pointers(bound.outputs);
  const auto run_with = [&](std::vector<surface::Surface*> inputs) {
    return message_of([&] { kernel->run(inputs, outputs); });
  };
  CHECK(run_with({&small}) == "input 'pack' (fp16 [1, 64, 1, 32]) needs a surface of 4096 bytes, but got one of 64");
  CHECK(run_with({&foreign}) == "input 'pack': the ANE reads IOSurfaces only; use the device's surface_allocator()");
  CHECK(run_with({&empty}) == "input 'pack' has no surface");
  CHECK(run_with({nullptr}) == "input 'pack' has no surface");
  CHECK(run_with({}) == "the kernel has 1 inputs, but 0 surfaces were given");
}

TEST_CASE("a program that expects other surfaces is an error before its first run", "[apple][standin]") {
  fakes::Control& standin = fresh_standin();
  standin.widen_reported_rows(64);
  const int evaluations = standin.counts().evaluations;
  {
    AneDevice ane;
    CHECK_THROWS_WITH(ane.compile("kernel", projection().text, projection().weights),
                      ANE_CONTAINS("input 'pack' (fp16 [1, 64, 1, 32]): expected rows 64 bytes apart, the program has "
                                   "128") &&
                          ANE_CONTAINS("output 'out'") && ANE_CONTAINS("expected 4096 bytes, the program uses 8192"));
    CHECK(standin.counts().none_left());
    AneOptions trusting;
    trusting.compare_attributes = false;
    AneDevice other(trusting);
    CHECK_NOTHROW(other.compile("kernel", projection().text, projection().weights));
  }
  CHECK(standin.counts().evaluations == evaluations);
}

TEST_CASE("planes and interleaved channels are compared as well", "[apple][standin]") {
  fakes::Control& standin = fresh_standin();
  AneDevice ane;
  const auto compile = [&] {
    return message_of([&] { static_cast<void>(ane.compile("kernel", projection().text, projection().weights)); });
  };
  standin.widen_reported_planes(64);
  CHECK_THAT(compile(), ANE_CONTAINS("expected planes 64 bytes apart, the program has 128"));
  standin.reset();
  standin.report_interleave(4);
  CHECK_THAT(compile(), ANE_CONTAINS("expected interleave 1, the program has 4"));
}

TEST_CASE("with a callback for differences, compilation continues", "[apple][standin]") {
  fakes::Control& standin = fresh_standin();
  standin.report_interleave(4);
  std::vector<std::string> told;
  AneOptions listening;
  listening.on_difference = [&](const std::string& text) { told.push_back(text); };
  AneDevice ane(listening);
  CHECK_NOTHROW(ane.compile("kernel", projection().text, projection().weights));
  REQUIRE(told.size() == 1);
  CHECK_THAT(told[0], ANE_CONTAINS("expected interleave 1"));
}

TEST_CASE("cancelled requests are retried", "[apple][standin]") {
  fakes::Control& standin = fresh_standin();
  AneDevice ane;
  surface::SurfacePool pool(ane.surface_allocator());
  const auto kernel = ane.compile("kernel", projection().text, projection().weights);
  Bound bound(pool, *kernel, 1);
  standin.cancel_evaluations(8);
  CHECK_NOTHROW(bound.run(*kernel));
  CHECK(ane.counters().cancel_retries == 8);
  standin.cancel_evaluations(9);
  CHECK(message_of([&] { bound.run(*kernel); }) ==
        "the ANE did not run the kernel, after 8 retries: status=0x12: Request cancelled (domain "
        "com.apple.appleneuralengine, code 8)");
}

TEST_CASE("a failed load is retried once", "[apple][standin]") {
  fakes::Control& standin = fresh_standin();
  AneOptions quick;
  quick.load_wait = std::chrono::milliseconds(1);
  AneDevice ane(quick);
  standin.fail("load", 1);
  CHECK_NOTHROW(ane.compile("kernel", projection().text, projection().weights));
  CHECK(ane.counters().load_retries == 1);
}

TEST_CASE("the 120th compilation fails, and the error says what to do", "[apple][standin]") {
  const fakes::Control& standin = fresh_standin();
  AneDevice ane;
  for (std::uint32_t i = 0; i < 119; ++i)
    REQUIRE_NOTHROW(ane.compile("kernel", projection(i).text, projection(i).weights));
  CHECK_THROWS_WITH(ane.compile("kernel", projection(119).text, projection(119).weights),
                    ANE_CONTAINS("ANECCompile() FAILED") && ANE_CONTAINS("compilation 120 of this process") &&
                        ANE_CONTAINS("set ANE_MAX_COMPILES (--max-compiles) to 100 or less"));
  CHECK(standin.counts().none_left());
}

TEST_CASE("programs compile while others run", "[apple][standin]") {
  fakes::Control& standin = fresh_standin();
  standin.slow_compiles(std::chrono::milliseconds(5));
  AneDevice ane;
  surface::SurfacePool pool(ane.surface_allocator());
  const auto kernel = ane.compile("kernel", projection().text, projection().weights);
  Bound bound(pool, *kernel, 1);
  std::atomic<int> compiled{0};
  std::thread compiler([&] {
    for (std::uint32_t i = 2; i < 12; ++i) {
      if (ane.compile("kernel", projection(i).text, projection(i).weights) != nullptr) ++compiled;
    }
  });
  while (compiled < 10) bound.run(*kernel);
  compiler.join();
  CHECK(compiled == 10);
  CHECK(standin.counts().loaded == 1);
}

TEST_CASE("a machine without an ANE is reported", "[apple][standin]") {
  fresh_standin();
  ::setenv("STANDIN_NO_ANE", "1", 1);
  const Probe found = probe();
  CHECK_FALSE(found.usable());
  CHECK_THAT(found.reason(), ANE_CONTAINS("the framework reports no ANE in this machine"));
  CHECK_THROWS_AS(AneDevice(), DeviceError);
  ::unsetenv("STANDIN_NO_ANE");
}

}  // namespace
}  // namespace ane::device::apple
