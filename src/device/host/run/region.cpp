#include "run/region.h"

namespace ane::device::host {

void Region::run(const RunContext& context) const {
  context.parallel_for(static_cast<std::size_t>(workers_), 1, [&](math::Range range) {
    for (std::size_t worker = range.begin; worker < range.end; ++worker) {
      run_worker(context, static_cast<std::int64_t>(worker));
    }
  });
}

void Region::run_worker(const RunContext& context, std::int64_t worker) const {
  RunContext part{.buffers = context.buffers, .threads = nullptr, .slice = 0, .worker = worker};
  const std::int64_t end = slices_ * (worker + 1) / workers_;
  for (part.slice = slices_ * worker / workers_; part.slice < end; ++part.slice) {
    for (const Part& step : parts_) {
      std::visit([&](const auto& work) { work.run(part); }, step);
    }
  }
}

}  // namespace ane::device::host
