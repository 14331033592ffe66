#include "checkpoint/trainer_file.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <span>
#include <string_view>
#include <system_error>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "ane/core/checksum.h"
#include "ane/core/memory_reserve.h"
#include "ane/core/precision.h"

namespace ane::train {

namespace {

using json = nlohmann::ordered_json;

constexpr const char* kFormat = "ane-train checkpoint";
constexpr int kVersion = 5;
constexpr int kVersionWithoutFineTuning = 4;
constexpr int kOldestVersion = 2;  // see docs/checkpoints.md
constexpr int kFirstVersionWithSlots = 4;
constexpr std::array<const char*, 2> kMoments = {"first_moment", "second_moment"};  // AdamW's, before that version
constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 24U;                       // a few thousand bytes are usual
constexpr std::string_view kEnd = "\n}";  // end of an object as indented by dump()
constexpr int kHex = 16;
// Optional fields, of a fine-tuned model:
constexpr const char* kBase = "base_model";
constexpr const char* kAdapter = "adapter";
// Optional fields of the progress:
constexpr const char* kBestStep = "best_validation_step";
constexpr const char* kBestLoss = "best_validation_loss";

std::string hex(std::uint64_t checksum) { return fmt::format("{:016x}", checksum); }

/// The end of a file whose preceding text is `body`, with its checksum.
std::string self_checksum(std::string_view body) {
  return fmt::format(",\n  \"seal\": \"{}\"{}\n", hex(checksum_of(std::as_bytes(std::span(body)))), kEnd);
}

/// Reads fields of one object; errors name the file and the field.
class Fields {
 public:
  Fields(const std::filesystem::path& path, const json& object) : path_(&path), object_(&object) {}

  [[nodiscard]] std::string text(const std::string& name) const {
    const json& value = field(name);
    if (!value.is_string()) refuse(name, "a string", value);
    return value.get<std::string>();
  }
  [[nodiscard]] std::int64_t count(const std::string& name, std::uint64_t most = std::uint64_t{1} << 53) const {
    const json& value = field(name);
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() > most)
      refuse(name, "a whole number of 0 or more", value);
    return value.get<std::int64_t>();
  }
  [[nodiscard]] double number(const std::string& name) const {
    const json& value = field(name);
    if (!value.is_number() || !std::isfinite(value.get<double>())) refuse(name, "a finite number", value);
    return value.get<double>();
  }
  [[nodiscard]] std::uint64_t checksum(const std::string& name) const {
    const std::string digits = text(name);
    std::uint64_t value = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), value, kHex);
    if (hex(value) != digits) refuse(name, "16 hexadecimal digits", field(name));
    return value;
  }
  [[nodiscard]] std::vector<std::string> texts(const std::string& name) const {
    const json& value = field(name);
    std::vector<std::string> texts;
    if (!value.is_array()) refuse(name, "an array of strings", value);
    for (const json& text : value) {
      if (!text.is_string()) refuse(name, "an array of strings", value);
      texts.push_back(text.get<std::string>());
    }
    return texts;
  }
  [[nodiscard]] Fields object(const std::string& name) const {
    const json& value = field(name);
    if (!value.is_object()) refuse(name, "an object", value);
    return {*path_, value};
  }
  [[nodiscard]] bool has(const std::string& name) const { return object_->contains(name); }
  [[nodiscard]] std::string json_text() const { return object_->dump(); }
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& [name, value] : object_->items()) names.push_back(name);
    return names;
  }
  [[noreturn]] void refuse(const std::string& name, const char* expected) const { refuse(name, expected, field(name)); }

 private:
  [[noreturn]] void refuse(const std::string& name, const char* expected, const json& found) const {
    refuse_damaged(*path_, fmt::format("'{}' should be {}, but is {}", name, expected,
                                       found.dump(-1, ' ', false, json::error_handler_t::replace)));
  }
  [[nodiscard]] const json& field(const std::string& name) const {
    const auto found = object_->find(name);
    if (found == object_->end()) refuse_damaged(*path_, fmt::format("'{}' is missing", name));
    return *found;
  }

  const std::filesystem::path* path_;
  const json* object_;
};

