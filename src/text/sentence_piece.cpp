#include <cstdint>
#include <exception>
#include <new>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <sentencepiece_processor.h>

#include "ane/core/checksum.h"
#include "ane/core/error.h"

#include "formats.h"

namespace ane::text {
namespace {

/// Calls `work` of SentencePiece. It reports most faults by a status, but the libraries inside it throw.
template <class Work>
void run(const std::string& file, std::string_view fault, Work&& work) try {
  const auto status = work();  // its type depends on SentencePiece's version
  if (!status.ok()) throw FileError(fmt::format("{}: {}: {}", file, fault, status.ToString()));
} catch (const FileError&) {
  throw;
} catch (const std::bad_alloc&) {
  throw;
} catch (const std::exception& error) {
  throw FileError(fmt::format("{}: {}: {}", file, fault, error.what()));
}

/// The argument of Decode(), whose overload for vectors is deprecated since version 0.2.2.
#ifdef ANE_SENTENCEPIECE_USES_ABSEIL
absl::Span<const int> ids_to_decode(const std::vector<int>& ids) { return ids; }
#else
const std::vector<int>& ids_to_decode(const std::vector<int>& ids) { return ids; }
#endif

class SentencePieceTokenizer final : public Tokenizer {
 public:
  SentencePieceTokenizer(std::uint64_t digest, std::string file,
                         std::unique_ptr<const sentencepiece::SentencePieceProcessor> processor)
      : Tokenizer(digest), file_(std::move(file)), processor_(std::move(processor)) {
    if (processor_->bos_id() >= 0) surroundings_.before.push_back(static_cast<TokenId>(processor_->bos_id()));
  }

  std::string decode(std::span<const TokenId> ids, SpecialTokens special) const override {
    std::vector<int> known;
    for (const TokenId id : ids)
      if (id < vocab_size() && (special == SpecialTokens::include || !is_special(id)))
        known.push_back(static_cast<int>(id));
    std::string text;
    run(file_, kFails, [&] { return processor_->Decode(ids_to_decode(known), &text); });
    return text;
  }

  const Surroundings& surroundings() const noexcept override { return surroundings_; }
  std::size_t vocab_size() const noexcept override { return static_cast<std::size_t>(processor_->GetPieceSize()); }
  std::optional<TokenId> find(std::string_view name) const override {
    const int id = processor_->PieceToId(name);  // the unknown token if there is none of this name
    if (id < 0 || processor_->IdToPiece(id) != name) return std::nullopt;
    return static_cast<TokenId>(id);
  }
  std::optional<std::string> name(TokenId id) const override {
    if (id >= vocab_size()) return std::nullopt;
    return processor_->IdToPiece(static_cast<int>(id));
  }
  bool is_special(TokenId id) const override {
    const auto number = static_cast<int>(id);
    return id < vocab_size() && (processor_->IsControl(number) || processor_->IsUnknown(number));
  }

 private:
  void append_ids(std::string_view text, std::vector<TokenId>& ids) const override {
    std::vector<int> found;
    run(file_, kFails, [&] { return processor_->Encode(text, &found); });
    for (const int id : found) ids.push_back(static_cast<TokenId>(id));
  }

  static constexpr std::string_view kFails = "SentencePiece fails";

  std::string file_;
  std::unique_ptr<const sentencepiece::SentencePieceProcessor> processor_;
  Surroundings surroundings_;
};

}  // namespace

std::unique_ptr<Tokenizer> open_sentence_piece(const RegularFile& file) {
  const std::string bytes = whole_text(file, kMostTokenizerBytes);
  const std::string path = file.path().string();
  auto processor = std::make_unique<sentencepiece::SentencePieceProcessor>();
  run(path, "it is not a model of SentencePiece", [&] { return processor->LoadFromSerializedProto(bytes); });
  if (processor->GetPieceSize() <= 0) throw_file_error(file.path(), "it is a model of SentencePiece without tokens");
  return std::make_unique<SentencePieceTokenizer>(checksum_of(std::as_bytes(std::span(bytes))), path,
                                                  std::move(processor));
}

}  // namespace ane::text
