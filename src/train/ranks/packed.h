#pragma once

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>

/// Values in a message between ranks, which are the same program on equal machines.
namespace ane::train {

template <class Value>
[[nodiscard]] std::string packed(const Value& value) {
  static_assert(std::is_trivially_copyable_v<Value>);
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}

/// Removes a value from the front of `message`.
template <class Value>
[[nodiscard]] Value unpacked(std::string_view& message) {
  static_assert(std::is_trivially_copyable_v<Value>);
  Value value{};
  std::memcpy(&value, message.data(), std::min(sizeof(value), message.size()));
  message.remove_prefix(std::min(sizeof(value), message.size()));
  return value;
}

}  // namespace ane::train
