#pragma once

#include <memory>
#include <string>
#include <vector>

#include "entry.h"

namespace ane::text {

/// A step from the names of tokens to their text.
class Decoder {
 public:
  Decoder() = default;
  virtual ~Decoder() = default;
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;
  virtual void apply(std::vector<std::string>& tokens) const = 0;
};

/// The steps of "decoder". Throws FileError.
[[nodiscard]] std::vector<std::unique_ptr<const Decoder>> read_decoders(const Entry& entry);

/// The byte that a token such as "<0x0A>" stands for.
[[nodiscard]] std::optional<unsigned char> byte_of_token(std::string_view token);

}  // namespace ane::text
