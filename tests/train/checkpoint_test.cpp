#include "ane/train/checkpoint.h"

#include <algorithm>
#include <csignal>
#include <cstring>
#include <fstream>
#include <limits>
#include <memory>
#include <numeric>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/resource.h>
#include <sys/stat.h>

#include "ane/core/checksum.h"
#include "ane/core/error.h"
#include "ane/core/file.h"
#include "ane/math/random.h"
#include "ane/model/companions.h"
#include "ane/model/weight_files.h"

#include "support/catch.h"
#include "support/meta_rows.h"
#include "support/sanitized.h"
#include "support/temporary_directory.h"
#include "train/files.h"
#include "train/slots.h"

using namespace ane::train;
namespace fs = std::filesystem;

namespace {

const CheckpointIdentity kIdentity{.model = {.family = ane::model::Family::mlp, .dim = 8, .hidden = 16, .seq_len = 4},
                                   .data = "tokens.bin 100 tokens"};

ane::model::ParameterLayout some_layout(std::int64_t rows = 5) {
  ane::model::ParameterLayout layout;
  layout.add({"model.embed_tokens.weight", {rows, 7}, ane::model::Role::embedding});
  layout.add({"model.norm.weight", {3}, ane::model::Role::norm});
  return layout;
}

StateArena some_state(const ane::model::ParameterLayout& layout, MakeSlots slots, std::uint64_t seed) {
  return {layout.size(), slots(layout), seed};
}

void fill_random(const ane::model::ParameterLayout& layout, StateArena& state, std::uint64_t seed) {
  for (const auto& parameter : layout.parameters()) {
    ane::math::fill_normal({seed, parameter.offset}, 1, slice(state.parameters(), parameter));
    for (std::size_t i = 0; i < state.slots().size(); ++i)
      ane::math::fill_normal({seed + 1 + i, parameter.offset}, 1, slice(state.slot(i), parameter));
  }
  state.progress() = {.step = 120,
                      .update = 12,
                      .optimizer_updates = 11,
                      .loss_scale = 0.1 + 0.2,  // needs all 17 digits
                      .good_updates = 4,
                      .skipped_in_row = 1,
                      .last_loss = 2.0 / 3};
}

bool equal(std::span<const float> a, std::span<const float> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

/// Writes a checkpoint of a state from `seed` at `step` and returns its path.
fs::path write_some(const fs::path& directory, std::int64_t step, std::uint64_t seed = 1,
                    MakeSlots slots = adamw_slots) {
  const auto layout = some_layout();
  StateArena state = some_state(layout, slots, 1);
  fill_random(layout, state, seed);
  state.progress().step = step;
  return write_checkpoint(directory, layout, state, kIdentity);
}

void load_some(const fs::path& checkpoint, const CheckpointIdentity& identity = kIdentity,
               MakeSlots slots = adamw_slots, std::int64_t rows = 5) {
  const auto layout = some_layout(rows);
  StateArena state = some_state(layout, slots, 1);
  load_checkpoint(checkpoint, layout, state, identity);
}

LoadedCheckpoint load_newest(const fs::path& directory) {
  const auto layout = some_layout();
  StateArena state = some_state(layout, adamw_slots, 1);
  return load_newest_checkpoint(directory, layout, state, kIdentity);
}

void write_text(const fs::path& path, std::string_view text) { std::ofstream(path, std::ios::binary) << text; }

/// Changes one value of a checkpoint's trainer.json and updates its checksum, like a faulty program.
void edit_trainer(const fs::path& checkpoint, const nlohmann::json::json_pointer& where, const nlohmann::json& value) {
  auto trainer = nlohmann::ordered_json::parse(text_of(checkpoint / "trainer.json"));
  trainer.erase("seal");
  trainer[nlohmann::ordered_json::json_pointer(where.to_string())] = value;
  std::string text = trainer.dump(2);
  text.resize(text.size() - 2);
  text += fmt::format(",\n  \"seal\": \"{:016x}\"\n}}\n", ane::checksum_of(std::as_bytes(std::span(text))));
  write_text(checkpoint / "trainer.json", text);
}

const std::vector<std::string> kFiles = {"trainer.json", "config.json", "model.safetensors", "first_moment.safetensors",
                                         "second_moment.safetensors"};

std::size_t entries(const fs::path& directory) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(directory), fs::directory_iterator()));
}

}  // namespace

