#include "foundation.h"

#include <string>

#include <fmt/format.h>

namespace ane::device::apple {

using objc::Id;

namespace {

/// Foundation describes an error as `Error Domain=X Code=8 "text" UserInfo={...}`; older versions of GNUstep return the
/// text alone. Removes the domain and the code, and the quotation marks if nothing follows.
std::string without_repetition(const std::string& description, const std::string& domain, long code) {
  const std::string repeated = fmt::format("Error Domain={} Code={} ", domain, code);
  if (!description.starts_with(repeated)) return description;
  const std::string rest = description.substr(repeated.size());
  const bool is_quoted = rest.size() > 1 && rest.front() == '"' && rest.find('"', 1) == rest.size() - 1;
  return is_quoted ? rest.substr(1, rest.size() - 2) : rest;
}

}  // namespace

Foundation::Foundation(Lookup& lookup, const objc::Runtime& runtime, const objc::Library& library) {
  lookup.function(temporary_directory_, library, "NSTemporaryDirectory");
  const auto type = [&](const char* name) { return lookup.type(runtime, library, name); };
  const Id object_type = type("NSObject");
  const Id error_type = type("NSError");
  string_type_ = type("NSString");
  number_type_ = type("NSNumber");
  data_type_ = type("NSData");
  array_type_ = type("NSArray");
  dictionary_type_ = type("NSDictionary");

  lookup.class_method(make_string_, runtime, string_type_, "stringWithUTF8String:");
  lookup.method(utf8_, runtime, string_type_, "UTF8String");
  lookup.class_method(make_number_, runtime, number_type_, "numberWithUnsignedLongLong:");
  lookup.method(integer_value_, runtime, number_type_, "unsignedLongLongValue");
  lookup.class_method(make_data_, runtime, data_type_, "dataWithBytes:length:");
  lookup.class_method(make_array_, runtime, array_type_, "arrayWithObjects:count:");
  lookup.method(count_, runtime, array_type_, "count");
  lookup.method(item_, runtime, array_type_, "objectAtIndex:");
  lookup.class_method(make_dictionary_, runtime, dictionary_type_, "dictionaryWithObjects:forKeys:count:");
  lookup.method(value_, runtime, dictionary_type_, "objectForKey:");
  lookup.method(is_kind_of_, runtime, object_type, "isKindOfClass:");
  lookup.method(description_, runtime, object_type, "description");
  lookup.method(domain_, runtime, error_type, "domain");
  lookup.method(code_, runtime, error_type, "code");
}

Id Foundation::string(const std::string& text) const { return make_string_(string_type_, text.c_str()); }

Id Foundation::number(std::uint64_t value) const { return make_number_(number_type_, value); }

Id Foundation::data(std::span<const std::byte> bytes) const {
  return make_data_(data_type_, bytes.data(), bytes.size());
}

Id Foundation::array(std::span<const Id> items) const { return make_array_(array_type_, items.data(), items.size()); }

Id Foundation::dictionary(std::span<const std::pair<Id, Id>> entries) const {
  std::vector<Id> keys;
  std::vector<Id> values;
  for (const auto& [key, value] : entries) {
    keys.push_back(key);
    values.push_back(value);
  }
  return make_dictionary_(dictionary_type_, values.data(), keys.data(), entries.size());
}

bool Foundation::is_a(Id object, Id type) const { return object != nullptr && is_kind_of_(object, type) != 0; }

std::optional<std::string> Foundation::text(Id object) const {
  if (!is_a(object, string_type_)) return std::nullopt;
  const char* const utf8 = utf8_(object);
  if (utf8 == nullptr) return std::nullopt;
  return utf8;
}

std::optional<std::uint64_t> Foundation::integer(Id object) const {
  if (!is_a(object, number_type_)) return std::nullopt;
  return integer_value_(object);
}

std::optional<std::vector<Id>> Foundation::items(Id object) const {
  if (!is_a(object, array_type_)) return std::nullopt;
  std::vector<Id> items(count_(object));
  for (std::size_t i = 0; i < items.size(); ++i) items[i] = item_(object, i);
  return items;
}

Id Foundation::find(Id dictionary, const std::string& key) const {
  return is_a(dictionary, dictionary_type_) ? value_(dictionary, string(key)) : nullptr;
}

std::string Foundation::describe(Id error) const {
  if (error == nullptr) return "no NSError was given";
  const std::string domain = text(domain_(error)).value_or("none");
  const auto code = code_(error);
  const std::string description = text(description_(error)).value_or("no description");
  return fmt::format("{} (domain {}, code {})", without_repetition(description, domain, code), domain, code);
}

std::string Foundation::temporary_directory() const {
  const std::optional<std::string> path = text(temporary_directory_());
  if (!path || path->empty()) throw DeviceError("NSTemporaryDirectory() names no directory; check TMPDIR");
  return *path;
}

}  // namespace ane::device::apple
