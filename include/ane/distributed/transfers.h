#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ane/distributed/communicator.h"
#include "ane/distributed/messages.h"
#include "ane/math/threads.h"

namespace ane::distributed {

/// What the ranks do with each other's arrays and messages, from sends and receives alone, so that sums are made in the
/// same order with any MPI library.
class Transfers {
 public:
  /// How much of a rank's slice is sent at once. Limits the memory for a sum, and MPI counts bytes in an int.
  static constexpr std::size_t kPieceBytes = std::size_t{1} << 20U;

  /// `lost` is called with a rank that has not answered in time, and must not return. `meanwhile`: see Messages.
  Transfers(Messages& messages, std::function<void(int)> lost, Messages::Meanwhile meanwhile);

  /// See Communicator. Both return the number of bytes sent.
  std::size_t sum(std::span<float> values, Bounds bounds);
  std::size_t gather(std::span<float> values, Bounds bounds);
  /// The messages of all ranks.
  [[nodiscard]] std::vector<std::string> exchange(std::string_view message);

 private:
  [[nodiscard]] std::size_t own() const noexcept { return static_cast<std::size_t>(messages_.rank()); }
  [[nodiscard]] std::size_t ranks() const noexcept { return static_cast<std::size_t>(messages_.size()); }
  template <class Sent, class Received>
  std::size_t with_peers(const Sent& sent, const Received& received);
  void add_in_order(std::span<float> mine);

  Messages& messages_;
  std::function<void(int)> lost_;
  Messages::Meanwhile meanwhile_;
  math::ThreadPool one_thread_{1};
  std::vector<Message> sent_, received_;
  std::vector<float> pieces_;  ///< of the other ranks, for a sum
};

}  // namespace ane::distributed
