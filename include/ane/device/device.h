#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ane/core/error.h"
#include "ane/device/limits.h"
#include "ane/mil/ane_rules.h"
#include "ane/mil/blob.h"
#include "ane/mil/program.h"
#include "ane/surface/surface.h"

namespace ane::device {

/// An input or output of a kernel. Its surface holds the tensor in the layout of mil::surface_layout.
struct Port {
  std::string name;
  mil::TensorType type;
  std::size_t size_bytes = 0;  ///< minimum size of its surface
};

/// A compiled program with its weights baked in. May be used by one thread at a time, or by several if the device
/// shares the CPU. Two kernels of a device may be used by two threads.
class Kernel {
 public:
  virtual ~Kernel() = default;
  /// In the order of the program's text.
  [[nodiscard]] virtual std::span<const Port> inputs() const = 0;
  [[nodiscard]] virtual std::span<const Port> outputs() const = 0;
  /// Runs to completion. Inputs and outputs are in the order above, none is locked, and outputs are distinct from
  /// inputs. Every output is written completely. Throws DeviceError if a surface is missing or too small, or if the
  /// device fails; outputs are then undefined.
  virtual void run(std::span<surface::Surface* const> inputs, std::span<surface::Surface* const> outputs) = 0;
};

/// A compilation that a device refused, with the details for a bug report.
class CompileError : public DeviceError {
 public:
  using DeviceError::DeviceError;
};

/// Thrown by a compile that does not go on because the run has been asked to stop. It is no Error: nothing has failed.
class CompileStopped : public std::exception {
 public:
  [[nodiscard]] const char* what() const noexcept override { return "a compile was stopped"; }
};

/// Compiles and runs MIL. Deliberately small; every device passes the same tests. One thread may compile while others
/// run, compile or destroy kernels; the device does the necessary locking.
class Device {
 public:
  virtual ~Device() = default;
  [[nodiscard]] virtual std::string_view name() const = 0;
  /// One-line description: chip or CPU, BLAS, threads.
  [[nodiscard]] virtual std::string description() const = 0;
  /// The device's rules that `program` breaks, each with its remedy; empty if none. Never throws.
  [[nodiscard]] virtual std::vector<mil::Diagnostic> check(const mil::Program& program) const = 0;
  /// Accepts what Apple's compiler accepts. `label` names the kernel ("attn_fwd") for messages and files. Later changes
  /// to `weights` do not affect the kernel, which must not outlive the device. Throws CompileError, ParseError with the
  /// position in the text, or CompileStopped.
  [[nodiscard]] virtual std::unique_ptr<Kernel> compile(std::string_view label, std::string_view mil_text,
                                                        const mil::Blobs& weights) = 0;
  /// Frees what the device keeps of destroyed kernels for compiling the same programs again.
  virtual void release_spare_memory() noexcept {}
  /// The allocator of this device's surfaces.
  [[nodiscard]] virtual surface::Allocator& surface_allocator() = 0;
  /// Whether kernels run on the cores that the rest of the step needs, so that overlapping the two gains nothing.
  [[nodiscard]] virtual bool shares_cpu() const noexcept = 0;
  /// Whether compiles take long and a process can make only a limited number of them (CompileBudget).
  [[nodiscard]] virtual bool limits_compiles() const noexcept { return false; }
  /// Number of processes that compile at the same time in place of this one, whose limit then does not matter; 0: this
  /// process compiles. With workers, several threads may call compile(); one more than there are keeps them busy.
  [[nodiscard]] virtual int compile_workers() const noexcept { return 0; }
  /// Number of kernels that workers have compiled so far.
  [[nodiscard]] virtual std::int64_t compiled_by_workers() const noexcept { return 0; }
  /// Limits of a device that limits compiles, and of its fp16 numbers.
  [[nodiscard]] virtual DeviceLimits limits() const noexcept { return {}; }
  /// Whether functions are approximated, not only rounded (ane.md N6).
  [[nodiscard]] virtual bool approximates() const noexcept { return false; }
  /// Peak fp16 rate in TFLOP/s, to which utilization is relative; nullopt if kernels run on the CPU.
  [[nodiscard]] virtual std::optional<double> peak_tflops() const noexcept { return std::nullopt; }
  /// One-line description of failures so far that could not be thrown; empty if there were none.
  [[nodiscard]] virtual std::string warning() const { return {}; }
};

}  // namespace ane::device
