#include "ane/model/adapter.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "ane/core/error.h"
#include "ane/math/random.h"
#include "ane/model/models.h"
#include "ane/model/safetensors.h"

#include "formats/name_pattern.h"
#include "model/files.h"
#include "support/catch.h"

namespace ane::model {
namespace {

using Json = nlohmann::json;
using test::read_file;
using test::TemporaryFolder;
using test::write_file;

constexpr std::size_t kLayers = 3;
constexpr std::size_t kRank = 2;

ParameterLayout base_layout(std::size_t layers = kLayers, Family family = Family::qwen2) {
  return parameter_layout({.family = family,
                           .dim = 8,
                           .hidden = 12,
                           .layers = layers,
                           .heads = 2,
                           .kv_heads = 1,
                           .head_dim = 6,
                           .vocab = 16,
                           .seq_len = 4});
}

std::string module_name(std::size_t layer, const std::string& name) {
  return fmt::format(
      "model.layers.{}.{}.{}", layer,
      name.starts_with("gate") || name.starts_with("up") || name.starts_with("down") ? "mlp" : "self_attn", name);
}

/// The modules of all layers with these short names, in this order.
std::vector<std::string> modules(const std::vector<std::string>& names, std::size_t first = 0) {
  std::vector<std::string> all;
  for (std::size_t layer = first; layer < kLayers; ++layer)
    for (const std::string& name : names) all.push_back(module_name(layer, name));
  return all;
}

const std::vector<std::string> kAll = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "down_proj", "up_proj"};

Json peft_config() {
  return {{"peft_type", "LORA"},
          {"r", kRank},
          {"lora_alpha", 8},
          {"target_modules", {"q_proj", "v_proj"}},
          {"base_model_name_or_path", "some/model"},
          {"an_entry_of_the_future", {1, 2}}};
}

Json mlx_config() {
  return {{"fine_tune_type", "lora"},
          {"num_layers", 2},
          {"lora_parameters",
           {{"rank", kRank}, {"scale", 2.5}, {"dropout", 0.0}, {"keys", {"self_attn.q_proj", "self_attn.v_proj"}}}},
          {"model", "some/model"},
          {"learning_rate", 1e-5}};
}

Json with(Json config, const Json& changes) {
  config.merge_patch(changes);
  return config;
}

/// A tensor of a file, with its values.
struct Tensor {
  mil::Shape shape;
  std::vector<float> values;
};
using Tensors = std::map<std::string, Tensor>;

std::vector<float> random_values(std::size_t count, std::uint64_t stream) {
  std::vector<float> values(count);
  math::fill_normal({11, stream}, 0.5F, values);
  return values;
}

std::size_t count_of(const mil::Shape& shape) { return static_cast<std::size_t>(mil::element_count(shape)); }

/// The tensors of an adapter for these modules with random values, as PEFT writes them.
Tensors peft_tensors(const std::vector<std::string>& adapted, const ParameterLayout& base = base_layout()) {
  Tensors tensors;
  for (const std::string& module : adapted) {
    const mil::Shape shape = base.find(module + ".weight")->shape;
    const mil::Shape a = {kRank, shape[1]};
    const mil::Shape b = {shape[0], kRank};
    tensors["base_model.model." + module + ".lora_A.weight"] = {a, random_values(count_of(a), tensors.size())};
    tensors["base_model.model." + module + ".lora_B.weight"] = {b, random_values(count_of(b), tensors.size())};
  }
  return tensors;
}

/// The same as mlx-lm writes them: with transposed matrices.
Tensors mlx_tensors(const std::vector<std::string>& adapted) {
  constexpr std::size_t kPrefix = std::string_view("base_model.model.").size();
  Tensors tensors;
  for (const auto& [name, tensor] : peft_tensors(adapted)) {
    const std::size_t end = name.find(".lora_");
    Tensor& stored = tensors[name.substr(kPrefix, end - kPrefix) + (name[end + 6] == 'A' ? ".lora_a" : ".lora_b")];
    const auto rows = static_cast<std::size_t>(tensor.shape[0]);
    const auto columns = static_cast<std::size_t>(tensor.shape[1]);
    stored.shape = {tensor.shape[1], tensor.shape[0]};
    for (std::size_t column = 0; column < columns; ++column)
      for (std::size_t row = 0; row < rows; ++row) stored.values.push_back(tensor.values[row * columns + column]);
  }
  return tensors;
}

/// A directory with an adapter's files.
class Directory {
 public:
  Directory(const Json& config, const Tensors& tensors, const std::string& dtype = "F32") {
    write_config(config.dump());
    write_tensors(tensors, dtype, config.contains("peft_type") ? kAdapterFile : kMlxAdapterFile);
  }
  void write_config(const std::string& text) const { write_file(folder_ / kAdapterConfigFile, text); }
  void write_tensors(const Tensors& tensors, const std::string& dtype = "F32", const char* name = kAdapterFile) const {
    std::vector<TensorEntry> entries;
    for (const auto& [tensor, value] : tensors) entries.push_back({tensor, value.shape, dtype});
    TemporaryFile file(folder_ / name);
    SafetensorsWriter writer(file, entries, {});
    for (const auto& [tensor, value] : tensors) writer.add(value.values);
    file.commit();
  }
  [[nodiscard]] std::filesystem::path path() const { return folder_ / ""; }
  [[nodiscard]] std::filesystem::path operator/(const char* name) const { return folder_ / name; }

