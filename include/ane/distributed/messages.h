#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

namespace ane::distributed {

/// Bytes to or from another rank, which must stay in place until the transfer is complete.
struct Message {
  int peer = 0;
  std::span<std::byte> bytes;
};

/// Messages between ranks. Those from one rank to another arrive in the order in which they were sent.
class Messages {
 public:
  /// Called about every millisecond during a transfer.
  using Meanwhile = std::function<void()>;

  virtual ~Messages() = default;

  [[nodiscard]] virtual int rank() const noexcept = 0;
  [[nodiscard]] virtual int size() const noexcept = 0;
  /// Sends and receives all of these at once, and waits for them. Returns a rank that has not answered within the
  /// timeout, if there is one.
  [[nodiscard]] virtual std::optional<int> transfer(std::span<const Message> sent, std::span<const Message> received,
                                                    const Meanwhile& meanwhile) = 0;

  void set_timeout(std::chrono::milliseconds timeout) noexcept { timeout_ = timeout; }

 protected:
  [[nodiscard]] std::chrono::milliseconds timeout() const noexcept { return timeout_; }

 private:
  std::chrono::milliseconds timeout_{std::chrono::minutes(5)};
};

}  // namespace ane::distributed