TEST_CASE("a checkpoint contains the whole state, bit for bit", "[train]") {
  const TemporaryDirectory directory;
  const MakeSlots slots = GENERATE(values<MakeSlots>({no_slots, adamw_slots}));
  const std::size_t slot_count = slots(some_layout()).size();
  const auto layout = some_layout();
  StateArena saved = some_state(layout, slots, 1);
  fill_random(layout, saved, 7);
  const fs::path place = write_checkpoint(directory.path() / "run", layout, saved, kIdentity);
  CHECK(place == directory.path() / "run" / "step-00000120");
  CHECK(fs::exists(place / "first_moment.safetensors") == (slot_count > 0));
  CHECK(entries(place) == 3 + slot_count);
  CHECK(entries(directory.path() / "run") == 1);

  StateArena loaded = some_state(layout, slots, 2);
  load_checkpoint(place, layout, loaded, kIdentity);
  CHECK(equal(loaded.parameters(), saved.parameters()));
  for (std::size_t i = 0; i < slot_count; ++i) CHECK(equal(loaded.slot(i), saved.slot(i)));
  CHECK(loaded.progress().step == 120);
  CHECK(loaded.progress().update == 12);
  CHECK(loaded.progress().optimizer_updates == 11);
  CHECK(loaded.progress().loss_scale == saved.progress().loss_scale);
  CHECK(loaded.progress().good_updates == 4);
  CHECK(loaded.progress().skipped_in_row == 1);
  CHECK(loaded.progress().last_loss == saved.progress().last_loss);

  std::vector<float> weights(layout.size());
  ane::model::read_safetensors(place / "model.safetensors", layout, weights);
  CHECK(equal(weights, saved.parameters()));
}

TEST_CASE("a checkpoint contains the stale parameters of a pipeline, and can be resumed without one", "[train]") {
  const TemporaryDirectory directory;
  const auto layout = some_layout();
  StateArena saved(layout.size(), adamw_slots(layout), 1, Staleness::one_update);
  fill_random(layout, saved, 7);
  for (const auto& parameter : layout.parameters())
    ane::math::fill_normal({70, parameter.offset}, 1, slice(saved.running_parameters(), parameter));
  const fs::path place = write_checkpoint(directory.path(), layout, saved, kIdentity);

  StateArena loaded(layout.size(), adamw_slots(layout), 1, Staleness::one_update);
  load_checkpoint(place, layout, loaded, kIdentity);
  CHECK(equal(loaded.parameters(), saved.parameters()));
  CHECK(equal(loaded.running_parameters(), saved.running_parameters()));
  load_some(place);

  load_checkpoint(write_some(directory.path(), 500), layout, loaded, kIdentity);
  CHECK(equal(loaded.running_parameters(), loaded.parameters()));
}

TEST_CASE("the newest checkpoint is the highest step", "[train]") {
  const TemporaryDirectory directory;
  CHECK_THROWS_AS(load_newest(directory.path()), ane::FileError);
  CHECK_THROWS_WITH(load_newest(directory.path()), ANE_CONTAINS("no checkpoint to resume from"));
  CHECK_THROWS_WITH(load_newest(directory.path() / "missing"), ANE_CONTAINS("missing"));

  const fs::path first = write_some(directory.path(), 90);
  CHECK(load_newest(directory.path()).path == first);
  const fs::path second = write_some(directory.path(), 100);
  const fs::path huge = write_some(directory.path(), 1234567890);
  fs::create_directory(directory.path() / "step-abc");
  fs::copy(first, directory.path() / ".partial-step-00000500");
  fs::copy(first, directory.path() / "step-500");
  (void)directory.write("step-00000700", "a file");
  CHECK(checkpoints_in(directory.path()) == std::vector{huge, second, first});
  CHECK(load_newest(directory.path()).path == huge);
  CHECK(load_newest(directory.path()).unusable.empty());
  CHECK_FALSE(fs::exists(directory.path() / ".partial-step-00000500"));
}

