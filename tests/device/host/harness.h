#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "ane/device/host/host_device.h"
#include "ane/math/threads.h"
#include "ane/mil/builder.h"

#include "reference.h"

/// Runs programs on the host device and in the reference interpreter.
namespace ane::device::host {

inline constexpr std::array kFloats = {mil::DType::fp16, mil::DType::fp32};
inline constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// Values of `type`: standard normal for floats, small integers otherwise.
[[nodiscard]] reference::Tensor random_tensor(const mil::TensorType& type, std::mt19937& random, double scale = 1);

/// Results of the host device; the surfaces have the minimum size and are filled with NaN beforehand.
[[nodiscard]] std::vector<reference::Tensor> run(HostDevice& device, const mil::Program& program,
                                                 const mil::Blobs& blobs, const std::vector<reference::Tensor>& inputs);

/// Runs `program` with random inputs on devices of one and two threads, and checks each output against the reference:
/// no element differs by more than `tolerance` times the largest magnitude in the output.
void check_against_reference(const mil::Program& program, std::uint32_t seed, double tolerance,
                             const mil::Blobs& blobs = {}, double scale = 1);

/// For one operation: fp32 results differ by the order of summation and a few units in the last place of elementary
/// functions; fp16 results in addition by one unit if the unrounded ones are on opposite sides of a tie.
[[nodiscard]] double tolerance_of(mil::DType dtype);

/// One blob file with `tensor`.
[[nodiscard]] std::vector<std::byte> blob_file(const reference::Tensor& tensor);

/// For Builder::operation.
[[nodiscard]] mil::Argument arg(std::string_view name, mil::Var value);
[[nodiscard]] mil::Argument arg(std::string_view name, const std::vector<mil::Var>& values);

}  // namespace ane::device::host
