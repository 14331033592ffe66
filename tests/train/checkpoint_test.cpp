#include "ane/train/checkpoint.h"

#include <algorithm>
#include <csignal>
#include <limits>

#include <nlohmann/json.hpp>
#include <sys/resource.h>

#include "ane/core/error.h"
#include "ane/core/file.h"
#include "ane/math/random.h"
#include "ane/model/weight_files.h"

#include "support/catch.h"
#include "support/temporary_directory.h"

using namespace ane::train;
namespace fs = std::filesystem;

namespace {

const CheckpointIdentity kIdentity{.model = "dim=8 layers=1", .data = "tokens.bin 100 tokens"};

ane::model::ParameterLayout some_layout(std::int64_t rows = 5) {
  ane::model::ParameterLayout layout;
  layout.add("tok_embeddings.weight", {rows, 7}, true);
  layout.add("norm.weight", {3}, false);
  return layout;
}

StateArena some_state(const ane::model::ParameterLayout& layout, int moments, std::uint64_t seed) {
  return StateArena(layout.size(), moments, seed);
}

void fill_random(const ane::model::ParameterLayout& layout, StateArena& state, std::uint64_t seed) {
  for (const auto& parameter : layout.parameters()) {
    ane::math::fill_normal({seed, parameter.offset}, 1, slice(state.parameters(), parameter));
    for (int i = 0; i < state.moment_count(); ++i)
      ane::math::fill_normal({seed + 1 + static_cast<std::uint64_t>(i), parameter.offset}, 1,
                             slice(state.moment(i), parameter));
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
fs::path write_some(const fs::path& directory, std::int64_t step, std::uint64_t seed = 1, int moments = 2) {
  const auto layout = some_layout();
  StateArena state = some_state(layout, moments, 1);
  fill_random(layout, state, seed);
  state.progress().step = step;
  return write_checkpoint(directory, layout, state, kIdentity);
}

void load_some(const fs::path& checkpoint, const CheckpointIdentity& identity = kIdentity, int moments = 2,
               std::int64_t rows = 5) {
  const auto layout = some_layout(rows);
  StateArena state = some_state(layout, moments, 1);
  load_checkpoint(checkpoint, layout, state, identity);
}

/// Changes one value of a checkpoint's state.json; a null path removes the field.
void edit_state(const fs::path& checkpoint, const nlohmann::json::json_pointer& where, const nlohmann::json& value) {
  auto state = nlohmann::json::parse(ane::read_text_file(checkpoint / "state.json", "checkpoint"));
  state[where] = value;
  const std::string text = state.dump();
  ane::write_file_atomically(checkpoint / "state.json", std::as_bytes(std::span(text)));
}

std::size_t entries(const fs::path& directory) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(directory), fs::directory_iterator()));
}

}  // namespace