TEST_CASE("a damaged checkpoint is reported and renamed, and the previous one is used", "[train][malformed]") {
  const TemporaryDirectory directory;
  const fs::path first = write_some(directory.path(), 10);
  const fs::path second = write_some(directory.path(), 20);
  const fs::path third = write_some(directory.path(), 30);
  const fs::path empty = directory.path() / "step-00000040";
  fs::create_directory(empty);
  fs::resize_file(third / "model.safetensors", 100);

  const LoadedCheckpoint loaded = load_newest(directory.path());
  CHECK(loaded.path == second);
  REQUIRE(loaded.unusable.size() == 2);
  CHECK_THAT(loaded.unusable[0], ANE_CONTAINS("step-00000040") && ANE_CONTAINS("does not exist"));
  CHECK_THAT(loaded.unusable[1], ANE_CONTAINS((third / "model.safetensors").string() + ": 100 bytes long") &&
                                     ANE_CONTAINS("now " + (directory.path() / "damaged-step-00000030").string()));
  CHECK(checkpoints_in(directory.path()) == std::vector{second, first});
  CHECK(load_newest(directory.path()).unusable.empty());

  // Repeated damage of the same step does not prevent renaming, and earlier damaged checkpoints stay.
  const fs::path again = write_some(directory.path(), 30);
  fs::remove(again / "trainer.json");
  CHECK(load_newest(directory.path()).path == second);
  CHECK(fs::exists(directory.path() / "damaged-step-00000030/trainer.json"));
  CHECK(fs::exists(directory.path() / "damaged-step-00000030-2/model.safetensors"));
  for (const fs::path& checkpoint : {first, second}) fs::remove(checkpoint / "trainer.json");
  CHECK_THROWS_AS(load_newest(directory.path()), ane::FileError);
  CHECK_THROWS_WITH(load_newest(directory.path()), ANE_CONTAINS("no checkpoint to resume from"));
}

TEST_CASE("every fault is named if no checkpoint is usable", "[train][malformed]") {
  const TemporaryDirectory directory;
  for (const int step : {10, 20}) fs::remove(write_some(directory.path(), step) / "second_moment.safetensors");
  CHECK_THROWS_WITH(load_newest(directory.path()),
                    ANE_CONTAINS("step-00000010/second_moment.safetensors: it does not") &&
                        ANE_CONTAINS("step-00000020/second_moment.safetensors: it does"));
}

TEST_CASE("the newest checkpoints are kept, and damaged ones are neither counted nor removed", "[train]") {
  const TemporaryDirectory directory;
  std::vector<fs::path> written;
  for (int step = 1; step <= 6; ++step) written.push_back(write_some(directory.path(), step));
  fs::remove(written[5] / "trainer.json");
  fs::resize_file(written[4] / "first_moment.safetensors", 10);
  remove_old_checkpoints(directory.path(), {2});
  CHECK(checkpoints_in(directory.path()) == std::vector{written[5], written[4], written[3], written[2]});
  remove_old_checkpoints(directory.path(), {1});
  CHECK(checkpoints_in(directory.path()) == std::vector{written[5], written[4], written[3]});
  CHECK(entries(directory.path()) == 3);
}

TEST_CASE("the best checkpoint that any record names is kept", "[train]") {
  const TemporaryDirectory directory;
  const auto write = [&](std::int64_t step, std::int64_t best_step, double best_loss) {
    const auto layout = some_layout();
    StateArena state = some_state(layout, adamw_slots, 1);
    fill_random(layout, state, 1);
    state.progress().step = step;
    state.progress().best_validation_step = best_step;
    state.progress().best_validation_loss = best_loss;
    return write_checkpoint(directory.path(), layout, state, kIdentity);
  };
  const fs::path first = write(1, 1, 3.5);
  const fs::path second = write(2, 1, 3.5);  // validated after it was written
  const fs::path third = write(3, 2, 2.5);
  const fs::path fourth = write(4, 9, 1.5);  // the best could not be written
  const fs::path fifth = write(5, 9, 1.5);
  remove_old_checkpoints(directory.path(), {.newest = 3, .best = true});
  CHECK(checkpoints_in(directory.path()) == std::vector{fifth, fourth, third, second});
  remove_old_checkpoints(directory.path(), {.newest = 1, .best = true});  // no record names the second one any more
  CHECK(checkpoints_in(directory.path()).front() == fifth);
  remove_old_checkpoints(directory.path(), {.newest = 1});
  CHECK(checkpoints_in(directory.path()) == std::vector{fifth});

  const auto layout = some_layout();
  StateArena loaded = some_state(layout, adamw_slots, 1);
  load_checkpoint(fifth, layout, loaded, kIdentity);
  CHECK(loaded.progress().best_validation_step == 9);
  CHECK(loaded.progress().best_validation_loss == 1.5);
}

