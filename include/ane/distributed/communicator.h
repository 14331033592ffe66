#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ane::distributed {

/// Bounds of consecutive slices of an array, one for each rank: rank r owns the elements [bounds[r], bounds[r + 1]).
using Bounds = std::span<const std::size_t>;

/// Connects the ranks of a run: processes that train the same model on different sequences. All ranks must call the
/// same functions in the same order. Arrays must lie in the memory that was given to share(). Every function throws
/// DeviceError if the connection is lost.
class Communicator {
 public:
  virtual ~Communicator() = default;

  [[nodiscard]] virtual int rank() const noexcept = 0;
  [[nodiscard]] virtual int size() const noexcept = 0;
  [[nodiscard]] bool is_first() const noexcept { return rank() == 0; }

  /// Names the memory, and its descriptor, in which the arrays of the other functions lie.
  virtual void share(std::span<std::byte> memory, int descriptor) = 0;

  /// Begins to replace the slice of `values` that this rank owns by the sum over all ranks, added in the order of their
  /// ranks; the other slices keep their values. No element may be read or written before the next wait().
  virtual void start_sum(std::span<float> values, Bounds bounds) = 0;
  /// Waits for all sums that were begun.
  virtual void wait() = 0;
  /// Copies each rank's slice of `values` to all ranks.
  virtual void gather(std::span<float> values, Bounds bounds) = 0;
  /// The messages of all ranks, in the order of their ranks. `purpose` names the exchange, and must be the same in all
  /// ranks.
  [[nodiscard]] virtual std::vector<std::string> exchange(std::string_view purpose, std::string_view message) = 0;

  /// Bytes that this rank has sent in sums and gathers of this process.
  [[nodiscard]] virtual std::size_t sent_bytes() const noexcept = 0;
  /// Waits until all ranks have called it: the run has ended in the same way everywhere.
  virtual void finish() = 0;
};

/// The communicator of a run in a single process.
class Alone : public Communicator {
 public:
  [[nodiscard]] int rank() const noexcept override { return 0; }
  [[nodiscard]] int size() const noexcept override { return 1; }
  void share(std::span<std::byte> /*memory*/, int /*descriptor*/) override {}
  void start_sum(std::span<float> /*values*/, Bounds /*bounds*/) override {}
  void wait() override {}
  void gather(std::span<float> /*values*/, Bounds /*bounds*/) override {}
  [[nodiscard]] std::vector<std::string> exchange(std::string_view /*purpose*/, std::string_view message) override {
    return {std::string(message)};
  }
  [[nodiscard]] std::size_t sent_bytes() const noexcept override { return 0; }
  void finish() override {}
};

/// The bytes that a rank sends to sum `elements` gradients and to gather as many parameters among `ranks`:
/// 2 (ranks - 1) / ranks of them, if all slices have the same size.
[[nodiscard]] constexpr double bytes_per_update(std::size_t elements, int ranks) noexcept {
  return 2.0 * sizeof(float) * static_cast<double>(elements) * (ranks - 1) / ranks;
}

}  // namespace ane::distributed
