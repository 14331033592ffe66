#include "faults/fault_device.h"

#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <future>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "ane/core/error.h"
#include "ane/device/host/host_device.h"
#include "ane/math/half.h"
#include "ane/surface/pool.h"

#include "support/catch.h"

namespace {

using namespace ane;
using test::Fault;
using test::FaultDevice;
using test::FaultKind;

const char* const kDouble = R"(program(1.3) { func main<ios18>(tensor<fp16, [1, 2]> x) {
  tensor<fp16, [1, 2]> y = add(x = x, y = x)[name = string("y")]; } -> (y); })";

/// The host behind a FaultDevice, and one kernel's surfaces.
struct Rig {
  explicit Rig(std::string_view plan, std::int64_t process = 1)
      : faulty(std::make_unique<device::host::HostDevice>(threads), test::parse_faults(plan), process) {}

  std::unique_ptr<device::Kernel> compile() { return faulty.compile("kernel", kDouble, {}); }

  /// The first output of 2 * 3.
  float run(device::Kernel& kernel) {
    surface::Surface input = pool.acquire(kernel.inputs()[0].size_bytes);
    surface::Surface output = pool.acquire(kernel.outputs()[0].size_bytes);
    *reinterpret_cast<math::Half*>(input.map_for_write().bytes().data()) = math::to_half(3);
    const std::array inputs = {&input};
    const std::array outputs = {&output};
    kernel.run(inputs, outputs);
    return math::to_float(*reinterpret_cast<const math::Half*>(output.map_for_read().bytes().data()));
  }

  math::ThreadPool threads{1};
  surface::HeapAllocator allocator;
  surface::SurfacePool pool{allocator};
  FaultDevice faulty;
};

}  // namespace

TEST_CASE("a fault plan is parsed entry by entry", "[device][fault]") {
  const auto plan = test::parse_faults("compile:3,run:17@2,run:*=nan,run:*@4=huge,compile:1=delay:20ms,budget:40");
  CHECK(plan.budget == 40);
  REQUIRE(plan.faults.size() == 5);
  CHECK(plan.faults[0].event == Fault::Event::compile);
  CHECK(plan.faults[0].count == 3);
  CHECK_FALSE(plan.faults[0].process);
  CHECK(plan.faults[0].kind == FaultKind::fail);
  CHECK(plan.faults[1].event == Fault::Event::run);
  CHECK(plan.faults[1].process == 2);
  CHECK_FALSE(plan.faults[2].count);
  CHECK(plan.faults[2].kind == FaultKind::nan);
  CHECK(plan.faults[3].kind == FaultKind::huge);
  CHECK(plan.faults[3].process == 4);
  CHECK(plan.faults[4].delay.count() == 20);
}

TEST_CASE("exactly the planned faults happen", "[device][fault]") {
  SECTION("compiles") {
    Rig rig("compile:2");
    const auto first = rig.compile();
    CHECK_THROWS_AS(rig.compile(), device::CompileError);
    const auto third = rig.compile();
    CHECK(rig.run(*third) == 6);
  }
  SECTION("runs, counted over all kernels") {
    Rig rig("run:2,run:3=nan,run:4=huge");
    const auto one = rig.compile();
    const auto other = rig.compile();
    CHECK(rig.run(*one) == 6);
    CHECK_THROWS_AS(rig.run(*other), DeviceError);
    CHECK(std::isnan(rig.run(*one)));
    CHECK(rig.run(*other) >= 32768);
    CHECK(rig.run(*one) == 6);
  }
  SECTION("in one process") {
    Rig before("run:1@2", 1);
    CHECK(before.run(*before.compile()) == 6);
    Rig there("run:1@2", 2);
    const auto kernel = there.compile();
    CHECK_THROWS_AS(there.run(*kernel), DeviceError);
  }
  SECTION("a budget") {
    Rig rig("budget:1");
    const auto kernel = rig.compile();
    CHECK_THROWS_AS(rig.compile(), device::CompileError);
    CHECK_THROWS_AS(rig.compile(), device::CompileError);
  }
  SECTION("a run that awaits a compile") {
    Rig rig("run:1=await:2,run:2=await:1");
    const auto kernel = rig.compile();
    std::atomic<bool> ran = false;
    std::future<float> result = std::async(std::launch::async, [&] {
      const float value = rig.run(*kernel);
      ran = true;
      return value;
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    CHECK_FALSE(ran);
    const auto second = rig.compile();
    CHECK(result.get() == 6);
    CHECK(rig.run(*second) == 6);
  }
  SECTION("a delay") {
    Rig rig("run:*=delay:30ms");
    const auto kernel = rig.compile();
    const auto begin = std::chrono::steady_clock::now();
    CHECK(rig.run(*kernel) == 6);
    CHECK(std::chrono::steady_clock::now() - begin >= std::chrono::milliseconds(30));
  }
}