TEST_CASE("a complete checkpoint of the same step is kept, and leftovers are removed", "[train]") {
  const TemporaryDirectory directory;
  for (const char* leftover : {".partial-step-00000050", ".old-step-00000010"}) {
    fs::create_directories(directory.path() / leftover);
    for (const char* file : {"trainer.json", "model.safetensors", "first_moment.safetensors.tmp-123-0"})
      write_text(directory.path() / leftover / file, "rubbish");
  }
  const fs::path old = write_some(directory.path(), 50, 1);
  CHECK(entries(directory.path()) == 1);
  const std::string old_bytes = text_of(old / "model.safetensors");
  CHECK(write_some(directory.path(), 50, 2) == old);
  CHECK(text_of(old / "model.safetensors") == old_bytes);
  fs::resize_file(old / "second_moment.safetensors", 10);
  CHECK(write_some(directory.path(), 50, 2) == old);
  CHECK(text_of(old / "model.safetensors") != old_bytes);
  CHECK(entries(directory.path()) == 1);
  load_some(old);
}

TEST_CASE("only files of a checkpoint are removed", "[train]") {
  const TemporaryDirectory directory;
  const TemporaryDirectory elsewhere;
  const fs::path& place = directory.path();
  std::vector<fs::path> others;
  const auto add = [&](const fs::path& file) {
    fs::create_directories((place / file).parent_path());
    write_text(place / file, file.string());
    others.push_back(file);
  };
  add(".old-notes");
  add(".old-dotfiles/model.safetensors");
  add(".partial-thesis/trainer.json");
  add(".partial-step-5/model.safetensors");
  add(".partial-step-00000005x/model.safetensors");
  add(".partial-step-00000006");
  add(".old-step-00000007/thesis");
  add(".partial-step-00000008/weights/model.safetensors");
  (void)elsewhere.write("model.safetensors", "linked");
  fs::create_directory_symlink(elsewhere.path(), place / ".partial-step-00000009");
  fs::create_directory_symlink(elsewhere.path(), place / ".old-step-00000009");

  for (const int step : {1, 2, 3, 4}) {
    write_some(place, step);
    if (step == 1) add("step-00000001/notes");
    remove_old_checkpoints(place, {1});
  }
  load_newest(place);
  others[6] = "damaged-step-00000007/thesis";  // renamed back, but it is not a checkpoint
  for (const fs::path& file : others) {
    CAPTURE(file);
    CHECK(fs::exists(place / file));
  }
  CHECK(text_of(elsewhere.path() / "model.safetensors") == "linked");
  CHECK(entries(place / "step-00000001") == 1);
  CHECK_FALSE(fs::exists(place / "step-00000002"));
  CHECK(fs::exists(place / "step-00000004"));
}

TEST_CASE("a pipe or a device in a checkpoint is refused at once", "[train][malformed]") {
  const std::string file = GENERATE(from_range(kFiles));
  const bool is_pipe = GENERATE(true, false);
  CAPTURE(file, is_pipe);
  const TemporaryDirectory directory;
  const fs::path older = write_some(directory.path(), 10);
  const fs::path newer = write_some(directory.path(), 20);
  fs::remove(newer / file);
  if (is_pipe) {
    REQUIRE(::mkfifo((newer / file).c_str(), 0600) == 0);
  } else {
    fs::create_symlink("/dev/zero", newer / file);
  }
  const LoadedCheckpoint loaded = load_newest(directory.path());
  CHECK(loaded.path == older);
  REQUIRE(loaded.unusable.size() == 1);
  CHECK_THAT(loaded.unusable[0], ANE_CONTAINS(file));
  CHECK_NOTHROW(remove_old_checkpoints(directory.path(), {1}));
}

