#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <cstring>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "ane/distributed/communicator.h"
#include "ane/distributed/messages.h"
#include "ane/distributed/transfers.h"

/// Ranks as threads of one process, for tests.
namespace ane::test {

/// Where threads leave messages for each other.
class Mailboxes {
 public:
  void put(int from, int to, std::vector<std::byte> message) {
    const std::scoped_lock lock(mutex_);
    boxes_[{from, to}].push_back(std::move(message));
    arrived_.notify_all();
  }
  /// nullopt if none arrives in time.
  std::optional<std::vector<std::byte>> take(int from, int to, std::chrono::milliseconds timeout) {
    std::unique_lock lock(mutex_);
    std::deque<std::vector<std::byte>>& box = boxes_[{from, to}];
    if (!arrived_.wait_for(lock, timeout, [&] { return !box.empty(); })) return std::nullopt;
    std::vector<std::byte> message = std::move(box.front());
    box.pop_front();
    return message;
  }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::map<std::pair<int, int>, std::deque<std::vector<std::byte>>> boxes_;
};

class ThreadMessages : public distributed::Messages {
 public:
  ThreadMessages(Mailboxes& mailboxes, int rank, int size) : mailboxes_(mailboxes), rank_(rank), size_(size) {}
  [[nodiscard]] int rank() const noexcept override { return rank_; }
  [[nodiscard]] int size() const noexcept override { return size_; }
  std::optional<int> transfer(std::span<const distributed::Message> sent,
                              std::span<const distributed::Message> received, const Meanwhile& meanwhile) override {
    for (const distributed::Message& message : sent)
      mailboxes_.put(rank_, message.peer, {message.bytes.begin(), message.bytes.end()});
    for (const distributed::Message& message : received) {
      const auto arrived = mailboxes_.take(message.peer, rank_, timeout());
      if (!arrived) return message.peer;
      if (arrived->size() != message.bytes.size()) throw std::logic_error("a message of another size was expected");
      if (!arrived->empty()) std::memcpy(message.bytes.data(), arrived->data(), arrived->size());
      meanwhile();
    }
    return std::nullopt;
  }

 private:
  Mailboxes& mailboxes_;
  int rank_;
  int size_;
};

/// What the rank process does for a trainer, in the same thread: sums are made when they are begun.
class ThreadCommunicator : public distributed::Communicator {
 public:
  ThreadCommunicator(Mailboxes& mailboxes, int rank, int size)
      : messages_(mailboxes, rank, size), transfers_(messages_, lost, [] {}) {}
  [[nodiscard]] int rank() const noexcept override { return messages_.rank(); }
  [[nodiscard]] int size() const noexcept override { return messages_.size(); }
  void share(std::span<std::byte> /*memory*/, int /*descriptor*/) override {}
  void start_sum(std::span<float> values, distributed::Bounds bounds) override {
    sent_bytes_ += transfers_.sum(values, bounds);
  }
  void wait() override {}
  void gather(std::span<float> values, distributed::Bounds bounds) override {
    sent_bytes_ += transfers_.gather(values, bounds);
  }
  [[nodiscard]] std::vector<std::string> exchange(std::string_view purpose, std::string_view message) override {
    const std::vector<std::string> purposes = transfers_.exchange(purpose);
    for (const std::string& each : purposes)
      if (each != purpose) throw std::logic_error("ranks are at different points: " + each);
    return transfers_.exchange(message);
  }
  [[nodiscard]] std::size_t sent_bytes() const noexcept override { return sent_bytes_; }
  void finish() override { static_cast<void>(exchange("the end", "")); }

 private:
  [[noreturn]] static void lost(int rank) { throw std::runtime_error("rank " + std::to_string(rank) + " is lost"); }

  ThreadMessages messages_;
  distributed::Transfers transfers_;
  std::size_t sent_bytes_ = 0;
};

/// Runs body(communicator) on a thread for each rank, and rethrows the first exception.
inline void on_ranks(int size, const std::function<void(ThreadCommunicator&)>& body) {
  Mailboxes mailboxes;
  std::vector<std::exception_ptr> errors(static_cast<std::size_t>(size));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank)
    threads.emplace_back([&, rank] {
      try {
        ThreadCommunicator communicator(mailboxes, rank, size);
        body(communicator);
      } catch (...) {
        errors[static_cast<std::size_t>(rank)] = std::current_exception();
      }
    });
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& error : errors)
    if (error) std::rethrow_exception(error);
}

}  // namespace ane::test