std::string read_text(const std::filesystem::path& path) {
  const RegularFile file(path, "checkpoint");
  if (file.size_bytes() > kMostBytes)
    refuse_damaged(path, fmt::format("it has {} bytes, but at most {} are allowed", file.size_bytes(), kMostBytes));
  return whole_text(file, kMostBytes);
}

/// Parses JSON. Refuses deep nesting, because printing a value recurses as deep as it is nested.
json parse_flat(const std::filesystem::path& path, std::string_view text) {
  constexpr int kDeepest = 8;  // 3 are in use
  int deepest = 0;
  json object = json::parse(
      text,
      [&](int depth, json::parse_event_t, json&) {
        deepest = std::max(deepest, depth);
        return depth <= kDeepest;
      },
      false);
  if (deepest > kDeepest) refuse_damaged(path, "its JSON is nested too deeply");
  return object;
}

Progress read_progress(const Fields& fields) {
  Progress progress{.step = fields.count("step"),
                    .update = fields.count("update"),
                    .optimizer_updates = fields.count("optimizer_updates"),
                    .loss_scale = fields.number("loss_scale"),
                    .good_updates = fields.count("good_updates"),
                    .skipped_in_row = fields.count("skipped_in_row"),
                    .last_loss = fields.number("last_loss")};
  if (fields.has(kBestStep)) {
    progress.best_validation_step = fields.count(kBestStep);
    progress.best_validation_loss = fields.number(kBestLoss);
  }
  if (progress.loss_scale <= 0 || !to_fp32(progress.loss_scale)) fields.refuse("loss_scale", "positive in fp32");
  return progress;
}

SettingTexts read_settings(const Fields& fields) {
  SettingTexts settings;
  for (const std::string& name : fields.names()) settings[name] = fields.text(name);
  return settings;
}

model::ModelConfig read_model(const std::filesystem::path& path, const Fields& model) try {
  return model::config_from_json(model.json_text(), path.string());
} catch (const FileError& error) {
  throw DamagedError(error.what());
}

/// Version 2 described the model only by its settings.
model::ModelConfig model_of_version_2(const std::filesystem::path& path, const SettingTexts& settings) {
  const auto text = [&](const char* name) -> std::string_view {
    const auto found = settings.find(name);
    if (found == settings.end()) refuse_damaged(path, fmt::format("its settings lack '{}'", name));
    return found->second;
  };
  const auto size = [&](const char* name) {
    const std::string_view digits = text(name);
    std::size_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc() || end != digits.data() + digits.size())
      refuse_damaged(path, fmt::format("its setting '{}' is '{}', not a whole number", name, digits));
    return value;
  };
  model::ModelConfig config{.dim = size("dim"), .hidden = size("hidden")};
  config.seq_len = size("seq");
  if (text("arch") == "mlp") {
    config.family = model::Family::mlp;
    return config;
  }
  config.layers = size("layers");
  config.heads = size("heads");
  config.kv_heads = text("kv-heads") == "heads" ? config.heads : size("kv-heads");
  config.head_dim = config.heads == 0 ? 0 : config.dim / config.heads;
  config.vocab = size("vocab");
  config.tied_embeddings = text("tied") == "true";
  return config;
}

/// Versions before 4 recorded only how many of AdamW's slots there are.
std::vector<std::string> slots_of_moments(const Fields& fields) {
  const auto moments = fields.count("moments", kMoments.size());
  return {kMoments.begin(), kMoments.begin() + moments};
}

FileDigests read_files(const Fields& fields) {
  FileDigests files;
  for (const std::string& name : fields.names()) {
    const Fields file = fields.object(name);
    if (std::filesystem::path(name).filename() != name || name.starts_with('.'))
      fields.refuse(name, "the name of a file beside it");
    files[name] = {.size_bytes = static_cast<std::uint64_t>(file.count("bytes")), .checksum = file.checksum("xxh3")};
  }
  return files;
}

}  // namespace

