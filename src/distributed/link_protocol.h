#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "ane/core/descriptor.h"

/// What a trainer and its rank process write to the socket between them. Both are the same program on the same machine,
/// so numbers have the machine's representation. Each request is answered in order by one reply.
namespace ane::distributed {

enum class Operation : std::uint32_t {
  identify,  ///< reply: RankIdentity
  share,     ///< comes with the descriptor of the memory; `offset` is the timeout in milliseconds
  sum,       ///< array from `offset`; body: bounds. Reply: bytes sent
  gather,    ///< the same
  exchange,  ///< body: purpose, then message, each preceded by its length. Reply: each rank's message in the same form
  finish
};

struct Header {
  Operation operation = Operation::identify;
  std::uint32_t reserved = 0;
  std::uint64_t offset = 0;
  std::uint64_t body_bytes = 0;
};

struct RankIdentity {
  std::int32_t rank = 0;
  std::int32_t size = 1;
};

/// Throws DeviceError if the other process is gone.
void send_all(int socket, std::span<const std::byte> bytes);
/// The same, with a descriptor attached to the first byte.
void send_all(int socket, std::span<const std::byte> bytes, int descriptor);
void receive_all(int socket, std::span<std::byte> bytes);
/// Receives the bytes, and a descriptor if one is attached to the first of them.
Descriptor receive_with_descriptor(int socket, std::span<std::byte> bytes);

template <class Value>
std::span<const std::byte> bytes_of(const Value& value) {
  return std::as_bytes(std::span(&value, 1));
}

/// Appends the length of `text` and `text`.
void append_text(std::string& body, std::string_view text);
/// Removes from the front what append_text() appended. Throws DeviceError if it is not there.
std::string_view take_text(std::string_view& body);

}  // namespace ane::distributed