 private:
  TemporaryFolder folder_;
};

std::vector<float> read(const AdapterSource& source, const std::string& name) {
  const Parameter* const parameter = source.layout.find(name);
  REQUIRE(parameter != nullptr);
  std::vector<float> values(parameter->count);
  source.reader->read(*parameter, values);
  return values;
}

void check_refused(const Directory& directory, const std::string& fault, const ParameterLayout& base = base_layout()) {
  CAPTURE(fault);
  CHECK_THROWS_AS(open_adapter(directory.path(), base), FileError);
  CHECK_THROWS_WITH(open_adapter(directory.path(), base), ANE_CONTAINS(fault));
}

/// The data of each tensor in a file, with its dtype and shape.
std::map<std::string, std::string> tensor_bytes(const std::filesystem::path& path) {
  const std::string bytes = read_file(path);
  const SafetensorsFile file(path);
  std::map<std::string, std::string> tensors;
  for (const auto& [name, tensor] : file.tensors())
    tensors[name] = tensor.dtype + mil::to_string(tensor.shape) +
                    bytes.substr(static_cast<std::size_t>(tensor.offset), static_cast<std::size_t>(tensor.size_bytes));
  return tensors;
}

/// Writes the opened adapter in another format to a folder of its own.
void convert(const std::filesystem::path& from, AdapterFormat format, const std::filesystem::path& to) {
  std::filesystem::create_directory(to);
  const AdapterSource source = open_adapter(from, base_layout());
  const AdapterOutput output = {format, source.base_model, ""};
  write_adapter(to, output, source.adapter, source.layout, *source.reader, base_layout());
}

TEST_CASE("the scale of an adapter is alpha / rank or alpha / sqrt(rank)", "[model][adapter]") {
  CHECK((Adapter{.rank = 16, .alpha = 8, .modules = {}}.scale()) == 0.5);
  CHECK((Adapter{.rank = 16, .alpha = 8, .rank_stabilized = true, .modules = {}}.scale()) == 2);
}

TEST_CASE("modules are found by their short names, in the order of the layout", "[model][adapter]") {
  const ParameterLayout base = base_layout();
  CHECK(modules_named(base, std::vector<std::string>{"up_proj", "q_proj"}) == modules({"q_proj", "up_proj"}));
  CHECK(modules_named(base, std::vector<std::string>(kProjections.begin(), kProjections.end())) == modules(kAll));
  CHECK_THROWS_AS(modules_named(base, std::vector<std::string>{"lm_head"}), UsageError);
  CHECK_THROWS_WITH(modules_named(base, std::vector<std::string>{"q"}),
                    ANE_CONTAINS("'q' is not one of q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj"));
}

TEST_CASE("the tensors of an adapter are A and B of each module", "[model][adapter]") {
  const ParameterLayout base = base_layout(1);
  const ParameterLayout layout = adapter_parameters(
      {.rank = 3, .alpha = 1, .modules = {"model.layers.0.self_attn.k_proj", "model.layers.0.mlp.down_proj"}}, base);
  REQUIRE(layout.parameters().size() == 4);
  CHECK(layout.at(0).name == "model.layers.0.self_attn.k_proj.lora_A.weight");
  CHECK(layout.at(0).shape == mil::Shape{3, 8});
  CHECK(layout.at(1).name == "model.layers.0.self_attn.k_proj.lora_B.weight");
  CHECK(layout.at(1).shape == mil::Shape{6, 3});
  CHECK(layout.at(2).shape == mil::Shape{3, 12});
  CHECK(layout.at(3).shape == mil::Shape{8, 3});
  CHECK(layout.at(3).role == Role::adapter);
  CHECK(layout.at(3).decays());
  CHECK(peft_name(layout.at(0)) == "base_model.model.model.layers.0.self_attn.k_proj.lora_A.weight");
}

TEST_CASE("an adapter that a model cannot have is refused", "[model][adapter]") {
  const ParameterLayout base = base_layout(1);
  const auto check = [&](std::size_t rank, const std::vector<std::string>& adapted, const char* fault) {
    CHECK_THROWS_AS(adapter_parameters({.rank = rank, .alpha = 1, .modules = adapted}, base), UsageError);
    CHECK_THROWS_WITH(adapter_parameters({.rank = rank, .alpha = 1, .modules = adapted}, base), ANE_CONTAINS(fault));
  };
  const std::vector<std::string> adapted = {"model.layers.0.self_attn.k_proj", "model.layers.0.mlp.up_proj"};
  check(0, adapted, "the rank is 0, but it must be from 1 to 12");
  check(13, adapted, "the rank is 13, but it must be from 1 to 12");
  CHECK_NOTHROW(adapter_parameters({.rank = 12, .alpha = 1, .modules = adapted}, base));
  check(1, {}, "no modules");
  check(1, {"model.layers.1.self_attn.k_proj"}, "no module 'model.layers.1.self_attn.k_proj'");
  check(1, {"model.norm"}, "no module 'model.norm' that an adapter can change");
}

TEST_CASE("an adapter of PEFT is read", "[model][adapter]") {
  const std::vector<std::string> adapted = modules({"q_proj", "v_proj"});
  const Tensors tensors = peft_tensors(adapted);
  const Directory directory(peft_config(), tensors);
  const AdapterSource source = open_adapter(directory.path(), base_layout());
  CHECK(source.format == AdapterFormat::peft);
  CHECK(source.adapter.rank == kRank);
  CHECK(source.adapter.alpha == 8);
  CHECK_FALSE(source.adapter.rank_stabilized);
  CHECK(source.adapter.modules == adapted);
  CHECK(source.base_model == "some/model");
  CHECK(source.notes.empty());
  for (const auto& [name, tensor] : tensors)
    CHECK(read(source, name.substr(std::string_view("base_model.model.").size())) == tensor.values);
  directory.write_config(with(peft_config(), {{"use_rslora", true}, {"lora_alpha", 2.5}}).dump());
  CHECK(open_adapter(directory.path(), base_layout()).adapter.scale() == Approx(2.5 / std::sqrt(2)));
}

TEST_CASE("PEFT's targets are names, ends of names, an expression or all-linear", "[model][adapter]") {
  struct Case {
    Json targets;
    std::vector<std::string> adapted;
    Json excluded = nullptr;
  };
  const std::vector<Case> cases = {
      {"all-linear", modules(kAll)},
      {"All-Linear", modules(kAll)},
      {{"v_proj", "q_proj"}, modules({"q_proj", "v_proj"})},
      {{"self_attn.k_proj", "mlp.up_proj"}, modules({"k_proj", "up_proj"})},
      {{"model.layers.1.mlp.down_proj"}, {module_name(1, "down_proj")}},
      {{"layers.2.self_attn.o_proj", "layers.0.self_attn.q_proj"},
       {module_name(0, "q_proj"), module_name(2, "o_proj")}},
      {R"(.*\.[01]\..*(q|v)_proj)",
       {module_name(0, "q_proj"), module_name(0, "v_proj"), module_name(1, "q_proj"), module_name(1, "v_proj")}},
      // The first alternative matches only the beginning of q_proj, so the second must be tried.
      {R"(model\.layers\.0\.self_attn\.(q|q_proj))", {module_name(0, "q_proj")}},
      {R"(^model\.layers\.(?P<n>0)\.mlp\.up_proj$)", {module_name(0, "up_proj")}},
      {"all-linear", modules({"q_proj", "v_proj"}), {"k_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}},
      {{"q_proj"}, {module_name(2, "q_proj")}, R"(.*\.[01]\..*)"},
      {R"(.*(q_proj|embed_tokens))", modules({"q_proj"}), {"embed_tokens"}},
  };
  for (const Case& each : cases) {
    CAPTURE(each.targets.dump(), each.excluded.dump());
    const Directory directory(
        with(peft_config(), {{"target_modules", each.targets}, {"exclude_modules", each.excluded}}),
        peft_tensors(each.adapted));
    CHECK(open_adapter(directory.path(), base_layout()).adapter.modules == each.adapted);
  }
}

TEST_CASE("targets that do not fit the model are refused", "[model][adapter][malformed]") {
  const Directory directory(peft_config(), peft_tensors(modules({"q_proj", "v_proj"})));
  const auto check = [&](const Json& targets, const std::string& fault) {
    CAPTURE(targets.dump());
    directory.write_config(with(peft_config(), {{"target_modules", targets}}).dump());
    check_refused(directory, fault);
  };
  check({"q_proj", "c_attn"}, "'target_modules': the model has no module 'c_attn'");
  check({"proj"}, "the model has no module 'proj'");
  check({""}, "the model has no module ''");
  check({"q_proj", "norm"}, "the adapter changes 'model.norm', but only q_proj, k_proj,");
  check({"embed_tokens"}, "the adapter changes 'model.embed_tokens'");
  check(".*", "the adapter changes 'model.embed_tokens'");
  check("q_proj", "'target_modules' matches no module of the model");
  check(R"(.*q_pro)", "'target_modules' matches no module of the model");
  check("(", "the regular expression '(' cannot be used: missing closing parenthesis");
  check(Json::array(), "'target_modules' matches no module of the model");
  check(nullptr, "'target_modules' is missing");
  check({"q_proj", 1}, "'target_modules' is an array, but the supported value is a list of strings");
  check(7, "'target_modules' is 7, but the supported value is a list of modules, a regular expression or");
  check(R"(((model|layers|[a-z.0-9]+)+)+[^a-z.0-9_])", "the regular expression");
  directory.write_config(with(peft_config(), {{"exclude_modules", {"proj", "q_proj", "v_proj"}}}).dump());
  check_refused(directory, "the adapter has no modules");
}

TEST_CASE("entries of PEFT's config that ask for something else are refused by name", "[model][adapter][malformed]") {
  const Directory directory(peft_config(), peft_tensors(modules({"q_proj", "v_proj"})));
  const std::vector<std::pair<std::string, Json>> refused = {
      {"use_dora", true},
      {"rank_pattern", {{"q_proj", 4}}},
      {"alpha_pattern", {{"q_proj", 4}}},
      {"modules_to_save", {"lm_head"}},
      {"layers_to_transform", {0, 1}},
      {"layers_to_transform", 0},
      {"fan_in_fan_out", true},
      {"layer_replication", {{0, 1}}},
      {"lora_bias", true},
      {"trainable_token_indices", {1}},
      {"target_parameters", {"mlp.weight"}},
      {"use_dora", "no"},
      {"bias", "all"},
      {"bias", "lora_only"},
      {"bias", false},
      {"peft_type", "IA3"},
      {"peft_type", 1},
      {"init_lora_weights", "pissa_niter_16"},
      {"init_lora_weights", "olora"},
  };
  for (const auto& [key, value] : refused) {
    CAPTURE(value.dump());
    directory.write_config(with(peft_config(), {{key, value}}).dump());
    check_refused(directory, fmt::format("'{}' is ", key));
  }
  Json neutral = with(peft_config(), {{"use_dora", false},
                                      {"rank_pattern", Json::object()},
                                      {"alpha_pattern", Json::object()},
                                      {"layers_to_transform", Json::array()},
                                      {"fan_in_fan_out", false},
                                      {"bias", "none"},
                                      {"init_lora_weights", "gaussian"},
                                      {"task_type", "CAUSAL_LM"},
                                      {"lora_dropout", 0.0}});
  neutral["modules_to_save"] = nullptr;
  directory.write_config(neutral.dump());
  CHECK(open_adapter(directory.path(), base_layout()).notes.empty());
  directory.write_config(with(neutral, {{"lora_dropout", 0.05}}).dump());
  const std::vector<std::string> notes = open_adapter(directory.path(), base_layout()).notes;
  REQUIRE(notes.size() == 1);
  CHECK_THAT(notes.front(), ANE_CONTAINS("its dropout of 0.05 is ignored"));
}

TEST_CASE("values of the wrong type or size in PEFT's config are refused", "[model][adapter][malformed]") {
  const Directory directory(peft_config(), peft_tensors(modules({"q_proj", "v_proj"})));
  struct Case {
    Json changes;
    const char* fault;
  };
  const std::vector<Case> cases = {
      {{{"r", 0}}, "adapter_config.json: the rank is 0"},
      {{{"r", 13}}, "the rank is 13, but it must be from 1 to 12"},
      {{{"r", 2000000000}}, "the rank is 2000000000"},
      {{{"r", -1}}, "'r' is -1, but the supported value is a whole number"},
      {{{"r", 2.0}}, "'r' is 2.0"},
      {{{"r", "2"}}, "'r' is \"2\""},
      {{{"r", 18446744073709551615U}}, "'r' is 18446744073709551615"},
      {{{"r", nullptr}}, "'r' is missing"},
      {{{"lora_alpha", nullptr}}, "'lora_alpha' is missing"},
      {{{"lora_alpha", "8"}}, "'lora_alpha' is \"8\", but the supported value is a finite number"},
      {{{"lora_alpha", 1e300}}, "the scale of the adapter is"},
      {{{"lora_dropout", "none"}}, "'lora_dropout' is \"none\""},
      {{{"use_rslora", 1}}, "'use_rslora' is 1, but the supported value is true or false"},
      {{{"base_model_name_or_path", 1}}, "'base_model_name_or_path' is 1"},
      {{{"exclude_modules", 1}}, "'exclude_modules' is 1"},
  };
  for (const Case& each : cases) {
    directory.write_config(with(peft_config(), each.changes).dump());
    check_refused(directory, each.fault);
  }
  for (const char* text : {"", "[]", "{", "\"LORA\"", R"({"r":1e999})"}) {
    directory.write_config(text);
    check_refused(directory, "adapter_config.json: expected a JSON object");
  }
  directory.write_config(R"({"peft_type":)" + std::string(300'000, '[') + std::string(300'000, ']') + "}");
  check_refused(directory, "its JSON is nested more than 32 deep");
  directory.write_config(std::string((1U << 20U) + 1, ' '));
  check_refused(directory, "adapter_config.json");
}

TEST_CASE("tensors that contradict the config or the model are refused", "[model][adapter][malformed]") {
  const std::vector<std::string> adapted = modules({"q_proj", "v_proj"});
  const Tensors whole = peft_tensors(adapted);
  const Directory directory(peft_config(), whole);
  const std::string name = "base_model.model.model.layers.1.self_attn.v_proj.lora_B.weight";

  Tensors changed = whole;
  changed.erase(name);
  directory.write_tensors(changed);
  check_refused(directory, "adapter_model.safetensors: there is no tensor '" + name + "'");
  changed = whole;
  changed["base_model.model.lm_head.lora_A.weight"] = {{kRank, 8}, std::vector<float>(16)};
  directory.write_tensors(changed);
  check_refused(directory, "tensor 'base_model.model.lm_head.lora_A.weight' [2, 8] is not part of the adapter");
  changed = whole;
  changed[name].shape = {3, 4};
  directory.write_tensors(changed);
  check_refused(directory, "'" + name +
                               "' has shape [3, 4], but this model and the rank 2 in adapter_config.json need "
                               "[6, 2]; does the adapter belong to another model?");
  changed = whole;
  for (auto& [each, tensor] : changed) std::ranges::reverse(tensor.shape);
  directory.write_tensors(changed);
  check_refused(directory, "has shape [8, 2], but this model and the rank 2 in adapter_config.json need [2, 8]");

  directory.write_tensors(whole);
  CHECK_NOTHROW(open_adapter(directory.path(), base_layout()));
  check_refused(directory, "there is no tensor 'base_model.model.model.layers.3.", base_layout(kLayers + 1));
  check_refused(directory, "tensor 'base_model.model.model.layers.2.self_attn.q_proj.lora_A.weight'",
                base_layout(kLayers - 1));
  check_refused(directory, "the model has no module 'q_proj'", base_layout(0, Family::mlp));
  directory.write_config(with(peft_config(), {{"r", 4}}).dump());
  check_refused(directory, "has shape [2, 8], but this model and the rank 4 in adapter_config.json need [4, 8]");
}

TEST_CASE("an adapter's files that are damaged or missing are refused", "[model][adapter][malformed]") {
  const Tensors tensors = peft_tensors(modules({"q_proj", "v_proj"}));
  const Directory directory(peft_config(), tensors);
  const std::string whole = read_file(directory / kAdapterFile);
  write_file(directory / kAdapterFile, whole.substr(0, whole.size() - 4));
  check_refused(directory, "is the file truncated?");
  std::string other = whole;
  other.replace(other.find("\"F32\""), 5, "\"I32\"");
  write_file(directory / kAdapterFile, other);
  check_refused(directory, "has dtype I32, but F32, F16 and BF16 can be read");

  other = whole;
  const auto infinity = std::bit_cast<std::array<char, 4>>(INFINITY);
  other.replace(other.size() - 4, 4, infinity.data(), 4);
  write_file(directory / kAdapterFile, other);
  const AdapterSource source = open_adapter(directory.path(), base_layout());
  CHECK_THROWS_WITH(read(source, source.layout.parameters().back().name), ANE_CONTAINS("non-finite value"));

  std::filesystem::remove(directory / kAdapterFile);
  check_refused(directory, "adapter_model.safetensors' does not exist");
  write_file(directory / "adapter_model.bin", "pickled");
  check_refused(directory, "it has adapter_model.bin, but only adapter_model.safetensors is read");
  std::filesystem::remove(directory / kAdapterConfigFile);
  check_refused(directory, "adapter_config.json' does not exist");
  CHECK_THROWS_WITH(open_adapter(directory / "adapter_model.bin", base_layout()),
                    ANE_CONTAINS("expected the directory of an adapter"));
  CHECK_THROWS_WITH(open_adapter(directory / "absent", base_layout()), ANE_CONTAINS("does not exist"));
}

TEST_CASE("an adapter of MLX is read with its transposed matrices", "[model][adapter]") {
  const std::vector<std::string> adapted = modules({"q_proj", "v_proj"}, 1);
  const Directory directory(mlx_config(), mlx_tensors(adapted));
  const AdapterSource source = open_adapter(directory.path(), base_layout());
  CHECK(source.format == AdapterFormat::mlx);
  CHECK(source.adapter.rank == kRank);
  CHECK(source.adapter.scale() == 2.5);
  CHECK(source.adapter.modules == adapted);
  CHECK(source.base_model == "some/model");
  CHECK(source.notes.empty());
  for (const auto& [name, tensor] : peft_tensors(adapted))
    CHECK(read(source, name.substr(std::string_view("base_model.model.").size())) == tensor.values);
}

TEST_CASE("MLX's keys and number of layers choose the modules", "[model][adapter]") {
  const std::vector<std::string> q_and_v = {"self_attn.q_proj", "self_attn.v_proj"};
  struct Case {
    Json layers, keys;
    std::vector<std::string> adapted;
  };
  const std::vector<Case> cases = {
      {-1, q_and_v, modules({"q_proj", "v_proj"})},
      {0, q_and_v, modules({"q_proj", "v_proj"})},
      {16, q_and_v, modules({"q_proj", "v_proj"})},
      {1, q_and_v, modules({"q_proj", "v_proj"}, 2)},
      {2, {"mlp.up_proj"}, modules({"up_proj"}, 1)},
      {1, {"model.layers.0.mlp.up_proj", "mlp.gate_proj"}, {module_name(0, "up_proj"), module_name(2, "gate_proj")}},
      // Without keys the file decides.
      {-1, nullptr, modules(kAll)},
      {2, nullptr, modules({"k_proj"}, 1)},
  };
  for (const Case& each : cases) {
    CAPTURE(each.layers.dump(), each.keys.dump());
    const Directory directory(
        with(mlx_config(), {{"num_layers", each.layers}, {"lora_parameters", {{"keys", each.keys}}}}),
        mlx_tensors(each.adapted));
    CHECK(open_adapter(directory.path(), base_layout()).adapter.modules == each.adapted);
  }
}

TEST_CASE("a config of MLX that is unsupported or contradicts the file is refused", "[model][adapter][malformed]") {
  const Directory directory(mlx_config(), mlx_tensors(modules({"q_proj", "v_proj"}, 1)));
  struct Case {
    Json changes;
    const char* fault;
  };
  const auto of_parameters = [](const Json& changes) { return Json{{"lora_parameters", changes}}; };
  const std::vector<Case> cases = {
      {{{"fine_tune_type", "dora"}}, R"('fine_tune_type' is "dora", but the supported value is "lora")"},
      {{{"fine_tune_type", "full"}}, R"('fine_tune_type' is "full")"},
      {{{"use_dora", true}}, "'use_dora' is true"},
      {{{"num_layers", nullptr}}, "'num_layers' is missing"},
      {{{"num_layers", 1.5}}, "'num_layers' is 1.5, but the supported value is a whole number"},
      {{{"num_layers", 3}}, "there is no tensor 'model.layers.0.self_attn.q_proj.lora_a'"},
      {{{"num_layers", 1}}, "tensor 'model.layers.1.self_attn.q_proj.lora_a' [8, 2] is not part of the adapter"},
      {{{"num_layers", 18446744073709551615U}}, "'num_layers' is 18446744073709551615"},
      {{{"model", 1}}, "'model' is 1"},
      {{{"lora_parameters", nullptr}}, "neither 'peft_type' nor 'lora_parameters'"},
      {{{"lora_parameters", {1}}}, "'lora_parameters' is an array, but the supported value is an object"},
      {of_parameters({{"rank", 0}}), "the rank is 0"},
      {of_parameters({{"rank", 3}}), "has shape [8, 2], but this model and the rank 3"},
      {of_parameters({{"rank", nullptr}}), "'rank' is missing"},
      {of_parameters({{"scale", nullptr}}), "'scale' is missing"},
      {of_parameters({{"scale", "20"}}), "'scale' is \"20\""},
      {of_parameters({{"scale", 1e300}}), "the scale of the adapter is"},
      {of_parameters({{"dropout", true}}), "'dropout' is true"},
      {of_parameters({{"keys", "self_attn.q_proj"}}),
       "'keys' is \"self_attn.q_proj\", but the supported value is a list"},
      {of_parameters({{"keys", {"q_proj"}}}),
       "names 'q_proj', which an adapter cannot change; supported are modules such as"},
      {of_parameters({{"keys", {"self_attn.q_proj", "lm_head"}}}), "names 'lm_head'"},
      {of_parameters({{"keys", {"self_attn.q_proj"}}}), "is not part of the adapter"},
      {of_parameters({{"keys", Json::array()}}), "the adapter has no modules"},
  };
  for (const Case& each : cases) {
    CAPTURE(each.changes.dump());
    directory.write_config(with(mlx_config(), each.changes).dump());
    check_refused(directory, each.fault);
  }
  directory.write_config(with(mlx_config(), of_parameters({{"dropout", 0.1}})).dump());
  const std::vector<std::string> notes = open_adapter(directory.path(), base_layout()).notes;
  REQUIRE(notes.size() == 1);
  CHECK_THAT(notes.front(), ANE_CONTAINS("its dropout of 0.1 is ignored"));
}

TEST_CASE("an adapter survives the way from PEFT to MLX and back", "[model][adapter]") {
  const std::string dtype = GENERATE("F32", "F16", "BF16");
  const std::vector<std::string> adapted =
      GENERATE(modules(kAll), modules({"v_proj"}), modules({"q_proj", "up_proj"}, 1),
               std::vector<std::string>{module_name(0, "k_proj"), module_name(1, "down_proj")});
  const bool rank_stabilized = GENERATE(false, true);
  CAPTURE(dtype, adapted, rank_stabilized);
  const Directory directory(with(peft_config(), {{"target_modules", adapted}, {"use_rslora", rank_stabilized}}),
                            peft_tensors(adapted), dtype);
  convert(directory.path(), AdapterFormat::mlx, directory / "mlx");
  convert(directory / "mlx", AdapterFormat::peft, directory / "back");
  CHECK((tensor_bytes(directory / "back/adapter_model.safetensors") == tensor_bytes(directory / kAdapterFile)));
  CHECK((tensor_bytes(directory / "mlx/adapters.safetensors") != tensor_bytes(directory / kAdapterFile)));

  const Adapter before = open_adapter(directory.path(), base_layout()).adapter;
  for (const char* converted : {"mlx", "back"}) {
    const AdapterSource after = open_adapter(directory / converted, base_layout());
    CHECK(after.adapter.modules == before.modules);
    CHECK(after.adapter.rank == before.rank);
    CHECK(after.adapter.scale() == Approx(before.scale()).epsilon(1e-15));
    CHECK(after.base_model == "some/model");
  }
  CHECK((SafetensorsFile(directory / "mlx/adapters.safetensors").metadata() == Metadata{{"format", "mlx"}}));
  CHECK((SafetensorsFile(directory / "back/adapter_model.safetensors").metadata() == Metadata{{"format", "pt"}}));
}

TEST_CASE("the configs are written as PEFT and mlx-lm write them", "[model][adapter]") {
  const ParameterLayout base = base_layout();
  Adapter adapter = {.rank = 4, .alpha = 8, .modules = modules({"q_proj", "up_proj"})};
  Json config = Json::parse(peft_config_text(adapter, base, "some/model"));
  CHECK(config.at("peft_type") == "LORA");
  CHECK(config.at("task_type") == "CAUSAL_LM");
  CHECK(config.at("base_model_name_or_path") == "some/model");
  CHECK(config.at("r") == 4);
  CHECK(config.at("lora_alpha").is_number_integer());
  CHECK(config.at("lora_alpha") == 8);
  CHECK(config.at("bias") == "none");
  CHECK(config.at("use_rslora") == false);
  CHECK(config.at("target_modules") == Json({"q_proj", "up_proj"}));
  adapter = {.rank = 4, .alpha = 2.5, .rank_stabilized = true, .modules = modules({"q_proj"}, 1)};
  config = Json::parse(peft_config_text(adapter, base, ""));
  CHECK(config.at("lora_alpha") == 2.5);
  CHECK(config.at("use_rslora") == true);
  CHECK(config.at("target_modules") == Json(modules({"q_proj"}, 1)));

  const Directory directory(with(peft_config(), {{"target_modules", modules({"q_proj", "up_proj"}, 1)}}),
                            peft_tensors(modules({"q_proj", "up_proj"}, 1)));
  convert(directory.path(), AdapterFormat::mlx, directory / "mlx");
  CHECK(Json::parse(read_file(directory / "mlx/adapter_config.json")) ==
        Json({{"fine_tune_type", "lora"},
              {"lora_parameters",
               {{"dropout", 0.0}, {"keys", {"mlp.up_proj", "self_attn.q_proj"}}, {"rank", 2}, {"scale", 4.0}}},
              {"model", "some/model"},
              {"num_layers", 2}}));
}

TEST_CASE("an adapter can be written in another dtype, which must hold its values", "[model][adapter]") {
  Tensors tensors = peft_tensors(modules({"q_proj", "v_proj"}));
  tensors.begin()->second.values.front() = 1e6F;
  const Directory directory(peft_config(), tensors);
  const AdapterSource source = open_adapter(directory.path(), base_layout());
  const auto write = [&](const char* dtype) {
    const AdapterOutput output = {AdapterFormat::peft, "", dtype};
    const std::filesystem::path folder = directory / dtype;
    std::filesystem::create_directory(folder);
    write_adapter(folder, output, source.adapter, source.layout, *source.reader, base_layout());
    CHECK(adapter_bytes(source, output) == source.layout.parameter_count() * 2);
    return SafetensorsFile(folder / kAdapterFile).tensors().begin()->second.dtype;
  };
  CHECK(write("BF16") == "BF16");
  CHECK_THROWS_WITH(write("F16"), ANE_CONTAINS("too large for F16"));
}

/// Reads the same value everywhere.
class ConstantReader final : public ParameterReader {
 public:
  explicit ConstantReader(float value) : value_(value) {}
  void read(const Parameter& /*parameter*/, std::span<float> values) const override {
    std::ranges::fill(values, value_);
  }
  [[nodiscard]] std::string dtype(const Parameter& /*parameter*/) const override { return "BF16"; }

 private:
  float value_;
};

TEST_CASE("merging adds scale B A to the adapted matrices only", "[model][adapter]") {
  const bool is_mlx = GENERATE(false, true);
  const std::vector<std::string> adapted = {module_name(1, "v_proj"), module_name(2, "down_proj")};
  const Json peft = with(peft_config(), {{"target_modules", adapted}, {"lora_alpha", 3}});
  const Json mlx = with(mlx_config(), {{"lora_parameters", {{"keys", adapted}, {"scale", 1.5}}}});
  const Tensors tensors = peft_tensors(adapted);
  const Directory directory(is_mlx ? mlx : peft, is_mlx ? mlx_tensors(adapted) : tensors);
  const ParameterLayout base = base_layout();
  const AdapterSource source = open_adapter(directory.path(), base);
  const ConstantReader weights(0.25F);
  const MergedReader merged(weights, source);
  CHECK(merged.dtype(base.at(0)) == "BF16");
  std::vector<float> all(base.size(), 0.25F);
  for (const Parameter& each : base.parameters()) merge(source, each, slice(std::span(all), each));

  std::size_t changed = 0;
  for (const Parameter& parameter : base.parameters()) {
    CAPTURE(parameter.name);
    std::vector<float> values(parameter.count);
    merged.read(parameter, values);
    const std::span<const float> of_all = slice(std::span<const float>(all), parameter);
    CHECK(std::equal(values.begin(), values.end(), of_all.begin()));
    const std::string module = parameter.name.substr(0, parameter.name.rfind('.'));
    const auto a = tensors.find("base_model.model." + module + ".lora_A.weight");
    if (a == tensors.end() || !parameter.name.ends_with(".weight")) {
      CHECK(std::ranges::count(values, 0.25F) == static_cast<std::ptrdiff_t>(values.size()));
      continue;
    }
    ++changed;
    const std::vector<float>& b = tensors.at("base_model.model." + module + ".lora_B.weight").values;
    const auto columns = static_cast<std::size_t>(parameter.shape[1]);
    for (std::size_t i = 0; i < values.size(); ++i) {
      double expected = 0.25;
      double magnitude = 0.25;
      for (std::size_t k = 0; k < kRank; ++k) {
        const double term =
            1.5 * double{b[i / columns * kRank + k]} * double{a->second.values[k * columns + i % columns]};
        expected += term;
        magnitude += std::abs(term);
      }
      // fp32 rounds each of two products, their scaled sum and the last sum by at most 2^-24 of its magnitude.
      REQUIRE(std::abs(double{values[i]} - expected) <= 8 * 0x1p-24 * magnitude);
    }
  }
  CHECK(changed == 2);
}

TEST_CASE("merging that overflows is an error that names the matrix", "[model][adapter]") {
  Tensors tensors = peft_tensors({module_name(0, "q_proj")});
  for (auto& [name, tensor] : tensors) std::ranges::fill(tensor.values, 1e30F);
  const Directory directory(with(peft_config(), {{"target_modules", {module_name(0, "q_proj")}}}), tensors);
  const ParameterLayout base = base_layout();
  const AdapterSource source = open_adapter(directory.path(), base);
  const Parameter& changed = *base.find(module_name(0, "q_proj") + ".weight");
  std::vector<float> values(changed.count);
  CHECK_THROWS_AS(merge(source, changed, values), FileError);
  CHECK_THROWS_WITH(merge(source, changed, values),
                    ANE_CONTAINS("merging it gives non-finite values in 'model.layers.0.self_attn.q_proj.weight'"));
}

TEST_CASE("a pattern matches whole names and gives up on hostile expressions", "[model][adapter]") {
  CHECK(NamePattern("a|ab").matches("ab"));
  CHECK(NamePattern(R"(.*\.weight)").matches("model.norm.weight"));
  CHECK_FALSE(NamePattern("b").matches("ab"));
  CHECK_FALSE(NamePattern("a").matches("ab"));
  CHECK_FALSE(NamePattern("").matches("ab"));
  CHECK_THROWS_AS(NamePattern("[a"), UsageError);
  CHECK_THROWS_WITH(NamePattern(std::string(20'000, 'a')), ANE_CONTAINS("is too long"));
  const std::string name(60, 'a');
  CHECK_THROWS_WITH(NamePattern("(a|aa)+[^a]").matches(name), ANE_CONTAINS("match limit exceeded"));
  CHECK_THROWS_AS(NamePattern("(?:(?R)|a)*[^a]").matches(name), UsageError);
  CHECK_THROWS_AS(NamePattern(std::string(3000, '(') + "a" + std::string(3000, ')')), UsageError);
}

}  // namespace
}  // namespace ane::model
