#include "compile_workers.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "ane/core/child_process.h"
#include "ane/core/error.h"
#include "ane/device/apple/compile_worker.h"

namespace ane::device::apple {

namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kBetweenLooks = std::chrono::milliseconds(50);  // at the request to stop

std::vector<std::string> worker_environment(const WorkerOptions& options, unsigned qos) {
  std::vector<std::string> environment = options.environment;
  environment.push_back(fmt::format("{}={}", kWorkerVariable, qos));
  return environment;
}

void stop_if_requested(const WorkerOptions& options) {
  if (options.stop != nullptr && *options.stop) throw CompileStopped();
}

}  // namespace

class CompileWorkers::Worker {
 public:
  explicit Worker(const WorkerOptions& options)
      : options_(options), process_(options.executable, options.environment, ChildProcess::Kind::server) {}
  ~Worker() {
    constexpr auto kToEnd = std::chrono::seconds(2);
    if (is_broken_) return;
    process_.end_input();
    static_cast<void>(process_.wait(Clock::now() + kToEnd));
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  [[nodiscard]] bool may_compile() const noexcept { return !is_broken_ && compiles_ < options_.compiles; }

  std::optional<WorkerFault> compile(const std::string& identifier) {
    ++compiles_;
    is_broken_ = true;  // unless it answers
    std::string text;
    const bool is_sent = process_.send(identifier + '\n');
    switch (read_answer(text)) {
      case ChildProcess::Read::late:
        return WorkerFault{fmt::format("it did not compile a program within {} s",
                                       std::chrono::duration_cast<std::chrono::seconds>(options_.time_limit).count())};
      case ChildProcess::Read::ended:
        return WorkerFault{end_text()};
      case ChildProcess::Read::line:
        break;
    }
    if (!is_sent) return WorkerFault{end_text()};
    // After a refusal the compiler may refuse other programs of the same process, too (ane.md A42).
    if (text != kCompiled) return WorkerFault{text, true};
    is_broken_ = false;
    return std::nullopt;
  }

 private:
  ChildProcess::Read read_answer(std::string& text) {
    const auto deadline = Clock::now() + options_.time_limit;
    for (;;) {
      stop_if_requested(options_);
      const auto next = std::min<Clock::time_point>(deadline, Clock::now() + kBetweenLooks);
      const ChildProcess::Read read = process_.read_line(text, next);
      if (read != ChildProcess::Read::late || Clock::now() >= deadline) return read;
    }
  }

  /// How the process ended, and what it said.
  std::string end_text() {
    const std::optional<ProcessEnd> end = process_.wait(Clock::now() + std::chrono::seconds(1));
    const std::string error = last_error(process_.errors());
    return fmt::format("it {}{}{}", end ? to_string(*end) : "closed its output", error.empty() ? "" : ": ", error);
  }

  const WorkerOptions& options_;
  ChildProcess process_;
  int compiles_ = 0;
  bool is_broken_ = false;
};

/// A worker that one thread uses.
class CompileWorkers::Lease {
 public:
  Lease(CompileWorkers& workers, WorkerAge age) : workers_(workers) {
    std::unique_lock lock(workers_.mutex_);
    while (workers_.busy_ == workers_.options_.count) {
      stop_if_requested(workers_.options_);
      workers_.returned_.wait_for(lock, kBetweenLooks);
    }
    if (!workers_.idle_.empty()) {
      worker_ = std::move(workers_.idle_.back());
      workers_.idle_.pop_back();
    }
    if (age == WorkerAge::fresh) worker_.reset();
    // One after the other, so that no worker inherits descriptors of another, which would then not end.
    if (worker_ == nullptr) worker_ = std::make_unique<Worker>(workers_.options_);
    ++workers_.busy_;
  }
  ~Lease() {
    {
      const std::scoped_lock lock(workers_.mutex_);
      --workers_.busy_;
      if (worker_->may_compile()) workers_.idle_.push_back(std::move(worker_));
    }
    workers_.returned_.notify_one();
  }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

  Worker* operator->() const noexcept { return worker_.get(); }

 private:
  CompileWorkers& workers_;
  std::unique_ptr<Worker> worker_;
};

CompileWorkers::CompileWorkers(const WorkerOptions& options, unsigned qos) : options_(options) {
  options_.environment = worker_environment(options, qos);
  idle_.reserve(static_cast<std::size_t>(options_.count));
}

CompileWorkers::~CompileWorkers() = default;

std::optional<WorkerFault> CompileWorkers::compile(const std::string& identifier, WorkerAge age) try {
  const Lease worker(*this, age);
  return worker->compile(identifier);
} catch (const DeviceError& error) {
  return WorkerFault{error.what()};
}

}  // namespace ane::device::apple
