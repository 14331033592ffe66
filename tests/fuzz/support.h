#pragma once

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

#include "fuzz/targets.h"
#include "support/temporary_directory.h"

namespace fuzz {

inline std::string_view text_of(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

/// Reports a finding unless `holds`.
inline void require(bool holds, const char* promise) {
  if (!holds) throw std::logic_error(std::string("broken promise: ") + promise);
}

inline void require_finite(std::span<const float> values) {
  require(std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); }),
          "values are finite");
}

/// Input may be refused only with these errors.
template <class Refusal, class... Others, class Attempt>
void may_refuse(Attempt&& attempt) try {
  if constexpr (sizeof...(Others) == 0) {
    attempt();
  } else {
    may_refuse<Others...>(attempt);
  }
} catch (const Refusal&) {
}

/// Reads numbers from the front of the input; zeros when it is exhausted.
class Reader {
 public:
  explicit Reader(Bytes bytes) : rest_(bytes) {}
  std::uint8_t byte() {
    if (rest_.empty()) return 0;
    const auto value = std::to_integer<std::uint8_t>(rest_.front());
    rest_ = rest_.subspan(1);
    return value;
  }
  std::uint16_t word() {
    const std::uint16_t low = byte();
    return static_cast<std::uint16_t>(low | byte() << 8);
  }
  [[nodiscard]] Bytes rest() const { return rest_; }

 private:
  Bytes rest_;
};

/// A file with the input, for functions that read files; the same path for all inputs of a process.
class InputFile {
 public:
  explicit InputFile(std::string_view name) : name_(name) {}
  const std::filesystem::path& hold(Bytes bytes) {
    path_ = directory_.write(name_, text_of(bytes));
    return path_;
  }

 private:
  TemporaryDirectory directory_;
  std::string name_;
  std::filesystem::path path_;
};

}  // namespace fuzz
