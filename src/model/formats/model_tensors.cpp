#include "ane/model/model_tensors.h"

#include <cstdint>
#include <set>
#include <span>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "ane/core/error.h"
#include "ane/core/json_fault.h"
#include "ane/core/memory_reserve.h"

namespace ane::model {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::uint64_t kMaxIndexBytes = std::uint64_t{16} << 20U;  // a hundred thousand tensors
constexpr std::size_t kMaxShards = 1024;

/// The file of each tensor.
using WeightMap = std::map<std::string, std::string>;

WeightMap parse_index(const fs::path& path) {
  const std::string text = whole_text(RegularFile(path, "model index"), kMaxIndexBytes);
  ensure_memory_reserve();  // for JSON's destructors
  json index;
  try {
    index = json::parse(text);
  } catch (const json::exception& error) {
    throw_file_error(path,
                     fmt::format("expected a JSON object, but it is not valid JSON: {}", json_fault(error.what())));
  }
  if (!index.is_object()) throw_file_error(path, "expected a JSON object");
  const auto map = index.find("weight_map");
  if (map == index.end() || !map->is_object()) throw_file_error(path, "'weight_map' is missing or not an object");
  WeightMap weights;
  for (const auto& [tensor, file] : map->items()) {
    if (!file.is_string()) throw_file_error(path, fmt::format("the file of tensor '{}' is not a string", tensor));
    const auto name = file.get<std::string>();
    if (fs::path(name).filename() != name || name == "." || name == ".." || !name.ends_with(".safetensors"))
      throw_file_error(
          path, fmt::format("the file of tensor '{}' is '{}', but it must be the name of a .safetensors file beside "
                            "the index",
                            tensor, name));
    weights.emplace(tensor, name);
  }
  if (weights.empty()) throw_file_error(path, "'weight_map' is empty");
  return weights;
}

/// The index must list each tensor of the shards with its file, and nothing else.
void expect_listed(const fs::path& index, const WeightMap& weights, std::span<const SafetensorsFile> shards) {
  std::size_t found = 0;
  for (const SafetensorsFile& shard : shards) {
    const std::string file = shard.path().filename().string();
    for (const auto& [name, tensor] : shard.tensors()) {
      const auto entry = weights.find(name);
      if (entry == weights.end() || entry->second != file)
        throw_file_error(index,
                         fmt::format("{} contains tensor '{}', but the index {}", file, name,
                                     entry == weights.end() ? "does not list it"
                                                            : fmt::format("says that it is in {}", entry->second)));
      ++found;
    }
  }
  if (found == weights.size()) return;
  for (const auto& [name, file] : weights)
    for (const SafetensorsFile& shard : shards)
      if (shard.path().filename() == file && !shard.tensors().contains(name))
        throw_file_error(index, fmt::format("tensor '{}' is not in {}", name, file));
}

}  // namespace

ModelTensors::ModelTensors(const fs::path& file_or_index) : path_(file_or_index) {
  if (path_.extension() == ".json") {
    const WeightMap weights = parse_index(path_);
    std::set<std::string> files;
    for (const auto& [tensor, file] : weights) files.insert(file);
    if (files.size() > kMaxShards)
      throw_file_error(path_, fmt::format("it names {} files, but at most {} are accepted", files.size(), kMaxShards));
    shards_.reserve(files.size());
    for (const std::string& file : files) shards_.emplace_back(path_.parent_path() / file);
    expect_listed(path_, weights, shards_);
  } else {
    shards_.emplace_back(path_);
  }
  list_tensors();
}

ModelTensors::ModelTensors(const fs::path& path, std::vector<RegularFile> files) : path_(path) {
  shards_.reserve(files.size());
  for (RegularFile& file : files) shards_.emplace_back(std::move(file));
  list_tensors();
}

void ModelTensors::list_tensors() {
  for (const SafetensorsFile& shard : shards_)
    for (const auto& [name, tensor] : shard.tensors()) files_.emplace(name, &shard);
}

const SafetensorsFile& ModelTensors::file_of(std::string_view tensor) const {
  const auto found = files_.find(tensor);
  if (found == files_.end()) throw_file_error(path_, fmt::format("there is no tensor '{}'", tensor));
  return *found->second;
}

}  // namespace ane::model