TEST_CASE("a checkpoint that cannot be written leaves the older one as it was", "[train]") {
  const TemporaryDirectory directory;
  const fs::path old = write_some(directory.path(), 50, 1);
  const std::string old_bytes = text_of(old / "model.safetensors");

  // Simulates a disk that is full after 64 bytes.
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  const auto layout = some_layout();
  StateArena state = some_state(layout, adamw_slots, 1);
  fill_random(layout, state, 3);
  state.progress().step = 60;
  const rlimit full{64, before.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &full);
  std::string message;
  try {
    (void)write_checkpoint(directory.path(), layout, state, kIdentity);
  } catch (const ane::FileError& error) {
    message = error.what();
  }
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, old_handler);

  CHECK_THAT(message, ANE_CONTAINS("model.safetensors"));
  CHECK(entries(directory.path()) == 1);
  CHECK(load_newest(directory.path()).path == old);
  CHECK(text_of(old / "model.safetensors") == old_bytes);
}

TEST_CASE("an impossible checkpoint directory is an error", "[train]") {
  const TemporaryDirectory directory;
  const fs::path file = directory.write("file", "x");
  CHECK_THROWS_AS(write_some(file, 1), ane::FileError);
  CHECK_THROWS_AS(write_some(file / "below", 1), ane::FileError);
  CHECK_THROWS_WITH(write_some(file / "below", 1), ANE_CONTAINS("below"));
}

TEST_CASE("a checkpoint of another run is refused, naming the difference", "[train][malformed]") {
  const TemporaryDirectory directory;
  const fs::path place = write_some(directory.path(), 50);
  const auto load_as = [&](const CheckpointIdentity& identity) { load_some(place, identity); };
  CheckpointIdentity wider = kIdentity;
  wider.model.dim = 16;
  CHECK_THROWS_AS(load_as(wider), ane::UsageError);
  CHECK_THROWS_WITH(load_as(wider), ANE_CONTAINS("another model") && ANE_CONTAINS("hidden_size: 8 and 16"));
  CHECK_THROWS_AS(load_as({.model = kIdentity.model, .data = "other"}), ane::UsageError);
  CHECK_THROWS_WITH(load_as({.model = kIdentity.model, .data = "other"}),
                    ANE_CONTAINS("tokens.bin 100 tokens") && ANE_CONTAINS("other"));
  CHECK_THROWS_AS(load_some(place, kIdentity, no_slots), ane::UsageError);
  CHECK_THROWS_WITH(load_some(place, kIdentity, no_slots),
                    ANE_CONTAINS("'first_moment', 'second_moment'") && ANE_CONTAINS("this run's optimizer has none"));
}

TEST_CASE("a checkpoint with a wrong field is refused, naming the file and the field", "[train][malformed]") {
  const TemporaryDirectory directory;
  const fs::path place = write_some(directory.path(), 50);
  load_some(place);

  using nlohmann::json;
  const auto [where, value, text] = GENERATE(table<const char*, json, const char*>({
      {"/format", json("other"), "it does not belong to an ane-train checkpoint"},
      {"/model", json(5), "'model' should be an object, but is 5"},
      {"/model/hidden_size", json(0), "dim is 0"},
      {"/model/hidden_size", json(nullptr), "'hidden_size' is missing"},
      {"/model/model_type", json("gpt"), "model_type 'gpt' is not supported"},
      {"/model/architectures", json::parse("[[[[[[[[[1]]]]]]]]]"), "its JSON is nested too deeply"},
      {"/optimizer_slots", json(2), "'optimizer_slots' should be an array of strings"},
      {"/optimizer_slots/1", json(2), "'optimizer_slots' should be an array of strings"},
      {"/progress", json(nullptr), "'progress' should be an object"},
      {"/progress/step", json(-1), "'step' should be a whole number of 0 or more, but is -1"},
      {"/progress/step", json(1.5), "'step' should be"},
      {"/progress/update", json("12"), "'update' should be"},
      {"/progress/step", json(std::numeric_limits<std::uint64_t>::max()), "'step' should be"},
      {"/progress/loss_scale", json(0), "'loss_scale' should be positive"},
      {"/progress/last_loss", json(nullptr), "'last_loss' should be a finite number"},
      {"/progress", json({{"step", 1}}), "'update' is missing"},
      {"/files", json::object(), "'model.safetensors' is missing"},
      {"/files/model.safetensors/xxh3", json("12"), "'xxh3' should be 16 hexadecimal digits"},
      {"/settings/lr", json(1), "'lr' should be a string"},
  }));
  CAPTURE(where, text);
  edit_trainer(place, json::json_pointer(where), value);
  CHECK_THROWS_AS(load_some(place), ane::FileError);
  CHECK_THROWS_WITH(load_some(place), ANE_CONTAINS("trainer.json") && ANE_CONTAINS(text));
}

