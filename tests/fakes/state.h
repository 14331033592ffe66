#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "ane/device/host/host_device.h"

#include "foundation.h"
#include "lookup.h"
#include "objc.h"
#include "personas.h"
#include "standin.h"

namespace ane::fakes {

namespace objc = device::apple::objc;

/// GNUstep's Foundation, as used by the stand-in.
struct Gnustep {
  Gnustep();
  objc::Library library;
  device::apple::Lookup lookup;
  objc::Runtime runtime;
  device::apple::Foundation foundation;
};

/// Process-wide state, as in the real framework and its daemon.
class State final : public Control {
 public:
  State();
  ~State() override;

  [[nodiscard]] Counts counts() const override;
  void reset() override;
  void fail(const std::string& call, int nth) override;
  [[nodiscard]] std::string failed() const override;
  void cancel_evaluations(int count) override;
  void be_idle(std::chrono::nanoseconds time) override;
  void slow_compiles(std::chrono::milliseconds delay) override;
  void raise_exceptions(bool raise) override;
  void widen_reported_rows(int bytes) override;
  void widen_reported_planes(int bytes) override;
  void report_interleave(int channels) override;
  void set_threads(int threads) override;
  void play(const std::string& persona) override;
  void clear_cache() override;
  [[nodiscard]] std::string temporary_directory() const override { return temporary_directory_; }

  /// Must be called at the beginning of every call that can fail.
  [[nodiscard]] bool fails(const std::string& call);
  [[nodiscard]] bool cancels();
  [[nodiscard]] std::chrono::milliseconds compile_delay() const;
  [[nodiscard]] bool raises() const;
  [[nodiscard]] int extra_row_bytes() const;
  [[nodiscard]] int extra_plane_bytes() const;
  [[nodiscard]] int interleave() const;

  // The daemon's cache. Only the identifiers are on disk: the content follows from them.
  void cache(const std::string& identifier) const;
  [[nodiscard]] bool is_cached(const std::string& identifier) const;
  void purge(const std::string& identifier) const;

  [[nodiscard]] Persona persona() const;
  /// Whether this is a virtual machine, and whether its host runs programs.
  [[nodiscard]] bool is_virtual() const;
  [[nodiscard]] static bool has_virtual_client();

  /// Set by the program that loaded the stand-in; null if not set.
  [[nodiscard]] objc::ExceptionPreprocessor set_exception_preprocessor(objc::ExceptionPreprocessor preprocessor);
  [[nodiscard]] objc::ExceptionPreprocessor exception_preprocessor() const;
  void add(int Counts::*count, int change);
  /// Adds 1 unless that would exceed `limit`.
  [[nodiscard]] bool try_add(int Counts::*count, int limit);

  /// Must be locked around every use of the host device and its kernels.
  [[nodiscard]] std::mutex& host_mutex() { return host_mutex_; }
  [[nodiscard]] device::host::HostDevice& host();

  [[nodiscard]] const Gnustep& gnustep() const { return gnustep_; }

 private:
  Gnustep gnustep_;
  std::string temporary_directory_;
  std::string cache_directory_;

  mutable std::mutex mutex_;
  Persona persona_;
  Counts counts_;
  enum class Fault { error, crash, hang } fault_ = Fault::error;
  std::string fault_call_;
  int calls_until_fault_ = 0;
  std::string failed_;
  int cancellations_ = 0;
  std::chrono::nanoseconds idle_time_{0};  // pretended, since the process began
  std::optional<std::chrono::steady_clock::time_point> last_evaluation_;
  bool raises_ = false;
  int extra_row_bytes_ = 0;
  int extra_plane_bytes_ = 0;
  int interleave_ = 1;
  objc::ExceptionPreprocessor exception_preprocessor_ = nullptr;
  std::chrono::milliseconds compile_delay_{0};

  std::mutex host_mutex_;
  std::unique_ptr<math::ThreadPool> threads_;
  std::unique_ptr<device::host::HostDevice> host_;
};

/// Created when the library is loaded.
[[nodiscard]] State& state();

}  // namespace ane::fakes
