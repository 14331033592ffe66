#include "link_protocol.h"

#include <array>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "ane/core/error.h"

namespace ane::distributed {

namespace {

[[noreturn]] void throw_lost(int error) {
  throw DeviceError(fmt::format("the connection between a trainer and its rank process is lost: {}",
                                error == 0 ? "the other process has ended" : system_message(error)));
}

/// The memory of a control message with one descriptor.
struct ControlMessage {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> bytes{};
};

#ifdef MSG_NOSIGNAL
constexpr int kSendFlags = MSG_NOSIGNAL;
#else
constexpr int kSendFlags = 0;  // macOS: SO_NOSIGPIPE is set on the socket
#endif

}  // namespace

void send_all(int socket, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket, bytes.data(), bytes.size(), kSendFlags);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) throw_lost(errno);
    bytes = bytes.subspan(static_cast<std::size_t>(sent));
  }
}

void send_all(int socket, std::span<const std::byte> bytes, int descriptor) {
  ControlMessage control;
  iovec part{.iov_base = const_cast<std::byte*>(bytes.data()), .iov_len = bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes.data();
  message.msg_controllen = control.bytes.size();
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(header), &descriptor, sizeof(int));
  ssize_t sent = -1;
  while ((sent = ::sendmsg(socket, &message, kSendFlags)) < 0)
    if (errno != EINTR) throw_lost(errno);
  send_all(socket, bytes.subspan(static_cast<std::size_t>(sent)));
}

void receive_all(int socket, std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t received = ::recv(socket, bytes.data(), bytes.size(), 0);
    if (received < 0 && errno == EINTR) continue;
    if (received <= 0) throw_lost(received == 0 ? 0 : errno);
    bytes = bytes.subspan(static_cast<std::size_t>(received));
  }
}

Descriptor receive_with_descriptor(int socket, std::span<std::byte> bytes) {
  ControlMessage control;
  iovec part{.iov_base = bytes.data(), .iov_len = bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes.data();
  message.msg_controllen = control.bytes.size();
  ssize_t received = -1;
  while ((received = ::recvmsg(socket, &message, 0)) < 0)
    if (errno != EINTR) throw_lost(errno);
  if (received == 0) throw_lost(0);
  Descriptor descriptor;
  const cmsghdr* const header = CMSG_FIRSTHDR(&message);
  if (header != nullptr && header->cmsg_type == SCM_RIGHTS) {
    int number = -1;
    std::memcpy(&number, CMSG_DATA(header), sizeof(int));
    descriptor = Descriptor(number);
  }
  receive_all(socket, bytes.subspan(static_cast<std::size_t>(received)));
  return descriptor;
}

void append_text(std::string& body, std::string_view text) {
  const std::uint64_t length = text.size();
  body.append(reinterpret_cast<const char*>(&length), sizeof(length));
  body.append(text);
}

std::string_view take_text(std::string_view& body) {
  std::uint64_t length = 0;
  if (body.size() < sizeof(length)) throw DeviceError("a message between two ranks is incomplete");
  std::memcpy(&length, body.data(), sizeof(length));
  body.remove_prefix(sizeof(length));
  if (body.size() < length) throw DeviceError("a message between two ranks is incomplete");
  const std::string_view text = body.substr(0, length);
  body.remove_prefix(length);
  return text;
}

}  // namespace ane::distributed
