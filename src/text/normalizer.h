#pragma once

#include <memory>
#include <string>
#include <vector>

#include "entry.h"

namespace ane::text {

/// A change of the text before it is split.
class Normalizer {
 public:
  Normalizer() = default;
  virtual ~Normalizer() = default;
  Normalizer(const Normalizer&) = delete;
  Normalizer& operator=(const Normalizer&) = delete;

  /// `text` is valid UTF-8, before and after.
  virtual void apply(std::string& text) const = 0;
};

/// The steps of "normalizer". Throws FileError.
[[nodiscard]] std::vector<std::unique_ptr<const Normalizer>> read_normalizers(const Entry& entry);

}  // namespace ane::text
