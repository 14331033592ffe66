#include <algorithm>
#include <memory>
#include <vector>

#include <fmt/format.h>

#include "ane/core/error.h"

#include "lab.h"
#include "stages.h"

namespace ane::explore {

namespace {

using device::apple::Answer;

constexpr std::size_t kMostCompiles = 300;
constexpr std::size_t kMostPrograms = 260;

double count_of(std::size_t number) { return static_cast<double>(number); }

/// Compiles, loads and runs; the reason if one of them fails.
std::string fault_of(NumberedProgram& numbered) {
  if (const Answer answer = numbered.program().compile(); !answer.ok()) return answer.error;
  if (const Answer answer = numbered.program().load(); !answer.ok()) return answer.error;
  return numbered.check();
}

}  // namespace

Finding compile_and_leave(const Lab& lab) {
  NumberedProgram numbered(lab, 0);
  const Answer compiled = numbered.program().compile();
  expect(compiled, "compiling");
  expect(numbered.program().load(), "loading");
  if (const std::string fault = numbered.check(); !fault.empty()) throw DeviceError(fault);
  numbered.program().leave_cached();
  return {"compiled", in_milliseconds(compiled.time), "the program is left for another process"};
}

Finding load_from_cache(const Lab& lab) {
  constexpr double kNoCompile = 10;  // milliseconds
  NumberedProgram numbered(lab, 0);
  if (!numbered.program().is_cached().value_or(true))
    return {"lost", std::nullopt, "a program of an earlier process is not found in the system's cache"};
  const Answer loaded = numbered.program().load();
  const double time = in_milliseconds(loaded.time);
  if (!loaded.ok())
    return {"refused", time, fmt::format("a program of an earlier process does not load: {}", loaded.error)};
  if (const std::string fault = numbered.check(); !fault.empty())
    return {"wrong", time, fmt::format("a program of an earlier process loads, but computes wrong results: {}", fault)};
  if (time < kNoCompile || time < lab.before / 2)
    return {"loaded", time,
            fmt::format("a program of an earlier process loads in {:.1f} ms without a compile, which "
                        "took {:.1f} ms",
                        time, lab.before)};
  return {"compiled", time,
          fmt::format("loading a program of an earlier process takes {:.1f} ms, as long as compiling "
                      "it",
                      time)};
}

Finding compile_until_refused(const Lab& lab) {
  for (std::size_t number = 0; number < kMostCompiles; ++number) {
    NumberedProgram numbered(lab, number);
    const std::string fault = fault_of(numbered);
    if (!fault.empty() && number == 0) throw DeviceError(fault);
    if (!fault.empty())
      return {"limited", count_of(number),
              fmt::format("a process can compile {} programs; the next one failed: {}", number, fault)};
    lab.report(count_of(number + 1));
  }
  return {"unlimited", count_of(kMostCompiles),
          fmt::format("a process can compile at least {} programs", kMostCompiles)};
}

// Compiles programs from number `before` on, and leaves them in the cache.
Finding fill_cache(const Lab& lab) {
  auto number = static_cast<std::size_t>(lab.before);
  while (number < kMostPrograms) {
    NumberedProgram numbered(lab, number);
    const Answer answer = numbered.program().compile();
    if (number == 0) expect(answer, "compiling");
    if (!answer.ok()) break;
    numbered.program().leave_cached();
    lab.report(count_of(++number));
  }
  return {"compiled", count_of(number), "the programs are left for another process"};
}

Finding load_until_refused(const Lab& lab) {
  constexpr int kRounds = 2;
  const auto count = static_cast<std::size_t>(lab.before);
  std::size_t loads = 0;
  std::string fault;
  for (int round = 1; round <= kRounds; ++round) {
    for (std::size_t number = 0; number < count; ++number) {
      NumberedProgram numbered(lab, number);
      if (round < kRounds) numbered.program().leave_cached();
      if (!fault.empty()) continue;  // only purges
      const Answer answer = numbered.program().load();
      fault = answer.ok() ? numbered.check() : answer.error;
      if (fault.empty()) lab.report(count_of(++loads));
    }
  }
  if (fault.empty()) {
    NumberedProgram fresh(lab, kMostPrograms);
    fault = fault_of(fresh);
  }
  if (fault.empty())
    return {"unlimited", count_of(loads),
            fmt::format("{} loads of programs that other processes had compiled do not count as compiles", loads)};
  return {"limited", count_of(loads),
          fmt::format("after {} loads of programs that other processes had compiled, the next call failed: {}", loads,
                      fault)};
}

Finding hold_until_refused(const Lab& lab) {
  const auto count = static_cast<std::size_t>(lab.before);
  std::vector<std::unique_ptr<NumberedProgram>> held;
  std::string fault;
  std::size_t loaded = 0;
  for (std::size_t number = 0; number < count; ++number) {
    held.push_back(std::make_unique<NumberedProgram>(lab, number));
    if (!fault.empty()) continue;  // only purges
    const Answer answer = held.back()->program().load();
    fault = answer.ok() ? held.back()->check() : answer.error;
    if (!fault.empty() && number == 0) throw DeviceError(fault);
    if (fault.empty()) lab.report(count_of(++loaded));
  }
  if (!fault.empty())
    return {"limited", count_of(loaded),
            fmt::format("a process can hold {} programs; the next one failed: {}", loaded, fault)};
  return {"unlimited", count_of(loaded), fmt::format("a process can hold at least {} programs", loaded)};
}

}  // namespace ane::explore
