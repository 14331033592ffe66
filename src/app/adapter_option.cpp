#include "ane/app/adapter_option.h"

#include <string>
#include <utility>

namespace ane::app {
namespace {

constexpr const char* kLoraOption = "lora";

/// A MergedReader with its parts.
class OwningReader final : public model::ParameterReader {
 public:
  OwningReader(std::unique_ptr<model::ParameterReader> base, model::AdapterSource adapter)
      : base_(std::move(base)), adapter_(std::move(adapter)), merged_(*base_, adapter_) {}
  void read(const model::Parameter& parameter, std::span<float> values) const override {
    merged_.read(parameter, values);
  }
  [[nodiscard]] std::string dtype(const model::Parameter& parameter) const override { return merged_.dtype(parameter); }

 private:
  std::unique_ptr<model::ParameterReader> base_;
  model::AdapterSource adapter_;
  model::MergedReader merged_;
};

}  // namespace

cli::CommandOption lora_option(const char* help) { return {cli::CommandOption::Kind::value, kLoraOption, "DIR", help}; }

bool has_adapter(const OptionValues& values) { return !values.text(kLoraOption).empty(); }

std::optional<model::AdapterSource> open_adapter(const OptionValues& values, const model::ParameterLayout& base,
                                                 cli::Terminal& terminal) {
  if (!has_adapter(values)) return std::nullopt;
  model::AdapterSource adapter = model::open_adapter(values.text(kLoraOption), base);
  for (const std::string& note : adapter.notes) terminal.info(note);
  return adapter;
}

std::shared_ptr<const model::ParameterReader> open_merged(const ModelSource& source,
                                                          const model::ParameterLayout& layout,
                                                          std::optional<model::AdapterSource> adapter) {
  std::unique_ptr<model::ParameterReader> base = open_parameters(source, layout);
  if (!adapter) return base;
  return std::make_shared<const OwningReader>(std::move(base), std::move(*adapter));
}

}  // namespace ane::app
