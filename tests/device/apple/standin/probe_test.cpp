#include "ane/device/apple/probe.h"

#include "ane/device/apple/ane_device.h"

#include "support/catch.h"

using namespace ane;
using namespace ane::device::apple;

TEST_CASE("everything is found in the stand-in", "[apple][standin]") {
  const Probe found = probe();
  CHECK(found.reason().empty());
  REQUIRE(found.usable());
  CHECK(found.chip == "Apple stand-in");
  CHECK(found.os == "macOS 0.0 (stand-in)");
  CHECK(found.has_ane == true);
  CHECK(found.cores == 16U);
  CHECK(found.architecture == "standin");
  std::vector<std::string> missing;
  for (const Finding& finding : found.findings) {
    if (!finding.found) missing.push_back(finding.name);
  }
  // Apple's only: GNU's runtime has objc_msg_lookup and NSAutoreleasePool.
  CHECK(missing == std::vector<std::string>{"objc_msgSend", "objc_autoreleasePoolPush", "objc_autoreleasePoolPop"});
}

TEST_CASE("each missing part has its own message", "[apple][standin]") {
  for (const Finding& finding : probe().findings) {
    if (finding.kind == Finding::Kind::library) continue;  // a single library here
    LibraryPaths paths = standard_libraries();
    paths.hidden = {finding.name};
    Finding missing = finding;
    missing.found = false;
    INFO(to_string(finding));
    const Probe without = probe(paths);
    const bool needed = finding.required || finding.name == "objc_msg_lookup";
    if (finding.name == "objc_msg_lookup") missing.name = "objc_msgSend";
    missing.required = needed;
    CHECK(without.usable() == !needed);
    if (needed) {
      CHECK_THAT(without.reason(), ANE_CONTAINS(to_string(missing)));
      CHECK_THROWS_AS(AneDevice({}, paths), DeviceError);
    }
  }
}

TEST_CASE("each missing library has its own message, and its members are not listed", "[apple][standin]") {
  const auto library =
      GENERATE(&LibraryPaths::system, &LibraryPaths::objc, &LibraryPaths::foundation, &LibraryPaths::core_foundation,
               &LibraryPaths::io_surface, &LibraryPaths::neural_engine);
  LibraryPaths paths = standard_libraries();
  paths.*library = "/nowhere/libmissing.so";
  CHECK(probe(paths).reason() ==
        "the Apple Neural Engine cannot be used on " +
            std::string(library == &LibraryPaths::system ? "this system" : "macOS 0.0 (stand-in), Apple stand-in") +
            ": library libmissing.so: missing");
}
