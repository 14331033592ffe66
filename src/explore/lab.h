#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ane/device/apple/raw_program.h"
#include "ane/explore/experiments.h"
#include "ane/mil/builder.h"

/// What experiments are made of. Rows of all tensors are multiples of 32 elements, so that packed and padded layouts
/// agree (ane.md A1).
namespace ane::explore {

using Memory = std::unique_ptr<surface::Memory>;

[[nodiscard]] inline double in_milliseconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

/// A surface with fp16 `values`.
[[nodiscard]] Memory filled(device::apple::RawEngine& engine, std::span<const float> values);
[[nodiscard]] Memory empty(device::apple::RawEngine& engine, std::size_t elements);
[[nodiscard]] std::vector<float> values_of(surface::Memory& memory);

/// Text of a program with the output `y`.
[[nodiscard]] std::string finished(mil::Builder&& builder, mil::Var y);
/// A name that no other program of the seed and none of another seed has, so that the text is new.
[[nodiscard]] std::string fresh_name(const Lab& lab, std::size_t number = 0);

/// Throws DeviceError if the answer is an error.
void expect(const device::apple::Answer& answer, std::string_view doing);

/// Compiles, loads and runs a program once on `inputs`, in binding order, and returns `outputs` elements.
[[nodiscard]] std::vector<float> result_of(const Lab& lab, const std::string& text,
                                           const std::vector<std::vector<float>>& inputs, std::size_t outputs);

/// One of any number of small programs with constants of their own: y = x * scale + shift for x [1, 64, 1, 64].
class NumberedProgram {
 public:
  NumberedProgram(const Lab& lab, std::size_t number);
  [[nodiscard]] device::apple::RawProgram& program() { return program_; }
  /// Runs the loaded program: the error, or that the result is wrong; empty if all is right.
  [[nodiscard]] std::string check();

 private:
  device::apple::RawEngine* engine_;
  float scale_;
  float shift_;
  device::apple::RawProgram program_;
};

}  // namespace ane::explore
