#include "ane/train/ranks.h"

#include <algorithm>
#include <memory>
#include <string_view>
#include <vector>

#include "ranks/packed.h"

namespace ane::train {

namespace {

/// The numbers of a BatchStatus, followed by its texts in the message.
struct BatchNumbers {
  double loss_sum, loss_sequences, squares;
  bool stop, checkpoint_due, deadline_passed;
};

std::string packed_text(const std::optional<std::string>& text) {
  return packed(text ? static_cast<std::int64_t>(text->size()) : std::int64_t{-1}) + text.value_or("");
}

std::optional<std::string> unpacked_text(std::string_view& message) {
  const auto size = unpacked<std::int64_t>(message);
  if (size < 0) return std::nullopt;
  std::optional<std::string> text(message.substr(0, static_cast<std::size_t>(size)));
  message.remove_prefix(text->size());
  return text;
}

template <class Value>
void take_first(std::optional<Value>& first, std::optional<Value> next) {
  if (!first) first = std::move(next);
}

}  // namespace

Ranks::Ranks(distributed::Communicator& communicator, const Partition& partition, StateArena& state,
             const model::ParameterLayout& layout, StateSlots slots)
    : communicator_(communicator),
      partition_(partition),
      state_(state),
      run_{communicator, partition, state, layout, std::move(slots)},
      unsummed_(partition.segments().size()) {}

Ranks::Share Ranks::share_of(std::int64_t count) const noexcept {
  const std::int64_t ranks = communicator_.size();
  const std::int64_t rank = communicator_.rank();
  return {count * rank / ranks, count * (rank + 1) / ranks};
}

// The sums are begun in the same order in all ranks, whatever they have been told.
void Ranks::start_sums(std::size_t end) {
  while (unsummed_ > end) communicator_.start_sum(state_.gradients(), partition_.segments()[--unsummed_].bounds);
}

void Ranks::on_layer_gradients(std::size_t layer) {
  std::size_t first = unsummed_;
  for (std::size_t i = 0; i < unsummed_; ++i)
    if (partition_.segments()[i].layer == layer) first = std::min(first, i);
  start_sums(first);
}

void Ranks::sum_gradients() {
  start_sums(0);
  communicator_.wait();
  unsummed_ = partition_.segments().size();
}

BatchStatus Ranks::combine(const BatchStatus& own) const {
  const BatchNumbers numbers{own.loss_sum, own.loss_sequences, own.gradients.squares,
                             own.stop,     own.checkpoint_due, own.deadline_passed};
  const std::vector<std::string> messages = communicator_.exchange(
      "an update", packed(numbers) + packed_text(own.overflow) + packed_text(own.gradients.not_finite));
  BatchStatus all;
  for (std::size_t rank = 0; rank < messages.size(); ++rank) {
    std::string_view message = messages[rank];
    const auto theirs = unpacked<BatchNumbers>(message);
    all.loss_sum += theirs.loss_sum;
    all.loss_sequences += theirs.loss_sequences;
    all.gradients.squares += theirs.squares;
    all.stop = all.stop || theirs.stop;
    if (rank == 0) {
      all.checkpoint_due = theirs.checkpoint_due;
      all.deadline_passed = theirs.deadline_passed;
    }
    take_first(all.overflow, unpacked_text(message));
    take_first(all.gradients.not_finite, unpacked_text(message));
  }
  return all;
}

void Ranks::gather_parameters() {
  for (const Partition::Segment& segment : partition_.segments())
    communicator_.gather(state_.parameters(), segment.bounds);
}

UpdateEnds Ranks::combine(const UpdateEnd& own) const {
  UpdateEnds all;
  std::vector<Duration> arrivals;
  for (std::string_view message : communicator_.exchange(
           "the end of an update", packed(own.arrival) + packed(own.times) + packed_text(own.not_finite))) {
    arrivals.push_back(unpacked<Duration>(message));
    all.times.push_back(unpacked<RankTimes>(message));
    take_first(all.not_finite, unpacked_text(message));
  }
  const Duration last = *std::ranges::max_element(arrivals);
  for (std::size_t rank = 0; rank < arrivals.size(); ++rank) {
    RankTimes& times = all.times[rank];
    times.waiting = std::min(last - arrivals[rank], times.exchange);
    times.exchange -= times.waiting;
  }
  return all;
}

int Ranks::any_of(int own) const {
  int largest = own;
  for (std::string_view message : communicator_.exchange("a number", packed(own)))
    largest = std::max(largest, unpacked<int>(message));
  return largest;
}

bool Ranks::decided_by_first(bool own) const {
  return communicator_.exchange("a decision", own ? "yes" : "no").front() == "yes";
}

Evaluation Ranks::combine(const Evaluation& own) const {
  struct Numbers {
    double loss_sum, loss_sequences;
    std::size_t sequences;
  };
  Evaluation all;
  const Numbers numbers{own.loss_sum, own.loss_sequences, own.sequences};
  for (std::string_view message : communicator_.exchange("a validation", packed(numbers) + packed_text(own.overflow))) {
    const auto theirs = unpacked<Numbers>(message);
    all.loss_sum += theirs.loss_sum;
    all.loss_sequences += theirs.loss_sequences;
    all.sequences += theirs.sequences;
    take_first(all.overflow, unpacked_text(message));
  }
  all.loss = all.loss_sum / all.loss_sequences;
  return all;
}

std::unique_ptr<WholeSlots> Ranks::whole_slots() const { return std::make_unique<WholeSlots>(run_); }

}  // namespace ane::train
