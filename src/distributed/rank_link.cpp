#include "ane/distributed/rank_link.h"

#include <array>
#include <cassert>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include "ane/core/error.h"

#include "link_protocol.h"

namespace ane::distributed {

namespace {

/// The rank process has ended, and someone has said why.
[[noreturn]] void end_too() {
  ::kill(-::getpid(), SIGKILL);  // with its children: a trainer leads its own process group
  ::kill(::getpid(), SIGKILL);
  std::abort();  // not reached
}

void request(int socket, const Header& header, std::span<const std::byte> body = {}) try {
  send_all(socket, bytes_of(header));
  send_all(socket, body);
} catch (const DeviceError&) {
  end_too();
}

void receive(int socket, std::span<std::byte> bytes) try { receive_all(socket, bytes); } catch (const DeviceError&) {
  end_too();
}

/// The body of the next reply.
std::string reply_to(int socket, Operation operation) {
  Header header;
  receive(socket, std::as_writable_bytes(std::span(&header, 1)));
  if (header.operation != operation) throw DeviceError("the rank process answered another request");
  std::string body(header.body_bytes, '\0');
  receive(socket, std::as_writable_bytes(std::span(body)));
  return body;
}

std::uint64_t number_in(const std::string& body) {
  std::uint64_t number = 0;
  if (body.size() != sizeof(number)) throw DeviceError("the rank process answered another request");
  body.copy(reinterpret_cast<char*>(&number), sizeof(number));
  return number;
}

std::size_t offset_of(std::span<const float> values, std::span<const std::byte> memory) {
  const auto bytes = std::as_bytes(values);
  assert(bytes.data() >= memory.data() && bytes.data() + bytes.size() <= memory.data() + memory.size());
  return static_cast<std::size_t>(bytes.data() - memory.data());
}

}  // namespace

RankLink::RankLink(Descriptor socket) : socket_(std::move(socket)) {
  ::fcntl(socket_.get(), F_SETFD, FD_CLOEXEC);
  request(socket_.get(), {.operation = Operation::identify});
  const std::string body = reply_to(socket_.get(), Operation::identify);
  RankIdentity identity;
  if (body.size() != sizeof(identity)) throw DeviceError("the rank process answered another request");
  body.copy(reinterpret_cast<char*>(&identity), sizeof(identity));
  rank_ = identity.rank;
  size_ = identity.size;

  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) throw DeviceError(fmt::format("a pipe cannot be opened: {}", system_message(errno)));
  Descriptor watched(ends[0]);
  end_of_watch_ = Descriptor(ends[1]);
  for (const int end : ends) ::fcntl(end, F_SETFD, FD_CLOEXEC);
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);  // the thread must never receive a signal that stops the run
  watcher_ = std::thread([this, end = std::move(watched)] {
    std::array<pollfd, 2> events{pollfd{.fd = socket_.get(), .events = 0, .revents = 0},
                                 pollfd{.fd = end.get(), .events = 0, .revents = 0}};
    while (::poll(events.data(), events.size(), -1) < 0 && errno == EINTR) continue;
    if (events[1].revents == 0) end_too();
  });
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

RankLink::~RankLink() {
  end_of_watch_ = Descriptor();
  watcher_.join();
}

void RankLink::share(std::span<std::byte> memory, int descriptor) {
  memory_ = memory;
  const Header header{.operation = Operation::share, .offset = static_cast<std::uint64_t>(timeout_.count())};
  send_all(socket_.get(), bytes_of(header), descriptor);
  static_cast<void>(reply_to(socket_.get(), Operation::share));
}

void RankLink::start_sum(std::span<float> values, Bounds bounds) {
  request(socket_.get(),
          {.operation = Operation::sum, .offset = offset_of(values, memory_), .body_bytes = bounds.size_bytes()},
          std::as_bytes(bounds));
  ++open_sums_;
}

void RankLink::wait() {
  for (; open_sums_ > 0; --open_sums_) sent_bytes_ += number_in(reply_to(socket_.get(), Operation::sum));
}

void RankLink::gather(std::span<float> values, Bounds bounds) {
  wait();
  request(socket_.get(),
          {.operation = Operation::gather, .offset = offset_of(values, memory_), .body_bytes = bounds.size_bytes()},
          std::as_bytes(bounds));
  sent_bytes_ += number_in(reply_to(socket_.get(), Operation::gather));
}

std::vector<std::string> RankLink::exchange(std::string_view purpose, std::string_view message) {
  wait();
  std::string body;
  append_text(body, purpose);
  append_text(body, message);
  request(socket_.get(), {.operation = Operation::exchange, .body_bytes = body.size()}, std::as_bytes(std::span(body)));
  const std::string reply = reply_to(socket_.get(), Operation::exchange);
  std::string_view rest = reply;
  std::vector<std::string> messages;
  messages.reserve(static_cast<std::size_t>(size_));
  for (int rank = 0; rank < size_; ++rank) messages.emplace_back(take_text(rest));
  return messages;
}

void RankLink::finish() {
  wait();
  request(socket_.get(), {.operation = Operation::finish});
  static_cast<void>(reply_to(socket_.get(), Operation::finish));
}

}  // namespace ane::distributed
