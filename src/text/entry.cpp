#include "entry.h"

#include <fmt/format.h>

#include "utf8.h"

namespace ane::text {

std::optional<Entry> Entry::find(std::string_view key) const {
  if (!value_->is_object()) refuse("is not an object");
  const auto found = value_->find(key);
  if (found == value_->end() || found->is_null()) return std::nullopt;
  return Entry(*found, file_, name_.empty() ? std::string(key) : fmt::format("{}.{}", name_, key));
}

Entry Entry::at(std::string_view key) const {
  const std::optional<Entry> found = find(key);
  if (!found) refuse(fmt::format("has no '{}'", key));
  return *found;
}

std::vector<Entry> Entry::elements() const {
  if (!value_->is_array()) refuse("is not an array");
  std::vector<Entry> entries;
  for (const Json& element : *value_)
    entries.push_back(Entry(element, file_, fmt::format("{}[{}]", name_, entries.size())));
  return entries;
}

const std::string& Entry::string() const {
  if (!value_->is_string()) refuse("is not a string");
  return value_->get_ref<const std::string&>();
}

bool Entry::boolean() const {
  if (!value_->is_boolean()) refuse("is neither true nor false");
  return value_->get<bool>();
}

bool Entry::boolean(std::string_view key, bool otherwise) const {
  const std::optional<Entry> found = find(key);
  return found ? found->boolean() : otherwise;
}

std::uint64_t Entry::number(std::uint64_t most) const {
  if (!value_->is_number_unsigned() || value_->get<std::uint64_t>() > most)
    refuse(fmt::format("is not a whole number from 0 to {}", most));
  return value_->get<std::uint64_t>();
}

const std::string& Entry::character() const {
  const std::string& text = string();
  if (text.empty() || char_bytes(text.front()) != text.size()) refuse("is not a single character");
  return text;
}

void Entry::refuse(std::string_view what) const {
  throw FileError(name_.empty() ? fmt::format("{}: {}", file_, what) : fmt::format("{}: '{}': {}", file_, name_, what));
}

void Entry::refuse_value(std::string_view supported) const {
  // Not dump() of a structure, whose recursion would be as deep as its nesting.
  const std::string shown =
      value_->is_structured() ? value_->type_name() : value_->dump(-1, ' ', false, Json::error_handler_t::replace);
  refuse(fmt::format("{} is not supported; the supported values are {}", shown, supported));
}

std::vector<Entry> Entry::flatten(std::string_view key) const {
  std::vector<Entry> entries;
  flatten(key, 0, entries);
  return entries;
}

void Entry::flatten(std::string_view key, int depth, std::vector<Entry>& entries) const {
  constexpr int kDeepest = 16;
  constexpr std::size_t kMost = 256;
  if (type() != "Sequence") {
    if (entries.size() == kMost) refuse(fmt::format("is one of more than {} steps", kMost));
    entries.push_back(*this);
    return;
  }
  if (depth == kDeepest) refuse("is nested too deeply");
  for (const Entry& entry : at(key).elements()) entry.flatten(key, depth + 1, entries);
}

}  // namespace ane::text
