#include <fstream>
#include <map>
#include <set>

#include "fixture.h"

namespace ane::device::apple {
namespace {

/// All operations of the bridge, on two programs.
void use_everything(const AneOptions& options) {
  AneDevice ane(options);
  surface::SurfacePool pool(ane.surface_allocator());
  const Sample first = projection();
  const auto kernel = ane.compile("kernel", first.text, first.weights);
  const auto other = ane.compile("kernel", unsorted().text, {});
  Bound bound(pool, *kernel, 1);
  Bound other_bound(pool, *other, 2);
  for (int i = 0; i < 2; ++i) {
    bound.run(*kernel);
    other_bound.run(*other);
    static_cast<void>(bound.results());
  }
}

TEST_CASE("if any call fails, the error names it and nothing is left behind", "[apple][standin]") {
  fakes::Control& standin = fresh_standin();
  AneOptions options;
  options.load_wait = std::chrono::milliseconds(0);
  const std::ptrdiff_t files = open_files();
  // Failures that the bridge tolerates: a second attempt, the missing description of a program.
  const std::set<std::string> tolerated{"load", "unload", "modelAttributes", "purgeCompiledModel"};
  std::map<std::string, int> failed;
  for (int call = 1;; ++call) {
    standin.fail("", call);
    std::string message;
    try {
      use_everything(options);
    } catch (const DeviceError& error) {
      message = error.what();
    }
    const std::string name = standin.failed();
    CAPTURE(call, name, message);
    CHECK(standin.counts().none_left());
    CHECK(open_files() == files);
    if (name.empty()) break;
    ++failed[name];
    // Nobody can react to a failure of the last unlock before the surface is destroyed.
    if (name != "IOSurfaceUnlock") CHECK(message.empty() == tolerated.contains(name));
  }
  CHECK(failed == std::map<std::string, int>{{"IOSurfaceCreate", 6},
                                             {"IOSurfaceGetAllocSize", 6},
                                             {"IOSurfaceGetBaseAddress", 5},
                                             {"IOSurfaceLock", 5},
                                             {"IOSurfaceUnlock", 5},
                                             {"NSTemporaryDirectory", 3},
                                             {"compile", 2},
                                             {"evaluate", 4},
                                             {"hexStringIdentifier", 2},
                                             {"inMemoryModelWithDescriptor", 2},
                                             {"load", 2},
                                             {"modelAttributes", 2},
                                             {"modelWithMILText", 2},
                                             {"objectWithIOSurface", 6},
                                             {"purgeCompiledModel", 2},
                                             {"requestWithInputs", 2},
                                             {"unload", 2}});
}

TEST_CASE("the error of a failed call contains the system's message", "[apple][standin]") {
  const auto [call, expected] = GENERATE(table<std::string, std::string>(
      {{"modelWithMILText", "the framework created no descriptor for"},
       {"inMemoryModelWithDescriptor", "the framework created no model for the descriptor"},
       {"hexStringIdentifier", "the framework names the program ''"},
       {"NSTemporaryDirectory", "NSTemporaryDirectory() names no directory; check TMPDIR"},
       {"compile",
        "the ANE's compiler refused the program: the stand-in was told to fail compile (domain "
        "com.apple.appleneuralengine, code 99)"},
       {"evaluate",
        "the ANE did not run the kernel: the stand-in was told to fail evaluate (domain "
        "com.apple.appleneuralengine, code 99)"},
       {"objectWithIOSurface", "does not accept a surface as _ANEIOSurfaceObject"},
       {"requestWithInputs", "created no request for the kernel's surfaces"},
       {"IOSurfaceCreate", "IOSurfaceCreate refused a surface of 49152 bytes"},
       {"IOSurfaceGetAllocSize", "IOSurfaceCreate returned 0 bytes instead of 49152"},
       {"IOSurfaceLock", "IOSurfaceLock of 4096 bytes for writing failed with 0xe00002c2"},
       {"IOSurfaceUnlock", "IOSurfaceUnlock of 4096 bytes failed with 0xe00002c2"},
       {"IOSurfaceGetBaseAddress", "IOSurfaceGetBaseAddress gave no address for a surface of 4096 bytes"}}));
  fakes::Control& standin = fresh_standin();
  standin.fail(call, 1);
  CHECK_THROWS_WITH(use_everything({}), ANE_CONTAINS(expected));
  CHECK(standin.failed() == call);
}

TEST_CASE("a repeatedly refused load is an error", "[apple][standin]") {
  fakes::Control& standin = fresh_standin();
  AneOptions once;
  once.load_retries = 0;
  standin.fail("load", 1);
  CHECK_THROWS_WITH(use_everything(once), ANE_CONTAINS("compiled the program but did not load it") &&
                                              ANE_CONTAINS("told to fail load") && ANE_CONTAINS("0x50004"));
  CHECK(standin.counts().none_left());
}

TEST_CASE("a refused unload is counted", "[apple][standin]") {
  fakes::Control& standin = fresh_standin();
  AneDevice ane;
  auto kernel = ane.compile("kernel", projection().text, projection().weights);
  standin.fail("unload", 1);
  kernel.reset();
  CHECK(ane.counters().failed_unloads == 1);
  CHECK_THAT(ane.counters().last_failure, ANE_CONTAINS("told to fail unload"));
}

TEST_CASE("a directory that cannot be created is an error", "[apple][standin]") {
  const fakes::Control& standin = fresh_standin();
  // A file is in the place of the directory for temporary files.
  const std::filesystem::path place = std::filesystem::path(standin.temporary_directory()).parent_path();
  std::filesystem::remove(place);
  std::ofstream(place).put('x');
  AneDevice ane;
  CHECK_THROWS_WITH(ane.compile("kernel", projection().text, projection().weights),
                    ANE_CONTAINS("from which the ANE's compiler reads the program"));
  std::filesystem::remove(place);
}

}  // namespace
}  // namespace ane::device::apple
