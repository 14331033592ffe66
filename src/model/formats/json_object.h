#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace ane::model {

/// A JSON object in a file, such as config.json. A key whose value is null counts as absent. Errors are FileErrors that
/// name the file, the key and the value.
class JsonObject {
 public:
  using Json = nlohmann::ordered_json;

  /// Parses `text`, which is in the file `place`. Throws unless it is an object that is not nested too deeply.
  [[nodiscard]] static JsonObject parse(std::string_view text, const std::string& place);

  [[nodiscard]] const std::string& place() const noexcept { return place_; }
  [[nodiscard]] const Json& json() const noexcept { return json_; }
  [[nodiscard]] bool has(const char* key) const { return json_.contains(key) && !json_.at(key).is_null(); }
  /// Throws if the key is absent.
  [[nodiscard]] const Json& at(const char* key) const;

  /// A whole number from 0 to 2^31.
  [[nodiscard]] std::size_t size(const char* key) const;
  [[nodiscard]] std::int64_t integer(const char* key) const;
  /// A finite number.
  [[nodiscard]] double number(const char* key) const;
  [[nodiscard]] bool flag(const char* key) const;
  [[nodiscard]] std::string text(const char* key) const;
  [[nodiscard]] std::vector<std::string> texts(const char* key) const;
  [[nodiscard]] JsonObject object(const char* key) const;

  /// Throws unless the key is absent or its value is `supported`.
  void expect(const char* key, const Json& supported) const;
  /// Throws a FileError that says that the value is not `supported`.
  [[noreturn]] void refuse(const char* key, std::string_view supported) const;

 private:
  JsonObject(Json json, std::string place);

  std::string place_;
  Json json_;
};

}  // namespace ane::model
