#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>

#include "ane/cli/settings.h"
#include "ane/cli/terminal.h"
#include "ane/core/descriptor.h"
#include "ane/data/source.h"
#include "ane/data/sources.h"
#include "ane/model/companions.h"
#include "ane/text/tokenizer.h"

/// Opens the data that the settings describe, and turns text into tokens first.
namespace ane::app {

/// Opens `--tokenizer`, if it is given; null otherwise. A new model gets its vocabulary from the tokenizer, unless the
/// user gives one, also in a config file. Throws FileError, UsageError if the vocabulary is smaller than the
/// tokenizer's.
[[nodiscard]] std::shared_ptr<const text::Tokenizer> adopt_tokenizer(cli::LoadedSettings& loaded);

/// What all processes of a run read their data from, besides the files of tokens or bytes that --data names.
struct PreparedData {
  Descriptor standard_input;  ///< of a file without a name that contains all of it
  Descriptor tokens;          ///< of a file of tokens that was made of text
  std::optional<text::TokenId>
      end_token{};  ///< that ends a text in the data, if it is known; only in the first process
};

/// How data are prepared.
struct DataPreparation {
  std::shared_ptr<const text::Tokenizer> tokenizer;  ///< what adopt_tokenizer() returned
  std::span<const std::string> environment;          ///< which says where caches are kept
  data::HeldOut held_out = data::HeldOut::usual;
};

/// Reads standard input if it has the data, and turns text into tokens: with `--tokenizer`, the tokenizer in the
/// checkpoint that is resumed, or the one beside the model. Text stays bytes for a model without tokenizer, unless it
/// came from Hugging Face. Resolves `settings.end_token`. Shows progress on a terminal, and says what was done.
/// Throws FileError for data that are not valid; UsageError if the settings do not fit the data.
[[nodiscard]] PreparedData prepare_data(cli::Settings& settings, const DataPreparation& preparation,
                                        cli::Terminal& terminal);

/// Opens the data. `scan`: check every token of a file now. `held_out`: which part of files.
[[nodiscard]] std::unique_ptr<data::Source> make_source(const cli::Settings& settings, bool scan,
                                                        const PreparedData& prepared = {},
                                                        data::HeldOut held_out = data::HeldOut::usual);

/// The companions of a run with `--tokenizer`: those of its model, if any, with this tokenizer instead of the model's.
/// Throws FileError.
[[nodiscard]] model::Companions with_tokenizer(model::Companions companions, const std::string& tokenizer);

}  // namespace ane::app
