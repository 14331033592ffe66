#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "entry.h"

namespace ane::text {

/// A piece of a text; no merge of BPE crosses its ends.
struct Piece {
  std::string_view text;
  bool at_start = false;  ///< begins where the whole text begins
};

/// Receives the pieces of a text.
class PieceSink {
 public:
  PieceSink() = default;
  virtual ~PieceSink() = default;
  PieceSink(const PieceSink&) = delete;
  PieceSink(PieceSink&&) = default;
  PieceSink& operator=(const PieceSink&) = delete;
  /// `piece` is not empty and is valid during the call.
  virtual void take(Piece piece) = 0;
};

/// Splits pieces into smaller ones and may change them.
class PreTokenizer {
 public:
  PreTokenizer() = default;
  virtual ~PreTokenizer() = default;
  PreTokenizer(const PreTokenizer&) = delete;
  PreTokenizer& operator=(const PreTokenizer&) = delete;
  virtual void split(Piece piece, PieceSink& sink) const = 0;
};

struct PreTokenizers {
  std::vector<std::unique_ptr<const PreTokenizer>> steps;
  bool byte_level = false;  ///< the pieces are bytes that the vocabulary has in letters of the byte alphabet
};

/// The steps of "pre_tokenizer". Throws FileError.
[[nodiscard]] PreTokenizers read_pre_tokenizers(const Entry& entry);

}  // namespace ane::text
