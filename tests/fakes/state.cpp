#include "state.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

#include "ane/device/apple/compile_worker.h"

namespace ane::fakes {

namespace fs = std::filesystem;

namespace {

std::string variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

int number(const char* name, int otherwise) {
  const std::string value = variable(name);
  return value.empty() ? otherwise : std::stoi(value);
}

// Without STANDIN_HOME one per process, so that programs with equal kernels do not interfere.
fs::path home() {
  const std::string given = variable("STANDIN_HOME");
  return given.empty() ? fs::temp_directory_path() / fmt::format("ane-standin-{}", getpid()) : fs::path(given);
}

/// Whether planned faults are meant for this process.
bool takes_faults() {
  return variable("STANDIN_FAULTS_IN") != "workers" || !variable(device::apple::kWorkerVariable).empty();
}

}  // namespace

Gnustep::Gnustep()
    // The library is linked, so it is already loaded, with the runtime among its dependencies.
    : library(ANE_GNUSTEP_LIBRARY),
      lookup(device::apple::LibraryPaths{}),
      runtime(lookup.runtime(library)),
      foundation(lookup, runtime, library) {
  for (const device::apple::Finding& finding : lookup.findings()) {
    if (finding.required && !finding.found) throw std::runtime_error("GNUstep lacks " + to_string(finding));
  }
}

State::State() : temporary_directory_(home().string() + "/"), cache_directory_(home().string() + "-cache") {
  for (const auto& [name, kind] : {std::pair("STANDIN_FAIL", Fault::error), std::pair("STANDIN_CRASH", Fault::crash),
                                   std::pair("STANDIN_HANG", Fault::hang)}) {
    const std::string fault = variable(name);
    const std::size_t colon = fault.find(':');
    if (colon == std::string::npos || !takes_faults()) continue;
    fail(fault.substr(0, colon), std::stoi(fault.substr(colon + 1)));
    fault_ = kind;
  }
  play(variable("STANDIN_CHIP"));
  compile_delay_ = std::chrono::milliseconds(number("STANDIN_COMPILE_MS", persona_.compile_ms));
  interleave_ = number("STANDIN_INTERLEAVE", 1);
  set_threads(number("STANDIN_THREADS", static_cast<int>(std::thread::hardware_concurrency())));
}

State::~State() {
  const Counts left = counts();
  const std::string report = variable("STANDIN_REPORT");
  if (!report.empty()) {
    std::ofstream(report, std::ios::app) << fmt::format(
        "objects={} surfaces={} loaded={} directories={} files={} cached={} compiles={} evaluations={} requests={}\n",
        left.objects, left.surfaces, left.loaded, left.directories, left.files, left.cached, left.compiles,
        left.evaluations, left.requests);
  }
  std::error_code ignored;
  fs::remove(temporary_directory_, ignored);  // fails if it is not empty
  fs::remove(cache_directory_, ignored);
}

Counts State::counts() const {
  const std::scoped_lock lock(mutex_);
  Counts counts = counts_;
  std::error_code missing;
  for (fs::directory_iterator entry(temporary_directory_, missing), end; !missing && entry != end; ++entry) {
    ++(entry->is_directory() ? counts.directories : counts.files);
  }
  fs::directory_iterator cached(cache_directory_, missing);
  if (!missing) counts.cached = static_cast<int>(std::distance(cached, fs::directory_iterator()));
  return counts;
}

void State::reset() {
  const std::scoped_lock lock(mutex_);
  persona_ = personas().front();
  counts_.compiles = 0;
  calls_until_fault_ = 0;
  failed_.clear();
  cancellations_ = 0;
  raises_ = false;
  extra_row_bytes_ = 0;
  extra_plane_bytes_ = 0;
  interleave_ = 1;
  compile_delay_ = {};
}

void State::fail(const std::string& call, int nth) {
  const std::scoped_lock lock(mutex_);
  fault_call_ = call;
  calls_until_fault_ = nth;
  failed_.clear();
}

std::string State::failed() const {
  const std::scoped_lock lock(mutex_);
  return failed_;
}

bool State::fails(const std::string& call) {
  const std::scoped_lock lock(mutex_);
  if (calls_until_fault_ == 0 || (!fault_call_.empty() && fault_call_ != call)) return false;
  if (--calls_until_fault_ != 0) return false;
  if (fault_ == Fault::crash) std::abort();
  while (fault_ == Fault::hang) std::this_thread::sleep_for(std::chrono::seconds(1));
  failed_ = call;
  return true;
}

void State::cancel_evaluations(int count) {
  const std::scoped_lock lock(mutex_);
  cancellations_ = count;
}

void State::be_idle(std::chrono::nanoseconds time) {
  const std::scoped_lock lock(mutex_);
  idle_time_ += time;
}

bool State::cancels() {
  constexpr int kWhilePoweringOn = 3;
  const std::scoped_lock lock(mutex_);
  const auto now = std::chrono::steady_clock::now() + idle_time_;
  const std::chrono::seconds limit(persona_.power_down_seconds);
  if (limit.count() > 0 && last_evaluation_ && now - *last_evaluation_ >= limit) cancellations_ = kWhilePoweringOn;
  last_evaluation_ = now;
  if (cancellations_ == 0) return false;
  --cancellations_;
  return true;
}

void State::slow_compiles(std::chrono::milliseconds delay) {
  const std::scoped_lock lock(mutex_);
  compile_delay_ = delay;
}

std::chrono::milliseconds State::compile_delay() const {
  const std::scoped_lock lock(mutex_);
  return compile_delay_;
}

void State::widen_reported_rows(int bytes) {
  const std::scoped_lock lock(mutex_);
  extra_row_bytes_ = bytes;
}

int State::extra_row_bytes() const {
  const std::scoped_lock lock(mutex_);
  return extra_row_bytes_;
}

void State::raise_exceptions(bool raise) {
  const std::scoped_lock lock(mutex_);
  raises_ = raise;
}

bool State::raises() const {
  const std::scoped_lock lock(mutex_);
  return raises_;
}

void State::widen_reported_planes(int bytes) {
  const std::scoped_lock lock(mutex_);
  extra_plane_bytes_ = bytes;
}

int State::extra_plane_bytes() const {
  const std::scoped_lock lock(mutex_);
  return extra_plane_bytes_;
}

void State::report_interleave(int channels) {
  const std::scoped_lock lock(mutex_);
  interleave_ = channels;
}

int State::interleave() const {
  const std::scoped_lock lock(mutex_);
  return interleave_;
}

void State::cache(const std::string& identifier) const {
  fs::create_directories(cache_directory_);
  std::ofstream(fs::path(cache_directory_) / identifier) << "compiled by the stand-in\n";
}

bool State::is_cached(const std::string& identifier) const {
  return fs::exists(fs::path(cache_directory_) / identifier);
}

void State::purge(const std::string& identifier) const { fs::remove(fs::path(cache_directory_) / identifier); }

void State::clear_cache() { fs::remove_all(cache_directory_); }

void State::play(const std::string& persona) {
  const std::scoped_lock lock(mutex_);
  persona_ = fakes::persona(persona);
}

Persona State::persona() const {
  const std::scoped_lock lock(mutex_);
  return persona_;
}

bool State::is_virtual() const { return persona().is_virtual || !variable("STANDIN_VIRTUAL").empty(); }
bool State::has_virtual_client() { return variable("STANDIN_VIRTUAL") == "client"; }

objc::ExceptionPreprocessor State::set_exception_preprocessor(objc::ExceptionPreprocessor preprocessor) {
  const std::scoped_lock lock(mutex_);
  return std::exchange(exception_preprocessor_, preprocessor);
}

objc::ExceptionPreprocessor State::exception_preprocessor() const {
  const std::scoped_lock lock(mutex_);
  return exception_preprocessor_;
}

void State::add(int Counts::*count, int change) {
  const std::scoped_lock lock(mutex_);
  counts_.*count += change;
}

bool State::try_add(int Counts::*count, int limit) {
  const std::scoped_lock lock(mutex_);
  if (counts_.*count >= limit) return false;
  counts_.*count += 1;
  return true;
}

void State::set_threads(int threads) {
  const std::scoped_lock lock(host_mutex_);
  host_.reset();
  threads_ = std::make_unique<math::ThreadPool>(threads);
}

device::host::HostDevice& State::host() {
  if (host_ == nullptr) host_ = std::make_unique<device::host::HostDevice>(*threads_);
  return *host_;
}

}  // namespace ane::fakes
