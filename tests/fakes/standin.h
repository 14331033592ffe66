#pragma once

#include <chrono>
#include <string>

/// The stand-in for Apple's frameworks: a shared library that registers the private framework's classes with GNU's
/// Objective-C runtime, provides IOSurface, and runs MIL on the host device. It is strict where the ANE is
/// (ane.md 1.10), fails on demand and counts what is alive. A program that was compiled stays in a cache on disk until
/// it is purged, as in Apple's daemon.
///
/// Environment, for tests of whole programs; read when the library is loaded:
///   STANDIN_FAIL=CALL:N       the Nth call of CALL ("compile", "IOSurfaceCreate", ...) fails
///   STANDIN_COMPILE_MS=N      each compilation takes that much longer
///   STANDIN_THREADS=N         threads of the host device within (default: as many as cores)
///   STANDIN_HIDE=NAME,...     these classes, methods and functions are treated as missing
///   STANDIN_NO_ANE=1          +[_ANEDeviceInfo hasANE] answers NO
///   STANDIN_VIRTUAL=bare      a virtual machine that claims an ANE; whatever is asked of it is refused with code 22
///   STANDIN_VIRTUAL=client    one whose host runs its programs
///   STANDIN_REFUSE=OPERATION  programs with this operation do not compile
///   STANDIN_INTERLEAVE=N      modelAttributes reports as many interleaved channels
///   STANDIN_HOME=DIR          directories of programs and the cache of compiled ones lie there, for all processes;
///                             otherwise every process has its own, which it keeps through exec
///   STANDIN_REPORT=FILE       appends the counts below at exit, one line a process
namespace ane::fakes {

struct Counts {
  int objects = 0;   ///< alive, of the private framework's classes
  int surfaces = 0;  ///< alive
  int loaded = 0;    ///< programs that take a slot: loaded, or unloaded but not released
  int directories = 0;
  int files = 0;   ///< beside the directories
  int cached = 0;  ///< programs in the daemon's cache, which outlives the process
  // Since the process began.
  int compiles = 0;  ///< successful ones, up to reset()
  int evaluations = 0;
  int requests = 0;

  [[nodiscard]] bool none_left() const {
    return objects == 0 && surfaces == 0 && loaded == 0 && directories == 0 && files == 0 && cached == 0;
  }
};

/// What a test holds in its hands; ane_standin_control() gives it.
class Control {
 public:
  virtual ~Control() = default;

  [[nodiscard]] virtual Counts counts() const = 0;
  /// Forgets faults and the compile count, as a new process would.
  virtual void reset() = 0;

  /// The nth call from now on that can fail does so; 0: none. `call` names the kind, empty: any.
  virtual void fail(const std::string& call, int nth) = 0;
  /// The kind of the call that was made to fail; empty if none was yet.
  [[nodiscard]] virtual std::string failed() const = 0;
  /// Calls that are to fail raise an Objective-C exception instead of answering.
  virtual void raise_exceptions(bool raise) = 0;

  virtual void cancel_evaluations(int count) = 0;  ///< the next `count` end with status 0x12
  virtual void slow_compiles(std::chrono::milliseconds delay) = 0;
  /// modelAttributes reports rows this many bytes further apart than they are.
  virtual void widen_reported_rows(int bytes) = 0;
  /// The same for planes, and the number of channels that it says are interleaved.
  virtual void widen_reported_planes(int bytes) = 0;
  virtual void report_interleave(int channels) = 0;
  virtual void set_threads(int threads) = 0;
  virtual void clear_cache() = 0;  ///< as a new build of the system does
  [[nodiscard]] virtual std::string temporary_directory() const = 0;
};

using ControlFunction = Control*();
inline constexpr const char* kControlFunction = "ane_standin_control";

}  // namespace ane::fakes
