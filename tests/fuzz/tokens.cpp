#include <algorithm>

#include "ane/core/error.h"
#include "ane/data/sources.h"

#include "fuzz/support.h"

namespace fuzz {
namespace {

using namespace ane;

void check_sample(const data::Sample& sample, const data::TokenSettings& settings) {
  require(sample.tokens.size() == settings.seq_len + 1, "a sample has a sequence and its last target");
  require(std::all_of(sample.tokens.begin(), sample.tokens.end(),
                      [&](data::Token token) { return token < settings.vocab_size; }),
          "tokens are in the vocabulary");
  require(sample.loss_mask.empty() || sample.loss_mask.size() == settings.seq_len,
          "a mask has a value for each target");
}

}  // namespace

void tokens(Bytes bytes) {
  static InputFile binary("data.bin");
  static InputFile text("data.txt");
  Reader reader(bytes);
  const std::uint8_t choice = reader.byte();
  data::TokenSettings settings{.seq_len = reader.byte() + std::size_t{1}, .vocab_size = reader.word() + std::size_t{1}};
  settings.seed = reader.byte();
  settings.order = (choice & 2) != 0 ? data::Order::sequential : data::Order::random;
  settings.scan = (choice & 4) != 0;
  may_refuse<FileError>([&] {
    const auto source = data::open_token_file(((choice & 1) != 0 ? binary : text).hold(reader.rest()), settings);
    static_cast<void>(source->description());
    static_cast<void>(source->identity());
    static_cast<void>(source->bytes_per_token());
    data::Sample sample;
    for (const std::uint64_t step : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{1000000}, ~std::uint64_t{0}}) {
      source->training_sample(step, sample);
      check_sample(sample, settings);
    }
    for (std::size_t i = 0; i < std::min<std::size_t>(source->validation_count(), 4); ++i) {
      source->validation_sample(i, sample);
      check_sample(sample, settings);
    }
  });
}

}  // namespace fuzz
