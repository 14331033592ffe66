#include "ane/train/state.h"

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>
#include <utility>

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "ane/core/error.h"

#include "support/catch.h"
#include "support/temporary_directory.h"
#include "train/slots.h"

using namespace ane::train;

namespace {

void fill(std::span<float> values, float first) { std::iota(values.begin(), values.end(), first); }

bool counts_from(std::span<const float> values, float first) {
  for (std::size_t i = 0; i < values.size(); ++i)
    if (values[i] != first + static_cast<float>(i)) return false;
  return true;
}

bool is_open(int descriptor) { return ::fcntl(descriptor, F_GETFD) >= 0; }

/// Lowers a limit of this process during its lifetime.
class Limit {
 public:
  Limit(decltype(RLIMIT_FSIZE) resource, rlim_t value) : resource_(resource) {
    ::getrlimit(resource_, &before_);
    const rlimit lowered{value, before_.rlim_max};
    ::setrlimit(resource_, &lowered);
  }
  ~Limit() { ::setrlimit(resource_, &before_); }
  Limit(const Limit&) = delete;
  Limit& operator=(const Limit&) = delete;

 private:
  decltype(RLIMIT_FSIZE) resource_;
  rlimit before_{};
};

}  // namespace

TEST_CASE("a fresh state is zero, aligned, and its arrays do not overlap", "[train]") {
  const std::size_t count = GENERATE(as<std::size_t>{}, 1, 15, 16, 1000, 5000);
  StateArena state(count, adamw_slots(count), 1);
  CHECK(state.parameters().size() == count);
  CHECK(state.gradients().size() == count);
  for (const std::span<float> values : {state.parameters(), state.slot(0), state.slot(1), state.gradients()}) {
    CHECK(values.size() >= count);
    CHECK(reinterpret_cast<std::uintptr_t>(values.data()) % 64 == 0);
    CHECK(std::all_of(values.begin(), values.end(), [](float value) { return value == 0; }));
  }
  fill(state.parameters(), 0);
  fill(state.slot(0), 10000);
  fill(state.slot(1), 20000);
  fill(state.gradients(), 30000);
  CHECK(counts_from(state.parameters(), 0));
  CHECK(counts_from(state.slot(0), 10000));
  CHECK(counts_from(state.slot(1), 20000));
  CHECK(counts_from(state.gradients(), 30000));
  CHECK(state.progress().step == 0);
  CHECK(state.progress().loss_scale == 1);
  CHECK(state.totals().restarts == 0);
}

TEST_CASE("an adopted state is the inherited one, without a copy", "[train]") {
  const StateSlots slots = GENERATE(StateSlots(), adamw_slots(1000));
  StateArena before(1000, slots, 77);
  fill(before.parameters(), 3);
  for (std::size_t i = 0; i < slots.size(); ++i) fill(before.slot(i), 5000.0F * static_cast<float>(i + 1));
  before.progress() = {.step = 120, .update = 12, .optimizer_updates = 11, .loss_scale = 512, .last_loss = 2.5};
  before.totals().compiles = 732;

  const int descriptor = ::dup(before.descriptor());
  StateArena after(descriptor, 1000, slots, 77);
  CHECK(counts_from(after.parameters(), 3));
  for (std::size_t i = 0; i < slots.size(); ++i) CHECK(counts_from(after.slot(i), 5000.0F * static_cast<float>(i + 1)));
  CHECK(after.adopted());
  CHECK_FALSE(before.adopted());
  CHECK(after.progress().step == 120);
  CHECK(after.progress().optimizer_updates == 11);
  CHECK(after.progress().loss_scale == 512);
  CHECK(after.totals().compiles == 732);
  CHECK(after.slots().size() == slots.size());
  CHECK((::fcntl(after.descriptor(), F_GETFD) & FD_CLOEXEC) != 0);
  after.parameters()[0] = -1;
  CHECK(before.parameters()[0] == -1);
}

TEST_CASE("a slot has the length of its own layout", "[train]") {
  ane::model::ParameterLayout layout;
  layout.add({"embedding", {40, 5}, ane::model::Role::embedding});
  layout.add({"matrix", {30, 20}});
  layout.add({"norm", {3}, ane::model::Role::norm});
  StateArena state(layout.size(), muon_slots(layout), 1, Staleness::one_update);
  CHECK(state.slot(0).size() == 608);
  CHECK(state.slot(1).size() == 224);
  CHECK(state.slot(2).size() == 224);
  const std::array arrays = {state.parameters(), state.slot(0),     state.slot(1),
                             state.slot(2),      state.gradients(), state.running_parameters()};
  for (std::size_t i = 0; i < arrays.size(); ++i) fill(arrays.at(i), 10000 * static_cast<float>(i));
  StateArena adopted(::dup(state.descriptor()), layout.size(), muon_slots(layout), 1, Staleness::one_update);
  CHECK(counts_from(adopted.parameters(), 0));
  for (std::size_t i = 0; i < 3; ++i) CHECK(counts_from(adopted.slot(i), 10000 * static_cast<float>(i + 1)));
  CHECK(counts_from(adopted.gradients(), 40000));
  CHECK(counts_from(adopted.running_parameters(), 50000));
}