std::string trainer_file_text(const TrainerFileContents& contents) {
  ensure_memory_reserve();  // for JSON's destructors
  const auto& [progress, totals] = contents.record;
  json files = json::object();
  for (const auto& [name, digest] : contents.files)
    files[name] = {{"bytes", digest.size_bytes}, {"xxh3", hex(digest.checksum)}};
  json object = {{"format", kFormat},
                 {"version", contents.identity.fine_tuning.base.empty() ? kVersionWithoutFineTuning : kVersion},
                 {"model", json::parse(model::to_json(contents.identity.model))},
                 {"optimizer_slots", contents.slots},
                 {"data", contents.identity.data},
                 {"progress",
                  {{"step", progress.step},  // also the index of the next sample
                   {"update", progress.update},
                   {"optimizer_updates", progress.optimizer_updates},
                   {"loss_scale", progress.loss_scale},
                   {"good_updates", progress.good_updates},
                   {"skipped_in_row", progress.skipped_in_row},
                   {"last_loss", progress.last_loss}}},
                 {"totals",  // informative
                  {{"steps", totals.steps - totals.dropped_steps},
                   {"train_ms", totals.train_ns / 1'000'000},
                   {"compiles", totals.compiles + totals.worker_compiles},
                   {"restarts", totals.restarts},
                   {"skipped_updates", totals.skipped_updates}}},
                 {"settings", contents.identity.settings},
                 {"files", files}};
  if (progress.best_validation_step != 0) {
    object["progress"][kBestStep] = progress.best_validation_step;
    object["progress"][kBestLoss] = progress.best_validation_loss;
  }
  if (const FineTuning& fine_tuning = contents.identity.fine_tuning; !fine_tuning.base.empty()) {
    object[kBase] = fine_tuning.base;
    object[kAdapter] = fine_tuning.adapter;
  }
  std::string text = object.dump(2, ' ', false, json::error_handler_t::replace);
  text.resize(text.size() - kEnd.size());
  return text + self_checksum(text);
}

void refuse_damaged(const std::filesystem::path& path, const std::string& fault) {
  throw DamagedError(fmt::format("{}: {}; the checkpoint is damaged", path.string(), fault));
}

TrainerFileContents read_trainer_file(const std::filesystem::path& path) {
  std::error_code ignored;
  if (std::filesystem::status(path, ignored).type() == std::filesystem::file_type::not_found)
    refuse_damaged(path, "it does not exist");
  const std::string text = read_text(path);
  const std::size_t self_checksum_bytes = self_checksum("").size();
  const std::string_view body =
      std::string_view(text).substr(0, text.size() - std::min(text.size(), self_checksum_bytes));
  if (text.substr(body.size()) != self_checksum(body)) refuse_damaged(path, "checksum mismatch");
  ensure_memory_reserve();  // for JSON's destructors
  const json object = parse_flat(path, text);
  if (!object.is_object()) refuse_damaged(path, "it is not a JSON object");

  const Fields fields(path, object);
  if (fields.text("format") != kFormat) refuse_damaged(path, "it does not belong to an ane-train checkpoint");
  const std::int64_t version = fields.count("version");
  if (version < kOldestVersion || version > kVersion)
    throw UsageError(fmt::format("{}: version {} of the checkpoint format; this program reads versions {} to {}",
                                 path.string(), version, kOldestVersion, kVersion));
  SettingTexts settings = read_settings(fields.object("settings"));
  const model::ModelConfig model =
      version == kOldestVersion ? model_of_version_2(path, settings) : read_model(path, fields.object("model"));
  FineTuning fine_tuning;
  if (fields.has(kBase)) {
    fine_tuning.base = fields.text(kBase);
    fine_tuning.adapter = fields.text(kAdapter);
  }
  return {.record = {.progress = read_progress(fields.object("progress")), .totals = {}},
          .identity = {.model = model,
                       .data = fields.text("data"),
                       .settings = std::move(settings),
                       .fine_tuning = std::move(fine_tuning)},
          .slots = version < kFirstVersionWithSlots ? slots_of_moments(fields) : fields.texts("optimizer_slots"),
          .files = read_files(fields.object("files"))};
}

}  // namespace ane::train
