#include <array>
#include <filesystem>
#include <vector>

#include "ane/core/error.h"
#include "ane/model/model_tensors.h"

#include "fuzz/support.h"

namespace fuzz {

using namespace ane;

/// Beside the index are two shards with one tensor each: "a" in a.safetensors, "b" in b.safetensors.
void model_index(Bytes json) {
  static InputFile input(model::kIndexFile);
  const std::filesystem::path& path = input.hold(json);
  static const bool written = [&] {
    constexpr std::array kValues = {1.0F, 2.0F};
    for (const char* name : {"a", "b"})
      model::write_safetensors(path.parent_path() / (std::string(name) + ".safetensors"),
                               std::vector<model::NamedTensor>{{name, {2}, kValues}}, {});
    return true;
  }();
  require(written, "the shards are there");
  may_refuse<FileError>([&] {
    const model::ModelTensors tensors(path);
    for (const auto& [name, file] : tensors.files())
      require(file->path().parent_path() == path.parent_path(), "no shard lies outside the directory");
  });
}

}  // namespace fuzz
