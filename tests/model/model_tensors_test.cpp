#include "ane/model/model_tensors.h"

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "ane/core/error.h"
#include "ane/model/weight_files.h"

#include "model/files.h"
#include "support/catch.h"

namespace ane::model {
namespace {

using test::TemporaryFolder;
using test::write_file;

constexpr std::array kFirst = {1.0F, 2.0F};
constexpr std::array kSecond = {3.0F};
const std::string kOne = "model-00001-of-00002.safetensors";
const std::string kTwo = "model-00002-of-00002.safetensors";

/// A model of two shards, and its index.
class Sharded {
 public:
  Sharded() {
    write_safetensors(folder_ / kOne, std::vector<NamedTensor>{{"a", {2}, kFirst}}, {});
    write_safetensors(folder_ / kTwo, std::vector<NamedTensor>{{"b", {1}, kSecond}}, {});
    write_index({{"a", kOne}, {"b", kTwo}});
  }
  void write_index(const std::vector<std::pair<std::string, std::string>>& map) const {
    std::string entries;
    for (const auto& [tensor, file] : map) entries += (entries.empty() ? "\"" : ",\"") + tensor + "\":\"" + file + "\"";
    write_text(R"({"metadata":{"total_size":12},"weight_map":{)" + entries + "}}");
  }
  void write_text(const std::string& json) const { write_file(index(), json); }
  [[nodiscard]] std::filesystem::path index() const { return folder_ / kIndexFile; }
  [[nodiscard]] std::filesystem::path operator/(const std::string& name) const { return folder_ / name; }

 private:
  TemporaryFolder folder_;
};

TEST_CASE("the tensors of all shards are read", "[model][safetensors]") {
  const Sharded model;
  ParameterLayout layout;
  layout.add({.name = "b", .shape = {1}, .role = Role::norm});
  layout.add({.name = "a", .shape = {2}, .role = Role::norm});
  std::vector<float> values(layout.size());
  const ModelTensors tensors(model.index());
  CHECK(tensors.files().size() == 2);
  read_tensors(tensors, layout, values);
  CHECK(values[0] == 3);
  CHECK(values[16] == 1);
  CHECK(values[17] == 2);
  layout.add({.name = "c", .shape = {1}, .role = Role::norm});
  CHECK_THROWS_WITH(expect_tensors(tensors, layout), ANE_CONTAINS("there is no tensor 'c'"));
}

TEST_CASE("tensors that follow from others are ignored", "[model][safetensors]") {
  const TemporaryFolder folder;
  write_safetensors(folder / "m.safetensors",
                    std::vector<NamedTensor>{{"model.layers.0.self_attn.rotary_emb.inv_freq", {2}, kFirst},
                                             {"lm_head.weight", {2}, kFirst},
                                             {"w", {1}, kSecond}},
                    {});
  const ModelTensors tensors(folder / "m.safetensors");
  ParameterLayout tied;
  tied.add({.name = "w", .shape = {1}});
  CHECK_NOTHROW(expect_tensors(tensors, tied));
  ParameterLayout untied = tied;
  untied.add({.name = "lm_head.weight", .shape = {3}});
  CHECK_THROWS_WITH(expect_tensors(tensors, untied), ANE_CONTAINS("'lm_head.weight' has shape"));
}

TEST_CASE("an index that is wrong is refused, naming the fault", "[model][safetensors][malformed]") {
  const Sharded model;
  const auto check = [&](const std::string& fault) {
    CAPTURE(fault);
    CHECK_THROWS_AS(ModelTensors(model.index()), FileError);
    CHECK_THROWS_WITH(ModelTensors(model.index()), ANE_CONTAINS(fault));
  };
  for (const std::string text : {"", "[]", "{"}) {
    model.write_text(text);
    check("expected a JSON object");
  }
  model.write_text("{}");
  check("'weight_map' is missing");
  model.write_text(R"({"weight_map":{}})");
  check("'weight_map' is empty");
  model.write_text(R"({"weight_map":{"a":1}})");
  check("the file of tensor 'a' is not a string");
  for (const std::string file : {"../m.safetensors", "/etc/hostname", "..", "", "sub/m.safetensors", "m.bin"}) {
    model.write_index({{"a", file}});
    check("must be the name of a .safetensors file beside the index");
  }
  model.write_index({{"a", kOne}, {"b", "absent.safetensors"}});
  check("absent.safetensors");
  model.write_index({{"a", kTwo}, {"b", kTwo}});
  check("tensor 'a' is not in " + kTwo);
  model.write_index({{"a", kOne}, {"b", kOne}});
  check("tensor 'b' is not in " + kOne);
  model.write_index({{"a", kOne}, {"b", kTwo}, {"c", kTwo}});
  check("tensor 'c' is not in " + kTwo);
  write_safetensors(model / kTwo, std::vector<NamedTensor>{{"b", {1}, kSecond}, {"a", {2}, kFirst}}, {});
  model.write_index({{"a", kOne}, {"b", kTwo}});
  check(kTwo + " contains tensor 'a', but the index says that it is in " + kOne);
}

}  // namespace
}  // namespace ane::model
