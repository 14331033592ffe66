#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ane/core/error.h"
#include "ane/mil/ane_rules.h"
#include "ane/mil/blob.h"
#include "ane/mil/program.h"
#include "ane/surface/surface.h"

namespace ane::device {

/// An input or output of a kernel. Its surface holds the tensor as mil::surface_layout says.
struct Port {
  std::string name;
  mil::TensorType type;
  std::size_t size_bytes = 0;  ///< the least that its surface must hold
};

/// A program that a device has compiled, with its weights baked in. Used by one thread at a time, unless the device
/// shares the CPU: then several may run it. Two kernels of a device may be used by two threads.
class Kernel {
 public:
  virtual ~Kernel() = default;
  /// In the order that the program's text writes them.
  [[nodiscard]] virtual std::span<const Port> inputs() const = 0;
  [[nodiscard]] virtual std::span<const Port> outputs() const = 0;
  /// Runs to completion: inputs and outputs as above, none locked, outputs distinct from inputs. All of every output is
  /// written. Throws DeviceError if a surface is missing or too small, or if the device fails; outputs are then
  /// undefined.
  virtual void run(std::span<surface::Surface* const> inputs, std::span<surface::Surface* const> outputs) = 0;
};

/// Compilation that a device refused; keeps what a bug report needs.
class CompileError : public DeviceError {
 public:
  using DeviceError::DeviceError;
};

/// What compiles MIL and runs it. Small enough to know by heart; every device passes the same tests. One thread may
/// compile while others run, compile or destroy kernels; who must wait for whom is the device's business.
class Device {
 public:
  virtual ~Device() = default;
  [[nodiscard]] virtual std::string_view name() const = 0;
  /// One line for people: chip or CPU, BLAS, threads.
  [[nodiscard]] virtual std::string description() const = 0;
  /// The rules that `program` breaks here, each with its remedy; empty if none. Asking is normal: never throws.
  [[nodiscard]] virtual std::vector<mil::Diagnostic> check(const mil::Program& program) const = 0;
  /// Takes what Apple's compiler takes. Later changes to `weights` do not reach the kernel, which must not outlive the
  /// device. Throws CompileError, or ParseError with the place in the text.
  [[nodiscard]] virtual std::unique_ptr<Kernel> compile(std::string_view mil_text, const mil::Blobs& weights) = 0;
  /// Where surfaces for this device come from.
  [[nodiscard]] virtual surface::Allocator& surface_allocator() = 0;
  /// Whether kernels run on the cores that the rest of the step needs, so that overlapping the two gains nothing.
  [[nodiscard]] virtual bool shares_cpu() const noexcept = 0;
  /// In a line for people, what went wrong so far where no exception could say it; empty if nothing did.
  [[nodiscard]] virtual std::string warning() const { return {}; }
};

}  // namespace ane::device
