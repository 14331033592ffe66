#include "ane/train/whole_slots.h"

#include <algorithm>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include "ranks/packed.h"

namespace ane::train {

namespace {

using distributed::Communicator;

constexpr std::string_view kPurpose = "a checkpoint";

enum Command : std::size_t { kRead, kWrite, kSpread, kDone };

/// What the first rank wants next.
struct Wish {
  std::size_t command = kDone;
  std::size_t slot = 0;
};

void gather_from_first(Communicator& communicator, std::span<float> values) {
  std::vector<std::size_t> bounds(static_cast<std::size_t>(communicator.size()) + 1, values.size());
  bounds.front() = 0;
  communicator.gather(values, bounds);
}

/// Calls body(values in the flat array, values in this rank's part of the slot) for each own piece.
template <class Body>
void for_own_values(const DividedState& run, std::size_t slot, const Body& body) {
  const model::ParameterLayout& own = run.state.slots()[slot].layout;
  for (const Piece& piece : run.partition.own())
    if (const model::Parameter* const placed = own.find(piece.parameter.name))
      body(piece.of(run.state.gradients()), slice(run.state.slot(slot), *placed));
}

/// From the positions of the parameters to those in the slot's layout, which has the same order and perhaps gaps less.
void compact(const DividedState& run, std::size_t slot) {
  const std::span<float> values = run.state.gradients();
  for (const model::Parameter& placed : run.slots[slot].layout.parameters()) {
    const std::span<float> from = slice(values, *run.layout.find(placed.name));
    std::ranges::copy(from, slice(values, placed).begin());
  }
}

void expand(const DividedState& run, std::size_t slot) {
  const std::span<float> values = run.state.gradients();
  const std::span<const model::Parameter> all = run.slots[slot].layout.parameters();
  for (std::size_t i = all.size(); i-- > 0;) {
    const std::span<float> to = slice(values, *run.layout.find(all[i].name));
    std::ranges::copy_backward(slice(values, all[i]), to.end());
  }
}

void take_progress(const DividedState& run) {
  const std::string first = run.communicator.exchange(kPurpose, packed(run.state.progress())).front();
  std::string_view message = first;
  run.state.progress() = unpacked<Progress>(message);
}

/// What every rank does for a wish of the first one.
void fulfill(const Wish& wish, const DividedState& run) {
  Communicator& communicator = run.communicator;
  const std::span<float> whole = run.state.gradients();
  switch (wish.command) {
    case kRead:
      for_own_values(run, wish.slot,
                     [](std::span<float> flat, std::span<float> own) { std::ranges::copy(own, flat.begin()); });
      for (const Partition::Segment& segment : run.partition.segments()) communicator.gather(whole, segment.bounds);
      return;
    case kWrite:
      gather_from_first(communicator, whole);
      for_own_values(run, wish.slot,
                     [](std::span<float> flat, std::span<float> own) { std::ranges::copy(flat, own.begin()); });
      return;
    case kSpread:
      gather_from_first(communicator, run.state.parameters());
      if (run.state.staleness() == Staleness::one_update)
        gather_from_first(communicator, run.state.running_parameters());
      take_progress(run);
      return;
    default:
      std::ranges::fill(whole, 0.0F);
  }
}

}  // namespace

WholeSlots::~WholeSlots() {
  try {
    command(kDone);
  } catch (const std::exception&) {  // the connection is lost, which the next exchange reports
  }
}

void WholeSlots::command(std::size_t what, std::size_t slot) {
  const Wish wish{what, slot};
  static_cast<void>(run_.communicator.exchange(kPurpose, packed(wish)));
  fulfill(wish, run_);
}

std::span<float> WholeSlots::values(std::size_t slot) const {
  return run_.state.gradients().first(run_.slots[slot].layout.size());
}

void WholeSlots::read(std::size_t slot) {
  command(kRead, slot);
  compact(run_, slot);
}

void WholeSlots::write(std::size_t slot) {
  expand(run_, slot);
  command(kWrite, slot);
}

void WholeSlots::spread_parameters() { command(kSpread); }

void serve_slots(const DividedState& run) {
  for (Wish wish{.command = kRead}; wish.command != kDone;) {
    const std::string first = run.communicator.exchange(kPurpose, {}).front();
    std::string_view message = first;
    wish = unpacked<Wish>(message);
    fulfill(wish, run);
  }
}

}  // namespace ane::train
