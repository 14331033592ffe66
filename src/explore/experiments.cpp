#include "ane/explore/experiments.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <sstream>

#include <fmt/format.h>

#include "ane/core/environment.h"
#include "ane/core/error.h"

#include "stages.h"

namespace ane::explore {

std::span<const Experiment> experiments() {
  using std::chrono::minutes;
  using std::chrono::seconds;
  static const std::vector<Experiment> rows = {
      {kFailures, "is a failed run reported as failed?", {failures_are_reported}, seconds(60)},
      {kBinding, "in which order do inputs bind?", {inputs_bind_in_order}, seconds(60)},
      {kCachedLoad,
       "does a program of an earlier process load without a compile?",
       {compile_and_leave, load_from_cache},
       seconds(60)},
      {kCompileLimit, "how many programs can a process compile?", {compile_until_refused}, minutes(5)},
      {kLoadLimit, "do loads of compiled programs count as compiles?", {fill_cache, load_until_refused}, minutes(5)},
      {kResidentLimit,
       "how many programs can a process hold?",
       {fill_cache, fill_cache, fill_cache, hold_until_refused},
       minutes(5)},
      {kOverflow, "what becomes of sums beyond 2^15?", {sums_overflow}, seconds(60)},
      {kSmallProducts, "which products vanish, and what becomes of NaN?", {small_products_vanish}, seconds(60)},
      {kOffsetSlice, "are slices inside the last axis right?", {offset_slices_clamp}, seconds(60)},
      {kIdle, "does the engine keep its pace after pauses and under load?", {engine_rests}, minutes(20), true},
  };
  return rows;
}

std::string to_text(const StageRequest& request) {
  return fmt::format("{} {} {} {}", request.experiment, request.stage, request.seed, request.before);
}

std::optional<StageRequest> find_stage_request(std::span<const std::string> environment) {
  const std::optional<std::string> value = find_variable(environment, kStageVariable);
  if (!value) return std::nullopt;
  std::istringstream text(*value);
  StageRequest request;
  text >> request.experiment >> request.stage >> request.seed >> request.before;
  const auto row = std::ranges::find(experiments(), request.experiment, &Experiment::name);
  if (!text || row == experiments().end() || request.stage >= row->stages.size() || !(request.before >= 0))
    throw UsageError(fmt::format("{} is '{}', which is not what ane-train sets it to for its own processes; unset it",
                                 kStageVariable, *value));
  return request;
}

void run_stage(const StageRequest& request, Clock& clock, const std::function<void(const std::string&)>& print) {
  device::apple::RawEngine engine;
  const Lab lab{
      .engine = engine, .seed = request.seed, .clock = clock, .before = request.before, .report = [&](double value) {
        print(to_line({std::string(kReported), value, ""}));
      }};
  const auto row = std::ranges::find(experiments(), request.experiment, &Experiment::name);
  print(to_line(row->stages.at(request.stage)(lab)));
}

}  // namespace ane::explore
