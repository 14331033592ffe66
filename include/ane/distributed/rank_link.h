#pragma once

#include <chrono>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "ane/core/descriptor.h"
#include "ane/distributed/communicator.h"

namespace ane::distributed {

/// The communicator of a trainer, whose rank process is connected by a socket (rank_process.h). It survives exec with
/// the socket's descriptor. If the rank process ends, so does this process, at once: the run cannot continue, and
/// nothing must be left behind.
class RankLink : public Communicator {
 public:
  /// `socket`: what fork_trainer() returned, perhaps in an earlier process.
  explicit RankLink(Descriptor socket);
  ~RankLink() override;
  RankLink(const RankLink&) = delete;
  RankLink& operator=(const RankLink&) = delete;

  /// For the next process; still owned by this object.
  [[nodiscard]] int descriptor() const noexcept { return socket_.get(); }

  /// How long the ranks wait for each other; takes effect with share().
  void set_timeout(std::chrono::milliseconds timeout) noexcept { timeout_ = timeout; }

  [[nodiscard]] int rank() const noexcept override { return rank_; }
  [[nodiscard]] int size() const noexcept override { return size_; }
  void share(std::span<std::byte> memory, int descriptor) override;
  void start_sum(std::span<float> values, Bounds bounds) override;
  void wait() override;
  void gather(std::span<float> values, Bounds bounds) override;
  [[nodiscard]] std::vector<std::string> exchange(std::string_view purpose, std::string_view message) override;
  [[nodiscard]] std::size_t sent_bytes() const noexcept override { return sent_bytes_; }
  void finish() override;

 private:
  Descriptor socket_;
  std::chrono::milliseconds timeout_{std::chrono::minutes(5)};
  int rank_ = 0;
  int size_ = 1;
  std::span<std::byte> memory_;
  std::size_t open_sums_ = 0;  ///< begun, and not yet answered
  std::size_t sent_bytes_ = 0;
  Descriptor end_of_watch_;  ///< closed to end the thread
  std::thread watcher_;
};

}  // namespace ane::distributed
