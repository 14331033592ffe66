#include "ane/train/loss_scale.h"

#include <algorithm>
#include <string>

#include "support/catch.h"

using namespace ane::train;

TEST_CASE("the scale doubles after growth_interval good updates, up to the largest", "[train]") {
  const LossScaleOptions options{.largest = 4096, .growth_interval = 3};
  Progress progress{.loss_scale = 1024};
  for (int update = 1; update <= 12; ++update) {
    progress = after_good_update(progress, options);
    CAPTURE(update);
    CHECK(progress.loss_scale == (update < 3 ? 1024 : update < 6 ? 2048 : 4096));
  }
}

TEST_CASE("a run has diverged if most, and at least three, of its last ten updates were skipped", "[train]") {
  const auto diverged = [](const std::string& updates) {  // '-': skipped
    RunTotals totals;
    for (const char update : updates) count_update(totals, update == '-');
    CHECK(totals.updates == static_cast<std::int64_t>(updates.size()));
    CHECK(totals.skipped_updates == std::count(updates.begin(), updates.end(), '-'));
    return recent_skips(totals).diverged();
  };
  CHECK_FALSE(diverged(""));
  CHECK_FALSE(diverged("--"));
  CHECK(diverged("---"));
  CHECK_FALSE(diverged("---+++"));
  CHECK(diverged("----+++"));
  CHECK_FALSE(diverged("--------------------+++++-----"));
  CHECK(diverged("++++++++++++++++++++------++++"));
  CHECK(diverged("+---------------------------------------------------------------------------------------"));
  CHECK_FALSE(diverged("--------------------------------------------------------------------------------++++++++++"));
}

TEST_CASE("an overflow halves the scale and resets the count", "[train]") {
  const LossScaleOptions options{.growth_interval = 3};
  Progress progress{
      .step = 30, .update = 3, .optimizer_updates = 2, .loss_scale = 1024, .good_updates = 2, .last_loss = 5};
  progress = after_skipped_update(progress, options);
  CHECK(progress.loss_scale == 512);
  CHECK(progress.good_updates == 0);
  CHECK(progress.skipped_in_row == 1);
  progress = after_skipped_update(progress, options);
  CHECK(progress.loss_scale == 256);
  CHECK(progress.skipped_in_row == 2);
  progress = after_good_update(progress, options);
  CHECK(progress.skipped_in_row == 0);
  progress = after_good_update(after_good_update(progress, options), options);
  CHECK(progress.loss_scale == 512);
  CHECK(progress.step == 30);
  CHECK(progress.update == 3);
  CHECK(progress.optimizer_updates == 2);
  CHECK(progress.last_loss == 5);
}

TEST_CASE("a fixed scale stays, and its skipped updates are still counted", "[train]") {
  const LossScaleOptions options{.dynamic = false, .growth_interval = 1};
  const Progress progress = after_skipped_update(after_good_update({.loss_scale = 8}, options), options);
  CHECK(progress.loss_scale == 8);
  CHECK(progress.skipped_in_row == 1);
}

TEST_CASE("the scale neither falls below the smallest nor jumps to its limits", "[train]") {
  Progress progress{.loss_scale = 1024};
  for (int i = 0; i < 200; ++i) progress = after_skipped_update(progress, {});
  CHECK(progress.loss_scale == kSmallestLossScale);
  const LossScaleOptions options{.largest = 100, .growth_interval = 1};
  CHECK(after_good_update({.loss_scale = 1024}, options).loss_scale == 1024);
}