TEST_CASE("with staleness the next batch's parameters have a separate array", "[train][pipeline]") {
  StateArena plain(1000, adamw_slots(1000), 1);
  CHECK(plain.running_parameters().data() == plain.parameters().data());
  StateArena state(1000, adamw_slots(1000), 1, Staleness::one_update);
  fill(state.parameters(), 1);
  fill(state.gradients(), 2);
  fill(state.running_parameters(), 3);
  CHECK(counts_from(state.parameters(), 1));
  CHECK(counts_from(state.gradients(), 2));
  StateArena adopted(::dup(state.descriptor()), 1000, adamw_slots(1000), 1, Staleness::one_update);
  CHECK(counts_from(adopted.running_parameters(), 3));
  CHECK_THROWS_WITH(StateArena(::dup(plain.descriptor()), 1000, adamw_slots(1000), 1, Staleness::one_update),
                    ANE_CONTAINS("should"));
}

TEST_CASE("huge pages do not change a state, and an adopting process gets them too", "[train]") {
  const std::size_t count = 3'000'000;  // several huge pages
  ane::math::ThreadPool threads(2);
  StateArena state(count, adamw_slots(count), 1);
  fill(state.parameters(), 1);
  state.back_with_huge_pages(threads);
  CHECK(counts_from(state.parameters(), 1));
  CHECK(std::ranges::all_of(state.gradients(), [](float value) { return value == 0; }));
  fill(state.gradients(), 2);
  StateArena adopted(::dup(state.descriptor()), count, adamw_slots(count), 1);
  CHECK(counts_from(adopted.parameters(), 1));
  CHECK(counts_from(adopted.gradients(), 2));
}

TEST_CASE("a state's descriptor closes with it", "[train]") {
  int descriptor = -1;
  {
    const StateArena state(10, adamw_slots(10), 1);
    descriptor = state.descriptor();
    CHECK(is_open(descriptor));
    CHECK((::fcntl(descriptor, F_GETFD) & FD_CLOEXEC) != 0);
  }
  CHECK_FALSE(is_open(descriptor));
}

TEST_CASE("a state that does not match is refused, and its descriptor left alone", "[train][malformed]") {
  StateArena state(1000, adamw_slots(1000), 77);
  const int descriptor = state.descriptor();
  const auto adopt = [descriptor](std::size_t parameters, StateSlots slots, std::uint64_t fingerprint) {
    const StateArena adopted(descriptor, parameters, std::move(slots), fingerprint);
  };
  CHECK_THROWS_WITH(adopt(1000, adamw_slots(1000), 78), ANE_CONTAINS("another model or other settings"));
  CHECK_THROWS_WITH(adopt(999, adamw_slots(999), 77), ANE_CONTAINS("parameters should be 999, but is 1000"));
  CHECK_THROWS_WITH(adopt(900, adamw_slots(900), 77), ANE_CONTAINS("size in bytes should be"));
  CHECK_THROWS_WITH(adopt(5000, adamw_slots(5000), 77), ANE_CONTAINS("it should have 84224 bytes, but has"));
  CHECK_THROWS_WITH(adopt(1000, StateSlots(), 77), ANE_CONTAINS("size in bytes should be"));
  CHECK(is_open(descriptor));
  CHECK_THROWS_WITH(StateArena(9999, 1000, adamw_slots(1000), 77),
                    ANE_CONTAINS("descriptor 9999") && ANE_CONTAINS("ANE_TRAIN_STATE"));

  const TemporaryDirectory directory;
  const auto path = directory.write("zeros", std::string(100000, '\0'));
  const ane::Descriptor file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  CHECK_THROWS_WITH(StateArena(file.get(), 1000, adamw_slots(1000), 77), ANE_CONTAINS("it is not a training state"));
  CHECK(is_open(file.get()));
  std::array<int, 2> ends{};
  REQUIRE(::pipe(ends.data()) == 0);
  const ane::Descriptor out(ends[0]);
  const ane::Descriptor in(ends[1]);
  CHECK_THROWS_AS(StateArena(out.get(), 1000, adamw_slots(1000), 77), ane::Error);
}

TEST_CASE("a failed allocation of the state reports its size", "[train]") {
  CHECK_THROWS_WITH(StateArena(std::numeric_limits<std::size_t>::max() / 4, {}, 1),
                    ANE_CONTAINS("exceeds the address space"));
  CHECK_THROWS_WITH(StateArena(std::numeric_limits<std::size_t>::max(), {}, 1),
                    ANE_CONTAINS("exceeds the address space"));
  CHECK_THROWS_WITH(StateArena(std::size_t{1} << 50, {}, 1),
                    ANE_CONTAINS("out of memory for the training state of 9007199254745088 bytes"));

  const Limit limit(RLIMIT_FSIZE, 1 << 20);
  CHECK_THROWS_AS(StateArena(1 << 20, adamw_slots(1 << 20), 1), ane::UsageError);
  CHECK_THROWS_WITH(StateArena(1 << 20, adamw_slots(1 << 20), 1),
                    ANE_CONTAINS("16781312 bytes") && ANE_CONTAINS("ulimit -f"));
}