TEST_CASE("a slot's file has only the parameters that have values in it", "[train]") {
  const TemporaryDirectory directory;
  ane::model::ParameterLayout layout = some_layout();
  layout.add({"model.layers.0.mlp.up_proj.weight", {4, 6}});
  StateArena saved = some_state(layout, muon_slots, 1);
  for (std::size_t i = 0; i < saved.slots().size(); ++i)
    for (const auto& parameter : saved.slots()[i].layout.parameters())
      ane::math::fill_normal({3 + i, parameter.offset}, 1, slice(saved.slot(i), parameter));
  saved.progress() = {.step = 120, .update = 12, .optimizer_updates = 11};
  const fs::path place = write_checkpoint(directory.path(), layout, saved, kIdentity);
  CHECK(ane::model::SafetensorsFile(place / "momentum.safetensors").tensors().size() == 1);
  CHECK(ane::model::SafetensorsFile(place / "second_moment.safetensors").tensors().size() == 2);
  StateArena loaded = some_state(layout, muon_slots, 1);
  load_checkpoint(place, layout, loaded, kIdentity);
  for (std::size_t i = 0; i < saved.slots().size(); ++i) CHECK(equal(loaded.slot(i), saved.slot(i)));
  StateArena of_adamw = some_state(layout, adamw_slots, 1);
  CHECK_THROWS_WITH(load_checkpoint(place, layout, of_adamw, kIdentity),
                    ANE_CONTAINS("'momentum', 'first_moment', 'second_moment'") && ANE_CONTAINS("--optimizer"));
}

// Before version 4 the files had Meta's names and order of rows, and AdamW's slots were counted.
TEST_CASE("a checkpoint of version 3 can be read", "[train]") {
  using ane::model::Parameter;
  using ane::model::Role;
  const TemporaryDirectory directory;
  ane::model::ParameterLayout meta;
  meta.add({.name = "norm.weight", .shape = {3}, .role = Role::norm});
  meta.add({.name = "wq.weight", .shape = {8, 2}});
  StateArena saved = some_state(meta, adamw_slots, 1);
  fill_random(meta, saved, 7);
  const fs::path place = write_checkpoint(directory.path(), meta, saved, kIdentity);
  using nlohmann::json;
  edit_trainer(place, json::json_pointer("/version"), 3);
  edit_trainer(place, json::json_pointer("/moments"), 2);

  ane::model::ParameterLayout layout;
  layout.add({.name = "model.norm.weight", .shape = {3}, .role = Role::norm, .meta_name = "norm.weight"});
  layout.add({.name = "q_proj.weight", .shape = {8, 2}, .meta_name = "wq.weight", .rotated_rows = 4});
  StateArena loaded = some_state(layout, adamw_slots, 1);
  load_checkpoint(place, layout, loaded, kIdentity);
  CHECK(loaded.progress().step == 120);
  for (const Parameter& parameter : layout.parameters()) {
    const auto check = [&](std::span<const float> now, std::span<const float> before) {
      CHECK(equal(slice(now, parameter), ane::test::from_meta_rows(parameter, slice(before, parameter))));
    };
    check(loaded.parameters(), saved.parameters());
    for (std::size_t i = 0; i < loaded.slots().size(); ++i) check(loaded.slot(i), saved.slot(i));
  }
}

TEST_CASE("a checkpoint is a Hugging Face model directory", "[train]") {
  const TemporaryDirectory directory;
  const fs::path place = write_some(directory.path(), 50);
  CHECK(ane::model::config_from_json(text_of(place / "config.json"), "config.json") == kIdentity.model);
  const ane::model::SafetensorsFile model(place / "model.safetensors");
  CHECK(model.tensors().size() == 2);
  CHECK(model.tensors().contains("model.embed_tokens.weight"));
}

