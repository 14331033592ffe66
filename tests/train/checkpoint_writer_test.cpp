#include "ane/train/checkpoint_writer.h"

#include <algorithm>

#include "support/catch.h"
#include "support/temporary_directory.h"
#include "train/slots.h"

using namespace ane::train;

namespace {

const CheckpointIdentity kWriterIdentity{
    .model = {.family = ane::model::Family::mlp, .dim = 8, .hidden = 16, .seq_len = 4}, .data = "tokens"};

ane::model::ParameterLayout large_layout() {
  ane::model::ParameterLayout layout;
  layout.add({"w", {1000, 1000}, ane::model::Role::matrix});
  return layout;
}

/// Fills every array with `value`.
void fill(StateArena& state, float value) {
  std::fill(state.parameters().begin(), state.parameters().end(), value);
  for (std::size_t i = 0; i < state.slots().size(); ++i)
    std::fill(state.slot(i).begin(), state.slot(i).end(), value + static_cast<float>(i + 1));
}

}  // namespace

TEST_CASE("a checkpoint contains the state at its start, whatever training does next", "[train]") {
  const TemporaryDirectory directory;
  const auto layout = large_layout();
  StateArena state(layout.size(), adamw_slots(layout), 1);
  CheckpointWriter writer(directory.path(), {2}, layout, state);
  CHECK_FALSE(writer.wait());
  CHECK_FALSE(writer.poll());
  for (int update = 1; update <= 4; ++update) {
    CAPTURE(update);
    fill(state, static_cast<float>(update));
    state.progress() = {.step = 10 * update, .update = update, .loss_scale = 8};
    writer.start(kWriterIdentity);
    state.progress() = {.step = 999, .loss_scale = 1};  // steps may change this, and an update after waiting
    writer.wait_until_copied();
    fill(state, -1);

    const auto result = writer.wait();
    REQUIRE(result);
    CHECK_FALSE(writer.busy());
    CHECK_FALSE(result->failure);
    CHECK_FALSE(result->warning);
    CHECK(result->event.update == update);
    CHECK(result->event.step == 10 * update);
    StateArena loaded(layout.size(), adamw_slots(layout), 1);
    load_checkpoint(result->event.path, layout, loaded, kWriterIdentity);
    CHECK(loaded.progress().step == 10 * update);
    const auto all = [](std::span<const float> values, int value) {
      return std::all_of(values.begin(), values.end(), [&](float each) { return each == static_cast<float>(value); });
    };
    CHECK(all(loaded.parameters(), update));
    CHECK(all(loaded.slot(0), update + 1));
    CHECK(all(loaded.slot(1), update + 2));
  }
  CHECK(checkpoints_in(directory.path()).size() == 2);
}

TEST_CASE("a failed write is returned as a result, and the state may change again", "[train]") {
  const TemporaryDirectory directory;
  const auto layout = large_layout();
  StateArena state(layout.size(), no_slots(layout), 1);
  state.progress().loss_scale = 1;
  CheckpointWriter writer(directory.write("file", "x"), {2}, layout, state);
  writer.start(kWriterIdentity);
  writer.wait_until_copied();
  const auto result = writer.wait();
  REQUIRE(result);
  REQUIRE(result->failure);
  CHECK_THAT(*result->failure, ANE_CONTAINS("file"));
}
