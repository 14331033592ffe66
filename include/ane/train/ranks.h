#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ane/distributed/communicator.h"
#include "ane/model/model.h"
#include "ane/train/evaluation.h"
#include "ane/train/observer.h"
#include "ane/train/optimizer.h"
#include "ane/train/partition.h"
#include "ane/train/state.h"
#include "ane/train/whole_slots.h"

namespace ane::train {

/// What each rank knows about a batch, and what the ranks know together.
struct BatchStatus {
  double loss_sum = 0;
  double loss_sequences = 0;              ///< sum of StepResult::loss_share
  std::optional<std::string> overflow{};  ///< of the first sequence that overflowed
  GradientSum gradients{};
  bool stop = false;  ///< a signal asks for the end of the run
  // According to the first rank's clock:
  bool checkpoint_due = false;
  bool deadline_passed = false;
};

/// How an update went in one rank.
struct UpdateEnd {
  std::optional<std::string> not_finite{};  ///< the tensor that the update made so
  Duration arrival{};  ///< from the end of the last update until this rank's sequences were finished
  RankTimes times{};   ///< of this rank; `exchange` includes the waiting
};

/// How it went in all ranks.
struct UpdateEnds {
  std::optional<std::string> not_finite{};  ///< the first one
  std::vector<RankTimes> times{};
};

/// What the trainers of several ranks do together. All ranks must call the same functions in the same order.
class Ranks : public model::GradientListener {
 public:
  /// `slots`: the optimizer's, of all ranks together.
  Ranks(distributed::Communicator& communicator, const Partition& partition, StateArena& state,
        const model::ParameterLayout& layout, StateSlots slots);

  [[nodiscard]] int size() const noexcept { return communicator_.size(); }
  [[nodiscard]] bool is_first() const noexcept { return communicator_.is_first(); }
  [[nodiscard]] std::span<const Piece> own_pieces() const noexcept { return partition_.own(); }

  /// This rank's part of `count` sequences: the first one, and the one after the last.
  struct Share {
    std::int64_t begin = 0, end = 0;
  };
  [[nodiscard]] Share share_of(std::int64_t count) const noexcept;

  /// Begins to sum the gradients of a layer and of what the backward pass completes before it. Must only be called
  /// during the last step of a batch.
  void on_layer_gradients(std::size_t layer) override;
  /// Sums all other gradients and waits for the sums: this rank's pieces of the state's gradients are then complete.
  void sum_gradients();
  /// The sums of what the ranks know, in the order of the ranks; stop if any rank wants to.
  [[nodiscard]] BatchStatus combine(const BatchStatus& own) const;
  /// Gives every rank the parameters that the others have updated.
  void gather_parameters();
  [[nodiscard]] UpdateEnds combine(const UpdateEnd& own) const;
  /// The largest number that any rank has.
  [[nodiscard]] int any_of(int own) const;
  /// The value that the first rank has.
  [[nodiscard]] bool decided_by_first(bool own) const;
  [[nodiscard]] Evaluation combine(const Evaluation& own) const;
  /// Takes part in a checkpoint that the first rank writes.
  void serve_checkpoint() { serve_slots(run_); }
  /// For the first rank's checkpoints.
  [[nodiscard]] std::unique_ptr<WholeSlots> whole_slots() const;

  /// Bytes that this rank has sent for updates.
  [[nodiscard]] std::size_t sent_bytes() const noexcept { return communicator_.sent_bytes(); }

 private:
  void start_sums(std::size_t end);

  distributed::Communicator& communicator_;
  const Partition& partition_;
  StateArena& state_;
  DividedState run_;
  std::size_t unsummed_;  ///< segments whose sums have not begun: the first ones
};

}  // namespace ane::train
