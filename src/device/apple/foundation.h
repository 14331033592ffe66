#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lookup.h"
#include "objc.h"

namespace ane::device::apple {

/// The few Foundation objects that the bridge uses. All returned objects are autoreleased.
class Foundation {
 public:
  Foundation(Lookup& lookup, const objc::Runtime& runtime, const objc::Library& library);

  [[nodiscard]] objc::Id string(const std::string& text) const;
  [[nodiscard]] objc::Id number(std::uint64_t value) const;
  [[nodiscard]] objc::Id data(std::span<const std::byte> bytes) const;  ///< a copy
  [[nodiscard]] objc::Id array(std::span<const objc::Id> items) const;
  [[nodiscard]] objc::Id dictionary(std::span<const std::pair<objc::Id, objc::Id>> entries) const;

  // Reads objects of a private framework, which may be null or of an unexpected class.
  [[nodiscard]] std::optional<std::string> text(objc::Id object) const;
  [[nodiscard]] std::optional<std::uint64_t> integer(objc::Id object) const;
  [[nodiscard]] std::optional<std::vector<objc::Id>> items(objc::Id object) const;
  [[nodiscard]] objc::Id find(objc::Id dictionary, const std::string& key) const;  ///< null if it is not a dictionary

  /// Text, domain and code of an NSError, or a note that there is none.
  [[nodiscard]] std::string describe(objc::Id error) const;
  /// NSTemporaryDirectory().
  [[nodiscard]] std::string temporary_directory() const;

 private:
  [[nodiscard]] bool is_a(objc::Id object, objc::Id type) const;

  objc::Id string_type_ = nullptr;
  objc::Id number_type_ = nullptr;
  objc::Id data_type_ = nullptr;
  objc::Id array_type_ = nullptr;
  objc::Id dictionary_type_ = nullptr;
  objc::Id (*temporary_directory_)() = nullptr;

  objc::Message<objc::Id, const char*> make_string_;
  objc::Message<const char*> utf8_;
  objc::Message<objc::Id, unsigned long long> make_number_;
  objc::Message<unsigned long long> integer_value_;
  objc::Message<objc::Id, const void*, unsigned long> make_data_;
  objc::Message<objc::Id, const objc::Id*, unsigned long> make_array_;
  objc::Message<unsigned long> count_;
  objc::Message<objc::Id, unsigned long> item_;
  objc::Message<objc::Id, const objc::Id*, const objc::Id*, unsigned long> make_dictionary_;
  objc::Message<objc::Id, objc::Id> value_;
  objc::Message<objc::Flag, objc::Id> is_kind_of_;
  objc::Message<objc::Id> description_;
  objc::Message<objc::Id> domain_;
  objc::Message<long> code_;
};

}  // namespace ane::device::apple
