#include "table.h"

#include <fmt/format.h>

namespace ane::bench {
namespace {

constexpr std::int64_t kFewestReps = 11;
constexpr std::int64_t kMostReps = 1001;
constexpr std::chrono::seconds kEnough{4};

void print_cells(const std::string& name, const std::string& time, const std::string& bound, const std::string& ratio,
                 const std::string& rate) {
  fmt::print("| {:24} | {:>10} | {:>10} | {:>6} | {:>8} |\n", name, time, bound, ratio, rate);
}

std::string cell(double time_ms) { return time_ms == 0 ? std::string() : fmt::format("{:.3f}", time_ms); }

}  // namespace

bool Repetitions::again() {
  const bool enough = asked_for_ > 0 ? done_ >= asked_for_
                                     : done_ >= kMostReps || (done_ >= kFewestReps &&
                                                              std::chrono::steady_clock::now() - start_ > kEnough);
  ++done_;
  return !enough;
}

double Samples::milliseconds(const std::string& name) const {
  const auto found = times_.find(name);
  return found == times_.end() ? 0 : bench::milliseconds(best(found->second));
}

void Sums::give(Samples& samples) const {
  for (const auto& [name, time] : sums_) samples.add(name, time);
}

void print_heading(Training& training) {
  const std::string& config = training.settings().config;
  fmt::print("\n{}: {}\n{}\n\n", config.empty() ? "default" : config, model::dashboard_line(training.model().config()),
             training.device().description());
}

void print_head(const std::string& name, const std::string& time, const std::string& bound, const std::string& rate) {
  print_cells(name, time, bound, "ratio", rate);
  fmt::print("|{:-<26}|{:-<11}:|{:-<11}:|{:-<7}:|{:-<9}:|\n", "", "", "", "", "");
}

void print_row(const std::string& name, double milliseconds, double bound_milliseconds, const std::string& rate) {
  const bool bounded = milliseconds != 0 && bound_milliseconds != 0;
  print_cells(name, cell(milliseconds), cell(bound_milliseconds),
              bounded ? fmt::format("{:.2f}", milliseconds / bound_milliseconds) : std::string(), rate);
}

}  // namespace ane::bench
