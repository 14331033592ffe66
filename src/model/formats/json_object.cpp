#include "formats/json_object.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>

#include <fmt/format.h>

#include "ane/core/error.h"
#include "ane/core/json_fault.h"
#include "ane/core/memory_reserve.h"

namespace ane::model {

namespace {
constexpr int kDeepest = 32;  // copying and printing JSON recurse as deep as it is nested; four levels are usual
}

JsonObject::JsonObject(Json json, std::string place) : place_(std::move(place)), json_(std::move(json)) {}

JsonObject JsonObject::parse(std::string_view text, const std::string& place) {
  ensure_memory_reserve();  // for JSON's destructors
  bool too_deep = false;
  const auto guard = [&](int depth, Json::parse_event_t /*event*/, Json& /*parsed*/) {
    too_deep = too_deep || depth > kDeepest;
    return depth <= kDeepest;
  };
  Json json;
  try {
    json = Json::parse(text, guard);
  } catch (const Json::exception& error) {
    if (!too_deep)
      throw FileError(
          fmt::format("{}: expected a JSON object, but it is not valid JSON: {}", place, json_fault(error.what())));
  }
  if (too_deep) throw FileError(fmt::format("{}: its JSON is nested more than {} deep", place, kDeepest));
  if (!json.is_object()) throw FileError(fmt::format("{}: expected a JSON object", place));
  return {std::move(json), place};
}

const JsonObject::Json& JsonObject::at(const char* key) const {
  if (!has(key)) throw FileError(fmt::format("{}: '{}' is missing", place_, key));
  return json_.at(key);
}

std::size_t JsonObject::size(const char* key) const {
  constexpr std::uint64_t kMost = std::uint64_t{1} << 31U;
  const Json& value = at(key);
  if (!value.is_number_unsigned() || value.get<std::uint64_t>() > kMost) refuse(key, "a whole number");
  return value.get<std::size_t>();
}

std::int64_t JsonObject::integer(const char* key) const {
  const Json& value = at(key);
  const bool fits =
      value.is_number_integer() && (!value.is_number_unsigned() || value.get<std::uint64_t>() <= INT64_MAX);
  if (!fits) refuse(key, "a whole number");
  return value.get<std::int64_t>();
}

double JsonObject::number(const char* key) const {
  const Json& value = at(key);
  if (!value.is_number() || !std::isfinite(value.get<double>())) refuse(key, "a finite number");
  return value.get<double>();
}

bool JsonObject::flag(const char* key) const {
  const Json& value = at(key);
  if (!value.is_boolean()) refuse(key, "true or false");
  return value.get<bool>();
}

std::string JsonObject::text(const char* key) const {
  const Json& value = at(key);
  if (!value.is_string()) refuse(key, "a string");
  return value.get<std::string>();
}

std::vector<std::string> JsonObject::texts(const char* key) const {
  const Json& value = at(key);
  if (!value.is_array() || !std::ranges::all_of(value, [](const Json& each) { return each.is_string(); }))
    refuse(key, "a list of strings");
  return value.get<std::vector<std::string>>();
}

JsonObject JsonObject::object(const char* key) const {
  if (!at(key).is_object()) refuse(key, "an object");
  return {at(key), place_};
}

void JsonObject::expect(const char* key, const Json& supported) const {
  if (has(key) && at(key) != supported) refuse(key, supported.dump());
}

void JsonObject::refuse(const char* key, std::string_view supported) const {
  const Json& found = json_.at(key);
  // Not dump(), whose recursion would be as deep as the nesting of the value.
  const std::string shown = found.is_structured() ? fmt::format("an {}", found.type_name())
                                                  : found.dump(-1, ' ', false, Json::error_handler_t::replace);
  throw FileError(fmt::format("{}: '{}' is {}, but the supported value is {}", place_, key, shown, supported));
}

}  // namespace ane::model
