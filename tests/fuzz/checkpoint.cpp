#include "ane/train/checkpoint.h"

#include <cmath>

#include <fmt/format.h>

#include "ane/core/checksum.h"
#include "ane/core/error.h"
#include "ane/train/optimizer.h"

#include "fuzz/support.h"

namespace fuzz {
namespace {

using namespace ane;

const train::CheckpointIdentity kIdentity{
    .model = {.family = ane::model::Family::mlp, .dim = 8, .hidden = 16, .seq_len = 4}, .data = "tokens"};

model::ParameterLayout small_layout() {
  model::ParameterLayout layout;
  layout.add({"model.norm.weight", {3}, model::Role::norm});
  return layout;
}

std::filesystem::path write_whole(const std::filesystem::path& directory, const model::ParameterLayout& layout) {
  train::StateArena state(layout.size(), train::optimizer_slots({}, layout), 1);
  state.progress() = {.step = 8, .update = 2, .optimizer_updates = 2, .loss_scale = 1024, .last_loss = 3};
  return train::write_checkpoint(directory, layout, state, kIdentity);
}

}  // namespace

void checkpoint(Bytes json) {
  static const TemporaryDirectory directory;
  static const model::ParameterLayout layout = small_layout();
  static const std::filesystem::path place = write_whole(directory.path(), layout);
  static train::StateArena state(layout.size(), train::optimizer_slots({}, layout), 1);
  std::ofstream(place / "trainer.json", std::ios::binary)
      << text_of(json) << fmt::format(",\n  \"seal\": \"{:016x}\"\n}}\n", checksum_of(json));
  may_refuse<FileError, UsageError>([&] {  // usage: of another model or other data
    train::load_checkpoint(place, layout, state, kIdentity);
    const train::Progress& progress = state.progress();
    require(progress.step >= 0 && progress.update >= 0 && progress.optimizer_updates >= 0, "counts are not negative");
    require(std::isnormal(static_cast<float>(progress.loss_scale)) && progress.loss_scale > 0,
            "the loss scale is positive, in fp32");
  });
}

}  // namespace fuzz
