#pragma once

#include <chrono>
#include <string>

/// The stand-in for Apple's frameworks: a shared library that registers the private framework's classes with GNU's
/// Objective-C runtime, provides IOSurface, and runs MIL on the host device. It enforces the rules of the ANE (ane.md
/// 1.10), fails on demand and counts live objects. A compiled program stays in a cache on disk until it is purged, as
/// in Apple's daemon.
///
/// Environment, for tests of whole programs; read when the library is loaded:
///   STANDIN_CHIP=NAME         plays this persona (personas.h)
///   STANDIN_FAIL=CALL:N       the Nth call of CALL ("compile", "IOSurfaceCreate", ...) fails
///   STANDIN_CRASH=CALL:N      the Nth call of CALL aborts the process
///   STANDIN_HANG=CALL:N       the Nth call of CALL does not return
///   STANDIN_FAULTS_IN=workers the three above apply to compile workers only
///   STANDIN_COMPILE_MS=N      each compilation takes N ms longer
///   STANDIN_THREADS=N         threads of the host device inside (default: as many as cores)
///   STANDIN_HIDE=NAME,...     these classes, methods and functions are treated as missing
///   STANDIN_NO_ANE=1          +[_ANEDeviceInfo hasANE] answers NO
///   STANDIN_VIRTUAL=bare      a virtual machine that claims an ANE; every request is refused with code 22
///   STANDIN_VIRTUAL=client    a virtual machine whose host runs its programs
///   STANDIN_REFUSE=OPERATION  programs with this operation do not compile
///   STANDIN_INTERLEAVE=N      modelAttributes reports N interleaved channels
///   STANDIN_CLOCK=simulated   the pauses of ane-train-standin's experiments take no time
///   STANDIN_HOME=DIR          directories of programs and the cache of compiled ones lie there, for all processes;
///                             otherwise a run of ane-train-standin has its own, with the processes that it starts
///   STANDIN_REPORT=FILE       appends the counts below at exit, one line per process
namespace ane::fakes {

struct Counts {
  int objects = 0;   ///< live objects of the private framework's classes
  int surfaces = 0;  ///< alive
  int loaded = 0;    ///< programs that occupy a slot: loaded, or unloaded but not released
  int directories = 0;
  int files = 0;   ///< files beside the directories
  int cached = 0;  ///< programs in the daemon's cache, which outlives the process
  // Since the process began.
  int compiles = 0;  ///< successful ones, up to reset()
  int evaluations = 0;
  int requests = 0;

  [[nodiscard]] bool none_left() const {
    return objects == 0 && surfaces == 0 && loaded == 0 && directories == 0 && files == 0 && cached == 0;
  }
};

/// Control interface for tests, returned by ane_standin_control().
class Control {
 public:
  virtual ~Control() = default;

  [[nodiscard]] virtual Counts counts() const = 0;
  /// Resets faults and the compile count, like a new process.
  virtual void reset() = 0;

  /// Makes the nth call from now on fail; 0: none. `call` names the kind, empty: any.
  virtual void fail(const std::string& call, int nth) = 0;
  /// The kind of the call that failed; empty if none did yet.
  [[nodiscard]] virtual std::string failed() const = 0;
  /// Failing calls raise an Objective-C exception instead of returning an error.
  virtual void raise_exceptions(bool raise) = 0;

  virtual void cancel_evaluations(int count) = 0;           ///< the next `count` end with status 0x12
  virtual void be_idle(std::chrono::nanoseconds time) = 0;  ///< as if nothing had been evaluated for so long
  virtual void slow_compiles(std::chrono::milliseconds delay) = 0;
  /// modelAttributes reports row strides that are this many bytes too large.
  virtual void widen_reported_rows(int bytes) = 0;
  /// The same for planes, and the reported number of interleaved channels.
  virtual void widen_reported_planes(int bytes) = 0;
  virtual void report_interleave(int channels) = 0;
  virtual void set_threads(int threads) = 0;
  virtual void play(const std::string& persona) = 0;  ///< until reset(); programs already compiled stay as they are
  virtual void clear_cache() = 0;                     ///< like a system update
  [[nodiscard]] virtual std::string temporary_directory() const = 0;
};

using ControlFunction = Control*();
inline constexpr const char* kControlFunction = "ane_standin_control";

}  // namespace ane::fakes
