#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "ane/core/error.h"
#include "ane/model/models.h"
#include "ane/model/weight_files.h"

#include "model/files.h"
#include "support/catch.h"

namespace ane::model {
namespace {

using test::bytes_of;
using test::read_file;
using test::TemporaryFolder;
using test::write_file;

using Header = std::array<std::int32_t, 7>;  // dim, hidden, layers, heads, kv_heads, vocab, seq
constexpr Header kHeader = {4, 6, 2, 2, 1, 3, 5};
constexpr std::size_t kRopeElements = 5 * 2;  // two tables of seq x head_dim/2
constexpr std::size_t kElements = 3 * 4 + 2 * (4 + 16 + 8 + 8 + 16 + 4 + 24 + 24 + 24) + 4 + kRopeElements;

/// Element i of the file has the value i.
std::string model_file(const Header& header, std::size_t elements) {
  std::string bytes = bytes_of(header);
  for (std::size_t i = 0; i < elements; ++i) bytes += bytes_of(static_cast<float>(i));
  return bytes;
}

TEST_CASE("a tied model's tensors are read from their positions in the file", "[model][llama2c]") {
  const TemporaryFolder folder;
  write_file(folder / "m.bin", model_file(kHeader, kElements));
  const ModelConfig config = read_llama2c_config(folder / "m.bin");
  CHECK(config.dim == 4);
  CHECK(config.hidden == 6);
  CHECK(config.layers == 2);
  CHECK(config.heads == 2);
  CHECK(config.kv_heads == 1);
  CHECK(config.vocab == 3);
  CHECK(config.seq_len == 5);
  CHECK(config.tied_embeddings);

  const ParameterLayout layout = parameter_layout(config);
  std::vector<float> values(layout.size());
  read_llama2c(folder / "m.bin", layout, values);
  const auto first = [&](const char* name) { return values[layout.find(name)->offset]; };
  CHECK(first("model.embed_tokens.weight") == 0);
  CHECK(first("model.layers.0.input_layernorm.weight") == 12);
  CHECK(first("model.layers.1.input_layernorm.weight") == 16);
  CHECK(first("model.layers.0.self_attn.q_proj.weight") == 20);
  CHECK(first("model.layers.1.self_attn.k_proj.weight") == 60);
  CHECK(first("model.layers.0.mlp.gate_proj.weight") == 124);
  CHECK(first("model.layers.0.mlp.down_proj.weight") == 172);
  CHECK(first("model.layers.1.mlp.up_proj.weight") == 244);
  CHECK(first("model.norm.weight") == 268);
  CHECK(values[layout.find("model.norm.weight")->offset + 3] == 271);
}

TEST_CASE("the rows of q_proj and k_proj are reordered for RoPE on halves", "[model][llama2c]") {
  const TemporaryFolder folder;
  const Header header = {8, 6, 1, 2, 1, 3, 5};  // 2 query heads of 4 rows, 1 key head
  constexpr std::size_t kTensors = 3 * 8 + (8 + 64 + 32 + 32 + 64 + 8 + 3 * 48) + 8;
  write_file(folder / "m.bin", model_file(header, kTensors + 5 * 4));
  const ParameterLayout layout = parameter_layout(read_llama2c_config(folder / "m.bin"));
  std::vector<float> values(layout.size());
  read_llama2c(folder / "m.bin", layout, values);
  // The file has row r of q_proj at 32 + 8 r, of k_proj at 96 + 8 r and of v_proj at 128 + 8 r.
  const auto rows = [&](const char* name, float begin) {
    const Parameter& parameter = *layout.find(name);
    std::vector<float> found;
    for (std::size_t i = 0; i < parameter.count; i += 8) {
      const float first = values[parameter.offset + i];
      CHECK(values[parameter.offset + i + 7] == first + 7);
      found.push_back((first - begin) / 8);
    }
    return found;
  };
  CHECK(rows("model.layers.0.self_attn.q_proj.weight", 32) == std::vector<float>{0, 2, 1, 3, 4, 6, 5, 7});
  CHECK(rows("model.layers.0.self_attn.k_proj.weight", 96) == std::vector<float>{0, 2, 1, 3});
  CHECK(rows("model.layers.0.self_attn.v_proj.weight", 128) == std::vector<float>{0, 1, 2, 3});
}

TEST_CASE("a negative vocabulary size marks an untied classifier after the RoPE tables", "[model][llama2c]") {
  const TemporaryFolder folder;
  Header header = kHeader;
  header[5] = -3;
  write_file(folder / "m.bin", model_file(header, kElements + 12));
  const ModelConfig config = read_llama2c_config(folder / "m.bin");
  CHECK_FALSE(config.tied_embeddings);
  CHECK(config.vocab == 3);
  const ParameterLayout layout = parameter_layout(config);
  std::vector<float> values(layout.size());
  read_llama2c(folder / "m.bin", layout, values);
  CHECK(values[layout.find("lm_head.weight")->offset] == static_cast<float>(kElements));
}

TEST_CASE("a damaged model file names its fault", "[model][llama2c][malformed]") {
  const auto with = [](std::size_t field, std::int32_t value) {
    Header header = kHeader;
    header.at(field) = value;
    return model_file(header, kElements);
  };
  struct Case {
    const char* fault;
    std::string bytes;
  };
  const std::vector<Case> cases = {
      {"too few for a llama2.c model", std::string(27, 'x')},
      {"dim = 0", with(0, 0)},
      {"hidden_dim = -1", with(1, -1)},
      {"n_layers = -2147483648", with(2, INT32_MIN)},
      {"heads must divide dim", with(3, 3)},
      {"kv_heads must divide heads", with(4, 3)},
      {"it must be even", with(3, 4)},
      {"vocab_size", with(5, 0)},
      {"vocab_size = -2147483648", with(5, INT32_MIN)},
      {"the embedding would have 2000000000 x 4 elements", with(5, 2000000000)},
      {"max_seq_len = 0", with(6, 0)},
      {"at most 2147483647", with(0, 1'000'000)},
      {"layers is 2147483647", with(2, INT32_MAX)},
      {"bytes, but dim=4", model_file(kHeader, kElements - 1)},
      {"bytes, but dim=4", model_file(kHeader, kElements + 1)},
      {"bytes, but dim=4", model_file(kHeader, kElements) + "x"},
  };
  for (const Case& wrong : cases) {
    const TemporaryFolder folder;
    write_file(folder / "m.bin", wrong.bytes);
    INFO(wrong.fault);
    CHECK_THROWS_AS(read_llama2c_config(folder / "m.bin"), FileError);
    CHECK_THROWS_WITH(read_llama2c_config(folder / "m.bin"), ANE_CONTAINS(wrong.fault) && ANE_CONTAINS("m.bin"));
  }
}

TEST_CASE("a model of another shape and one with a NaN are refused with the tensor's name",
          "[model][llama2c][malformed]") {
  const TemporaryFolder folder;
  std::string bytes = model_file(kHeader, kElements);
  write_file(folder / "m.bin", bytes);
  ModelConfig config = read_llama2c_config(folder / "m.bin");
  const auto check_fault = [&](const char* fault) {
    const ParameterLayout layout = parameter_layout(config);
    std::vector<float> values(layout.size());
    CHECK_THROWS_AS(read_llama2c(folder / "m.bin", layout, values), FileError);
    CHECK_THROWS_WITH(read_llama2c(folder / "m.bin", layout, values), ANE_CONTAINS(fault));
  };
  config.hidden = 8;
  check_fault("'model.layers.0.mlp.gate_proj.weight' has shape [6, 4], expected [8, 4]");
  config.hidden = 6;
  config.layers = 3;
  check_fault("no tensor 'model.layers.2.input_layernorm.weight'");
  config.layers = 1;
  check_fault("the model has no tensor 'model.layers.1.input_layernorm.weight'");

  config.layers = 2;
  bytes.replace(28 + 4 * 269, 4, bytes_of(std::numeric_limits<float>::infinity()));
  write_file(folder / "m.bin", bytes);
  check_fault("'model.norm.weight' contains a non-finite value");
}

/// Reads the file and writes it again.
std::string written_again(const TemporaryFolder& folder, const ModelConfig& config) {
  const ParameterLayout layout = parameter_layout(config);
  TemporaryFile file(folder / "again.bin");
  write_llama2c(file, config, layout, *open_llama2c(folder / "m.bin", layout));
  file.commit();
  return read_file(folder / "again.bin");
}

TEST_CASE("a model is written as it was read, except for the unused tables", "[model][llama2c]") {
  const TemporaryFolder folder;
  const bool tied = GENERATE(true, false);
  Header header = {8, 6, 2, 2, 1, 3, 5};  // heads of 4 rows, so that rows are reordered
  constexpr std::size_t kBeforeTables = 3 * 8 + 2 * (8 + 64 + 32 + 32 + 64 + 8 + 3 * 48) + 8;
  constexpr std::size_t kTables = 5 * 4;
  if (!tied) header[5] = -3;
  const std::string original = model_file(header, kBeforeTables + kTables + (tied ? 0 : 24));
  write_file(folder / "m.bin", original);
  const ModelConfig config = read_llama2c_config(folder / "m.bin");
  const std::string again = written_again(folder, config);
  CHECK(again.size() == llama2c_bytes(config, parameter_layout(config)));
  REQUIRE(again.size() == original.size());
  const std::size_t tables = sizeof(Header) + sizeof(float) * kBeforeTables;
  const std::size_t end = tables + sizeof(float) * kTables;
  CHECK((again.substr(0, tables) == original.substr(0, tables)));
  CHECK((again.substr(end) == original.substr(end)));

  // Cosines of all positions, then sines; the pairs of a head of 4 rows turn by 1 and 0.01 per position.
  std::string expected;
  for (const bool is_sine : {false, true})
    for (int position = 0; position < 5; ++position)
      for (const double frequency : {1.0, 0.01})
        expected +=
            bytes_of(static_cast<float>(is_sine ? std::sin(position * frequency) : std::cos(position * frequency)));
  CHECK((again.substr(tables, end - tables) == expected));
}

TEST_CASE("what llama2.c's program does not compute is an obstacle with its name", "[model][llama2c]") {
  const ModelConfig good = {
      .dim = 8, .hidden = 12, .layers = 2, .heads = 4, .kv_heads = 2, .head_dim = 2, .vocab = 10, .seq_len = 16};
  CHECK(obstacle_to_llama2c(good, parameter_layout(good)) == std::nullopt);
  const auto check_obstacle = [&](auto change, const char* obstacle) {
    ModelConfig config = good;
    change(config);
    const auto found = obstacle_to_llama2c(config, parameter_layout(config));
    REQUIRE(found.has_value());
    CHECK_THAT(*found, ANE_CONTAINS(obstacle));
  };
  check_obstacle([](ModelConfig& c) { c.rope_theta = 10001; }, "rope_theta is 10001");
  check_obstacle([](ModelConfig& c) { c.norm_eps = 1e-6; }, "rms_norm_eps is 1e-06");
  check_obstacle([](ModelConfig& c) { c.head_dim = 4; }, "head_dim is 4");
  check_obstacle([](ModelConfig& c) { c.rope_scaling = RopeScaling(); }, "rope_scaling");
  check_obstacle([](ModelConfig& c) { c.seq_len = std::size_t{1} << 29U; }, "max_position_embeddings is 536870912");
  check_obstacle([](ModelConfig& c) { c = {.family = Family::mlp, .dim = 8, .hidden = 16, .seq_len = 4}; }, "mlp");

  check_obstacle([](ModelConfig& c) { c.family = Family::qwen2; }, "'model.layers.0.self_attn.q_proj.bias'");
  check_obstacle([](ModelConfig& c) { c.family = Family::qwen3; }, "'model.layers.0.self_attn.q_norm.weight'");
}

}  // namespace
}  // namespace ane::model