// Version 2 had no model config; the settings described the model.
TEST_CASE("a checkpoint of version 2 can be read", "[train]") {
  const TemporaryDirectory directory;
  const fs::path place = write_some(directory.path(), 50);
  using nlohmann::json;
  edit_trainer(place, json::json_pointer("/version"), 2);
  edit_trainer(place, json::json_pointer("/moments"), 2);
  edit_trainer(place, json::json_pointer("/model"), "dim=8 hidden=16 seq=4");
  edit_trainer(place, json::json_pointer("/settings"),
               json{{"arch", "mlp"}, {"dim", "8"}, {"hidden", "16"}, {"seq", "4"}, {"heads", "4"}});
  load_some(place);
  CHECK(recorded_model_of(place / "model.safetensors") == kIdentity.model);

  edit_trainer(place, json::json_pointer("/settings"),
               json{{"arch", "llama"},
                    {"dim", "8"},
                    {"hidden", "16"},
                    {"seq", "4"},
                    {"layers", "3"},
                    {"heads", "4"},
                    {"kv-heads", "heads"},
                    {"vocab", "9"},
                    {"tied", "false"}});
  const ane::model::ModelConfig llama{.dim = 8,
                                      .hidden = 16,
                                      .layers = 3,
                                      .heads = 4,
                                      .kv_heads = 4,
                                      .head_dim = 2,
                                      .vocab = 9,
                                      .seq_len = 4,
                                      .tied_embeddings = false};
  CHECK(recorded_model_of(place / "model.safetensors") == llama);
  edit_trainer(place, json::json_pointer("/settings/dim"), "wide");
  CHECK_THROWS_WITH(load_some(place), ANE_CONTAINS("its setting 'dim' is 'wide'"));
}

TEST_CASE("a checkpoint of another version is refused but not treated as damaged", "[train][malformed]") {
  const TemporaryDirectory directory;
  write_some(directory.path(), 40);
  const fs::path place = write_some(directory.path(), 50);
  edit_trainer(place, nlohmann::json::json_pointer("/version"), 6);
  CHECK_THROWS_AS(load_newest(directory.path()), ane::UsageError);
  CHECK_THROWS_WITH(load_newest(directory.path()), ANE_CONTAINS("version 6"));
  CHECK(checkpoints_in(directory.path()).size() == 2);
}

TEST_CASE("every changed byte of a checkpoint is detected", "[train][malformed]") {
  const TemporaryDirectory directory;
  const auto layout = some_layout(500);
  StateArena state = some_state(layout, adamw_slots, 1);
  fill_random(layout, state, 5);
  const fs::path place = write_checkpoint(directory.path(), layout, state, kIdentity);
  const auto load = [&] { load_checkpoint(place, layout, state, kIdentity); };
  load();

  const std::string name = GENERATE(from_range(kFiles));
  const std::string whole = text_of(place / name);
  std::vector<std::size_t> places(whole.size());
  std::iota(places.begin(), places.end(), 0U);
  if (name.ends_with(".safetensors")) {
    std::size_t header_bytes = 0;
    std::memcpy(&header_bytes, whole.data(), sizeof header_bytes);
    const std::size_t data = sizeof header_bytes + header_bytes;
    places.resize(data);
    const ane::math::CounterRandom random(6, data);
    for (std::uint64_t i = 0; i < 1000; ++i) places.push_back(data + random.below(whole.size() - data, i));
  }
  std::fstream file(place / name, std::ios::in | std::ios::out | std::ios::binary);
  const auto put = [&](std::size_t at, char value) { file.seekp(static_cast<std::streamoff>(at)).put(value).flush(); };
  for (const std::size_t at : places) {
    for (const int change : kSanitized ? std::vector{0xff} : std::vector{1, 0x80, 0xff}) {
      put(at, static_cast<char>(whole[at] ^ change));
      CAPTURE(name, at, change);
      CHECK_THROWS_AS(load(), ane::FileError);
    }
    put(at, whole[at]);
  }
  CHECK_NOTHROW(load());
}

