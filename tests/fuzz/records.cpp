#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>

#include "ane/core/error.h"
#include "ane/data/sources.h"
#include "ane/data/text_data.h"

#include "data/small_tokenizer.h"
#include "fuzz/support.h"

namespace fuzz {
namespace {

using namespace ane;

void check_made(const std::filesystem::path& path, const data::TokenizeReport& report, std::size_t vocab) {
  const auto source = data::open_token_file(path, {.seq_len = 1,
                                                   .vocab_size = vocab,
                                                   .order = data::Order::sequential,
                                                   .format = data::Format::tokens,
                                                   .held_out = data::HeldOut::all});
  require(source->validation_count() == report.tokens - 1, "every token is in the file");
  std::uint64_t loss_tokens = 0;
  data::Sample sample;
  for (std::size_t i = 0; i < source->validation_count(); ++i) {
    source->validation_sample(i, sample);
    require(sample.loss_mask.size() <= 1, "a mask has a value for each target");
    loss_tokens += sample.loss_mask.empty() || sample.loss_mask[0] != 0 ? 1 : 0;
  }
  require(report.loss_tokens == loss_tokens || report.loss_tokens == loss_tokens + 1,
          "the tokens that count are marked");
}

}  // namespace

void records(Bytes bytes) {
  static InputFile input("data.jsonl");
  static const TemporaryDirectory directory;
  static const auto plain = ane::test::small_tokenizer();
  static const auto chatml = ane::test::small_tokenizer(ane::test::kChatml);
  static const auto llama3 = ane::test::small_tokenizer(ane::test::kLlama3);
  Reader reader(bytes);
  const std::uint8_t choice = reader.byte();
  data::TokenizeOptions options;
  options.tokenizer = (choice & 3) == 0 ? plain : (choice & 3) == 1 ? llama3 : chatml;
  options.mask_prompt = (choice & 4) != 0;
  options.skip_bad_records = (choice & 8) != 0;
  if ((choice & 16) == 0) options.end_token = ane::test::kEnd;
  const std::filesystem::path made = directory.path() / "made";
  may_refuse<FileError, UsageError>([&] {
    const auto files = data::find_data(input.hold(reader.rest()).string(), data::Format::records);
    const auto vocab = static_cast<std::uint32_t>(options.tokenizer->vocab_size());
    data::TokenFileWriter out(made, vocab, 1, options.mask_prompt ? data::Mask::present : data::Mask::none);
    const data::TokenizeReport report = data::tokenize(files, options, data::key_of(files, options), out, {});
    if (report.tokens > 1) check_made(made, report, vocab);
  });
}

}  // namespace fuzz
