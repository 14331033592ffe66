#include "ane/device/host/host_device.h"

#include <map>
#include <mutex>
#include <new>

#include <fmt/format.h>

#include "ane/math/gemm.h"

#include "plan/plan.h"
#include "run/kernel.h"
#include "run/vector_ops.h"

namespace ane::device::host {

struct HostDevice::State {
  State(math::ThreadPool& threads, RunThreads run_threads) : workspace(threads, run_threads) {}

  Workspace workspace;
  std::mutex plans_mutex;
  std::map<std::string, std::shared_ptr<SharedPlan>, std::less<>> plans;

  std::shared_ptr<SharedPlan> plan(std::string_view mil_text);
};

std::shared_ptr<SharedPlan> HostDevice::State::plan(std::string_view mil_text) {
  const std::scoped_lock lock(plans_mutex);
  const auto known = plans.find(mil_text);
  if (known != plans.end()) return known->second;
  auto made = std::make_shared<SharedPlan>(make_plan(mil_text, workspace.threads_of_a_run()));
  plans.emplace(mil_text, made);
  return made;
}

HostDevice::HostDevice(math::ThreadPool& threads, RunThreads run_threads)
    : state_(std::make_unique<State>(threads, run_threads)) {}

HostDevice::~HostDevice() = default;

std::string HostDevice::description() const {
  return fmt::format("host (CPU): {}, {} thread{}, {}", math::blas_name(), state_->workspace.threads().size(),
                     state_->workspace.threads().size() == 1 ? "" : "s", vector_target());
}

std::vector<mil::Diagnostic> HostDevice::check(const mil::Program& program) const {
  return mil::check_for_ane(program);
}

std::unique_ptr<Kernel> HostDevice::compile(std::string_view /*label*/, std::string_view mil_text,
                                            const mil::Blobs& weights) {
  std::shared_ptr<SharedPlan> plan = state_->plan(mil_text);
  try {
    return std::make_unique<HostKernel>(plan, weights, state_->workspace);
  } catch (const mil::BlobError& error) {
    throw CompileError(error.what());
  } catch (const std::bad_alloc&) {
    throw CompileError(fmt::format("out of memory for the program: its constants need {} bytes and a run needs {}",
                                   plan->plan().constants_bytes, plan->plan().arena_bytes));
  }
}

void HostDevice::release_spare_memory() noexcept {
  const std::scoped_lock lock(state_->plans_mutex);
  for (const auto& [text, plan] : state_->plans) plan->release_spare();
}

}  // namespace ane::device::host
