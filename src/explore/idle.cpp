#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "ane/core/error.h"
#include "ane/core/machine.h"

#include "lab.h"
#include "stages.h"

namespace ane::explore {

namespace {

using device::apple::Answer;
using std::chrono::nanoseconds;

constexpr std::string_view kCancelled = "status=0x12";

/// Before macOS 27, an M3 Ultra can panic if it is used every two seconds (ane.md A52).
bool may_panic(const device::apple::Probe& probe) {
  constexpr std::string_view kSystem = "macOS ";
  constexpr std::uint64_t kFirstSafe = 27;
  if (probe.chip.find("Ultra") == std::string::npos || !probe.os.starts_with(kSystem)) return false;
  return leading_number(std::string_view(probe.os).substr(kSystem.size())).value_or(0) < kFirstSafe;
}

/// A loaded kernel with its surfaces.
class IdleKernel {
 public:
  explicit IdleKernel(const Lab& lab)
      : program_(lab, 0),
        in_(filled(lab.engine, std::vector<float>(kElements, 1))),
        out_(empty(lab.engine, kElements)) {
    expect(program_.program().compile(), "compiling");
    expect(program_.program().load(), "loading");
  }
  Answer run() {
    const std::array inputs{in_.get()};
    const std::array outputs{out_.get()};
    return program_.program().evaluate(inputs, outputs);
  }

 private:
  static constexpr std::size_t kElements = std::size_t{64} * 64;
  NumberedProgram program_;
  Memory in_;
  Memory out_;
};

/// How the engine answers after it has rested.
struct Waking {
  int cancelled = 0;
  nanoseconds time{0};  ///< of the first run that succeeds
};

Waking wake(const Lab& lab, IdleKernel& kernel) {
  constexpr int kMostRetries = 1000;
  constexpr auto kPause = std::chrono::milliseconds(3);
  Waking waking;
  for (int retry = 0; retry <= kMostRetries; ++retry) {
    const Answer answer = kernel.run();
    waking.time = answer.time;
    if (answer.ok()) return waking;
    if (answer.error.find(kCancelled) == std::string::npos) throw DeviceError(answer.error);
    ++waking.cancelled;
    lab.clock.sleep(kPause);
  }
  throw DeviceError(fmt::format("a run was cancelled {} times in a row", waking.cancelled));
}

nanoseconds median_of_runs(IdleKernel& kernel) {
  constexpr int kRuns = 101;
  std::vector<nanoseconds> times;
  for (int run = 0; run < kRuns; ++run) {
    const Answer answer = kernel.run();
    expect(answer, "running");
    times.push_back(answer.time);
  }
  std::nth_element(times.begin(), times.begin() + kRuns / 2, times.end());
  return times[kRuns / 2];
}

/// How much slower a run is after ten minutes without a pause.
double slowdown(const Lab& lab, IdleKernel& kernel) {
  constexpr auto kDense = std::chrono::minutes(10);
  const nanoseconds begin = lab.clock.now();
  const nanoseconds first = median_of_runs(kernel);
  nanoseconds last = first;
  while (lab.clock.now() - begin < kDense) last = median_of_runs(kernel);
  return in_milliseconds(last) / std::max(in_milliseconds(first), 1e-6);
}

}  // namespace

Finding engine_rests(const Lab& lab) {
  constexpr double kSlow = 20;  // milliseconds; powering on takes about 50
  constexpr double kThrottled = 1.3;
  IdleKernel kernel(lab);
  static_cast<void>(wake(lab, kernel));
  Waking worst;
  for (const double seconds : {0.1, 2.0, 6.0, 30.0}) {
    if (seconds == 2.0 && may_panic(lab.engine.probe())) continue;
    lab.clock.sleep(std::chrono::duration_cast<nanoseconds>(std::chrono::duration<double>(seconds)));
    const Waking waking = wake(lab, kernel);
    worst = {std::max(worst.cancelled, waking.cancelled), std::max(worst.time, waking.time)};
    lab.report(worst.cancelled);
  }
  const double slower = slowdown(lab, kernel);
  const std::string throttling =
      slower > kThrottled ? fmt::format("; after ten minutes without a pause a run takes {:.1f} times as long", slower)
                          : "; ten minutes without a pause do not slow it down";
  if (worst.cancelled > 0)
    return {"cancelled", worst.cancelled,
            fmt::format("after a pause the engine cancels up to {} runs while it powers on{}", worst.cancelled,
                        throttling)};
  const double time = in_milliseconds(worst.time);
  if (time > kSlow)
    return {"slow", 0, fmt::format("after a pause the first run takes up to {:.0f} ms{}", time, throttling)};
  return {slower > kThrottled ? "throttled" : "steady", 0,
          fmt::format("after pauses of up to 30 s the engine answers at once{}", throttling)};
}

}  // namespace ane::explore