TEST_CASE("every truncation and extension of a checkpoint's files is detected", "[train][malformed]") {
  const TemporaryDirectory directory;
  const fs::path place = write_some(directory.path(), 50);
  const std::string name = GENERATE(from_range(kFiles));
  const std::string whole = text_of(place / name);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    write_text(place / name, whole.substr(0, size));
    CAPTURE(name, size);
    CHECK_THROWS_AS(load_some(place), ane::FileError);
  }
  write_text(place / name, whole + " ");
  CHECK_THROWS_AS(load_some(place), ane::FileError);
  CHECK_THROWS_WITH(load_some(place), ANE_CONTAINS(name));
  fs::remove(place / name);
  CHECK_THROWS_WITH(load_some(place), ANE_CONTAINS(name) && ANE_CONTAINS("does not exist"));
  write_text(place / name, whole);
  load_some(place);
}

TEST_CASE("the recorded identity is that of the newest checkpoint with an undamaged record", "[train]") {
  const TemporaryDirectory directory;
  CHECK_FALSE(recorded_identity(directory.path()).has_value());
  const auto layout = some_layout();
  StateArena state = some_state(layout, no_slots, 1);
  const auto write_at = [&](std::int64_t step, const std::string& weights) {
    state.progress().step = step;
    CheckpointIdentity identity = kIdentity;
    identity.settings = {{"weights", weights}};
    return write_checkpoint(directory.path(), layout, state, identity);
  };
  write_at(10, "baked");
  const fs::path newest = write_at(20, "dynamic");
  CHECK(recorded_identity(directory.path())->settings == SettingTexts{{"weights", "dynamic"}});
  write_text(newest / "trainer.json", "{}");
  CHECK(recorded_identity(directory.path())->settings == SettingTexts{{"weights", "baked"}});
}

TEST_CASE("a checkpoint contains the model's companion files and verifies them", "[train]") {
  const TemporaryDirectory directory;
  const fs::path source = directory.path() / "source";
  fs::create_directories(source);
  ane::model::ModelConfig published = kIdentity.model;
  published.seq_len = 1000;
  write_text(source / "config.json", ane::model::to_json(published));
  write_text(source / "tokenizer.json", "tokens");
  const auto companions = std::make_shared<const ane::model::Companions>(ane::model::companions_in(source));
  const auto layout = some_layout();
  StateArena state = some_state(layout, adamw_slots, 1);
  fill_random(layout, state, 7);
  CheckpointIdentity identity = kIdentity;
  identity.companions = companions;
  const fs::path place = write_checkpoint(directory.path() / "run", layout, state, identity);
  CHECK(text_of(place / "tokenizer.json") == "tokens");
  CHECK(nlohmann::json::parse(text_of(place / "config.json")).at("max_position_embeddings") == 1000);
  CHECK_NOTHROW(load_some(place));
  CHECK(recorded_model_of(place / "model.safetensors") == kIdentity.model);

  write_text(place / "tokenizer.json", "tokenS");
  CHECK_THROWS_WITH(load_some(place), ANE_CONTAINS("tokenizer.json") && ANE_CONTAINS("the checkpoint is damaged"));
  write_text(place / "tokenizer.json", "tokens");
  CHECK_NOTHROW(load_some(place));

  // It is removed with the checkpoint, but not a user's file of such a name, nor one in another checkpoint.
  write_text(place / "merges.txt", "the user's");
  const fs::path plain = write_some(directory.path() / "run", 130);
  write_text(plain / "tokenizer.json", "the user's");
  remove_old_checkpoints(directory.path() / "run", {.newest = 0});
  CHECK(entries(place) == 1);
  CHECK(text_of(place / "merges.txt") == "the user's");
  CHECK(entries(plain) == 1);
  CHECK(text_of(plain / "tokenizer.json") == "the user's");
}

TEST_CASE("companion files of a dead process's incomplete checkpoint are removed", "[train]") {
  const TemporaryDirectory directory;
  const fs::path partial = directory.path() / "run" / ".partial-step-00000110";
  fs::create_directories(partial);
  for (const char* name : {"tokenizer.json", "config.json.tmp-17-0", "tokenizer.model.tmp-17-0"})
    write_text(partial / name, "x");
  write_some(directory.path() / "run", 120);
  CHECK_FALSE(fs::exists(partial));
}
