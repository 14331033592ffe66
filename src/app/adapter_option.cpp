#include "ane/app/adapter_option.h"

#include <string>

namespace ane::app {
namespace {
constexpr const char* kLoraOption = "lora";
}

cli::CommandOption lora_option(const char* help) { return {cli::CommandOption::Kind::value, kLoraOption, "DIR", help}; }

bool has_adapter(const OptionValues& values) { return !values.text(kLoraOption).empty(); }

std::optional<model::AdapterSource> open_adapter(const OptionValues& values, const model::ParameterLayout& base,
                                                 cli::Terminal& terminal) {
  if (!has_adapter(values)) return std::nullopt;
  model::AdapterSource adapter = model::open_adapter(values.text(kLoraOption), base);
  for (const std::string& note : adapter.notes) terminal.info(note);
  return adapter;
}

}  // namespace ane::app