TEST_CASE("a checkpoint holds all of the state, bit for bit", "[train]") {
  const TemporaryDirectory directory;
  const int moments = GENERATE(0, 2);
  const auto layout = some_layout();
  StateArena saved = some_state(layout, moments, 1);
  fill_random(layout, saved, 7);
  const fs::path place = write_checkpoint(directory.path() / "run", layout, saved, kIdentity);
  CHECK(place == directory.path() / "run" / "step-00000120");
  CHECK(fs::exists(place / "moments.safetensors") == (moments > 0));
  CHECK(entries(directory.path() / "run") == 1);

  StateArena loaded = some_state(layout, moments, 2);
  load_checkpoint(place, layout, loaded, kIdentity);
  CHECK(equal(loaded.parameters(), saved.parameters()));
  for (int i = 0; i < moments; ++i) CHECK(equal(loaded.moment(i), saved.moment(i)));
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

TEST_CASE("the latest checkpoint is the highest step that is whole", "[train]") {
  const TemporaryDirectory directory;
  CHECK_THROWS_AS(latest_checkpoint(directory.path()), ane::FileError);
  CHECK_THROWS_WITH(latest_checkpoint(directory.path()), ANE_CONTAINS("no checkpoint to resume from"));
  CHECK_THROWS_WITH(latest_checkpoint(directory.path() / "missing"), ANE_CONTAINS("missing"));

  const fs::path first = write_some(directory.path(), 90);
  CHECK(latest_checkpoint(directory.path()) == first);
  const fs::path second = write_some(directory.path(), 100);
  const fs::path huge = write_some(directory.path(), 1234567890);
  CHECK(latest_checkpoint(directory.path()) == huge);
  fs::remove(huge / "state.json");
  CHECK(latest_checkpoint(directory.path()) == second);
  fs::remove(second / "model.safetensors");
  fs::create_directory(directory.path() / "step-99999999");
  fs::create_directory(directory.path() / "step-abc");
  fs::copy(first, directory.path() / ".partial-step-00000500");
  fs::copy(first, directory.path() / "step-500");
  (void)directory.write("step-00000700", "a file");
  CHECK(latest_checkpoint(directory.path()) == first);
}

TEST_CASE("a checkpoint of the same step takes the old one's place, leftovers are cleared", "[train]") {
  const TemporaryDirectory directory;
  fs::create_directories(directory.path() / ".partial-step-00000050" / "rubbish");
  const fs::path old = write_some(directory.path(), 50, 1);
  const std::string old_bytes = ane::read_text_file(old / "model.safetensors", "model");
  const fs::path place = write_some(directory.path(), 50, 2);
  CHECK(place == old);
  CHECK(ane::read_text_file(place / "model.safetensors", "model") != old_bytes);
  CHECK(entries(directory.path()) == 1);
  load_some(place);
}

TEST_CASE("a checkpoint that cannot be written leaves the older one as it was", "[train]") {
  const TemporaryDirectory directory;
  const std::int64_t step = GENERATE(50, 60);
  const fs::path old = write_some(directory.path(), 50, 1);
  const std::string old_bytes = ane::read_text_file(old / "model.safetensors", "model");

  // A disk that is full after 64 bytes.
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  const auto layout = some_layout();
  StateArena state = some_state(layout, 2, 1);
  fill_random(layout, state, 3);
  state.progress().step = step;
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
  CHECK(latest_checkpoint(directory.path()) == old);
  CHECK(ane::read_text_file(old / "model.safetensors", "model") == old_bytes);
  load_some(old);
}

TEST_CASE("a checkpoint directory that cannot be is an error", "[train]") {
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
  CHECK_THROWS_AS(load_as({.model = "dim=16", .data = kIdentity.data}), ane::UsageError);
  CHECK_THROWS_WITH(load_as({.model = "dim=16", .data = kIdentity.data}),
                    ANE_CONTAINS("dim=8 layers=1") && ANE_CONTAINS("dim=16"));
  CHECK_THROWS_AS(load_as({.model = kIdentity.model, .data = "other"}), ane::UsageError);
  CHECK_THROWS_WITH(load_as({.model = kIdentity.model, .data = "other"}),
                    ANE_CONTAINS("tokens.bin 100 tokens") && ANE_CONTAINS("other"));
  CHECK_THROWS_AS(load_some(place, kIdentity, 0), ane::UsageError);
  CHECK_THROWS_WITH(load_some(place, kIdentity, 0), ANE_CONTAINS("2 moments") && ANE_CONTAINS("SGD"));
  CHECK_THROWS_AS(load_some(place, kIdentity, 2, 6), ane::FileError);
  CHECK_THROWS_WITH(load_some(place, kIdentity, 2, 6), ANE_CONTAINS("tok_embeddings.weight"));
}

TEST_CASE("a damaged checkpoint is refused, naming the file and the field", "[train][malformed]") {
  const TemporaryDirectory directory;
  const fs::path place = write_some(directory.path(), 50);
  load_some(place);

  SECTION("fields") {
    using nlohmann::json;
    const auto [where, value, text] = GENERATE(table<const char*, json, const char*>({
        {"/format", json("other"), "not an ane-train checkpoint"},
        {"/version", json(2), "version 2"},
        {"/model", json(5), "'model' should be a string, but is 5"},
        {"/moments", json(-2), "'moments' should be a whole number"},
        {"/progress", json(nullptr), "'progress' should be an object"},
        {"/progress/step", json(-1), "'step' should be a whole number of 0 or more, but is -1"},
        {"/progress/step", json(1.5), "'step' should be"},
        {"/progress/update", json("12"), "'update' should be"},
        {"/progress/step", json(std::numeric_limits<std::uint64_t>::max()), "'step' should be"},
        {"/progress/loss_scale", json(0), "'loss_scale' should be positive"},
        {"/progress/last_loss", json(nullptr), "'last_loss' should be a finite number"},
    }));
    CAPTURE(where, text);
    edit_state(place, nlohmann::json::json_pointer(where), value);
    CHECK_THROWS_AS(load_some(place), ane::FileError);
    CHECK_THROWS_WITH(load_some(place), ANE_CONTAINS("state.json") && ANE_CONTAINS(text));
  }
  SECTION("a missing field") {
    edit_state(place, nlohmann::json::json_pointer("/progress"), {{"step", 1}});
    CHECK_THROWS_WITH(load_some(place), ANE_CONTAINS("'update' is missing"));
  }
  SECTION("no JSON") {
    const std::string text = GENERATE("", "{", "[]", "\xff\xfe");
    ane::write_file_atomically(place / "state.json", std::as_bytes(std::span(text)));
    CHECK_THROWS_AS(load_some(place), ane::FileError);
  }
  SECTION("files cut short or missing") {
    const std::string name = GENERATE("model.safetensors", "moments.safetensors", "state.json");
    const bool remove = GENERATE(true, false);
    CAPTURE(name, remove);
    remove ? (void)fs::remove(place / name) : fs::resize_file(place / name, fs::file_size(place / name) / 2);
    CHECK_THROWS_AS(load_some(place), ane::FileError);
    CHECK_THROWS_WITH(load_some(place), ANE_CONTAINS(name));
  }
}
