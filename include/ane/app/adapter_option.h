#pragma once

#include <memory>
#include <optional>

#include "ane/app/model_source.h"
#include "ane/app/option_values.h"
#include "ane/cli/command_line.h"
#include "ane/cli/terminal.h"
#include "ane/model/adapter.h"
#include "ane/model/parameter_reader.h"

/// The option `--lora DIR` of the commands that use a model: an adapter for it.
namespace ane::app {

[[nodiscard]] cli::CommandOption lora_option(const char* help);
[[nodiscard]] bool has_adapter(const OptionValues& values);

/// Opens the adapter for the model with the layout `base` and prints its notes; nullopt if none is given. Throws
/// UsageError, FileError.
[[nodiscard]] std::optional<model::AdapterSource> open_adapter(const OptionValues& values,
                                                               const model::ParameterLayout& base,
                                                               cli::Terminal& terminal);

/// Reads the parameters of a model, which must be those of `layout`, with the adapter merged into them if there is one.
/// `source` must outlive the reader. Throws FileError.
[[nodiscard]] std::shared_ptr<const model::ParameterReader> open_merged(const ModelSource& source,
                                                                        const model::ParameterLayout& layout,
                                                                        std::optional<model::AdapterSource> adapter);

}  // namespace ane::app
