#include "cores.h"

#include <algorithm>
#include <cstddef>

#include <fmt/format.h>

#include "ane/math/gemm.h"

#include "memory.h"
#include "statistics.h"

namespace ane::bench {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kSide = 160;     // the three matrices of a thread stay in its core's cache
constexpr std::size_t kProducts = 8;   // about a millisecond together, against which starting threads is short
constexpr milliseconds kWarmUp{50};    // after a pause, Linux may keep all threads on one processor that long
constexpr milliseconds kMeasured{50};  // as many time slices as matter if another program competes
constexpr double kSharing = 1.3;       // above what clock rates and shared caches cost; sharing a core costs 1.5 to 2

/// Products of a thread's own matrices.
class OwnProducts {
 public:
  OwnProducts() : a_(kSide * kSide), b_(kSide * kSide), c_(kSide * kSide) {}
  void run() {
    for (std::size_t i = 0; i < kProducts; ++i)
      math::gemm_serial(kSide, kSide, kSide, 1, {a_.data(), kSide}, {b_.data(), kSide}, 0, c_.data(), kSide);
  }

 private:
  Floats a_, b_, c_;
};

}  // namespace

double slowdown_of_all_threads(math::ThreadPool& threads) {
  const auto count = static_cast<std::size_t>(threads.size());
  std::vector<OwnProducts> products(count);
  const auto run_one = [&] { products.front().run(); };
  const auto run_all = [&] {
    threads.parallel_for(count, 1, [&](math::Range range) {
      for (std::size_t i = range.begin; i < range.end; ++i) products[i].run();
    });
  };
  for (Duration total{}; total < kWarmUp;) total += time_of(run_all);
  Duration one = Duration::max();
  Duration all{};
  int runs = 0;
  for (; all < kMeasured; ++runs) {
    one = std::min(one, time_of(run_one));
    all += time_of(run_all);
  }
  return bench::milliseconds(all) / (runs * bench::milliseconds(one));
}

bool shares_core(double slowdown) noexcept { return slowdown > kSharing; }

void CoreChecks::check() {
  slowdowns_.push_back(slowdown_of_all_threads(*threads_));
  last_ = std::chrono::steady_clock::now();
}

void CoreChecks::check_each_second() {
  if (std::chrono::steady_clock::now() - last_ > std::chrono::seconds{1}) check();
}

std::string CoreChecks::summary() const {
  const auto [least, most] = std::ranges::minmax(slowdowns_);
  std::string text =
      fmt::format("Products on all threads at once took {:.2f} to {:.2f} times as long as on one.", least, most);
  if (const auto shared = std::ranges::count_if(slowdowns_, shares_core); shared > 0)
    text += fmt::format(
        " Threads shared a processor core, or another program used one, in {} of {} checks: repeat the measurement.",
        shared, slowdowns_.size());
  return text;
}

}  // namespace ane::bench
