#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "ane/core/error.h"

namespace ane::text {

/// A value of a JSON file that knows its place in it, for messages. Refers to the file's JSON. Every function throws
/// FileError, which names the file and the entry.
class Entry {
 public:
  using Json = nlohmann::json;

  Entry(const Json& value, std::string file) : value_(&value), file_(std::move(file)) {}

  [[nodiscard]] const Json& json() const noexcept { return *value_; }
  [[nodiscard]] bool is_null() const noexcept { return value_->is_null(); }

  /// The member `key` of an object; nullopt if it is missing or null.
  [[nodiscard]] std::optional<Entry> find(std::string_view key) const;
  /// The same; throws if it is missing or null.
  [[nodiscard]] Entry at(std::string_view key) const;
  [[nodiscard]] std::vector<Entry> elements() const;

  [[nodiscard]] const std::string& string() const;
  /// The value of "type".
  [[nodiscard]] const std::string& type() const { return at("type").string(); }
  [[nodiscard]] bool boolean() const;
  [[nodiscard]] bool boolean(std::string_view key, bool otherwise) const;
  /// A whole number up to `most`.
  [[nodiscard]] std::uint64_t number(std::uint64_t most) const;
  /// A string of one character.
  [[nodiscard]] const std::string& character() const;

  /// "FILE: 'model.vocab' WHAT".
  [[noreturn]] void refuse(std::string_view what) const;
  /// "... is VALUE, but the supported values are SUPPORTED".
  [[noreturn]] void refuse_value(std::string_view supported) const;
  /// Calls `read`; a FileError of it gets the file and the entry in front.
  template <class Read>
  auto named(Read&& read) const try {
    return read();
  } catch (const FileError& error) {
    refuse(error.what());
  }

  /// The elements of `key` if this is a Sequence, those of its Sequences in their place; otherwise only this entry.
  [[nodiscard]] std::vector<Entry> flatten(std::string_view key) const;

 private:
  Entry(const Json& value, std::string file, std::string name)
      : value_(&value), file_(std::move(file)), name_(std::move(name)) {}
  void flatten(std::string_view key, int depth, std::vector<Entry>& entries) const;

  const Json* value_;
  std::string file_;
  std::string name_;  ///< "model.vocab"; empty for the whole file
};

}  // namespace ane::text
