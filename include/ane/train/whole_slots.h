#pragma once

#include <cstddef>
#include <span>

#include "ane/distributed/communicator.h"
#include "ane/model/parameters.h"
#include "ane/train/partition.h"
#include "ane/train/state.h"

namespace ane::train {

/// The state of a run on several ranks, of whose optimizer slots each rank has a part.
struct DividedState {
  distributed::Communicator& communicator;
  const Partition& partition;
  StateArena& state;
  const model::ParameterLayout& layout;  ///< of what is trained
  StateSlots slots;                      ///< the whole ones
};

/// The slots as the first rank's checkpoints contain them. A whole one is assembled in the memory of the gradients,
/// which are 0 between updates, so that no rank needs further memory. While the first rank has an object of this class,
/// all others call serve_slots().
class WholeSlots {
 public:
  explicit WholeSlots(const DividedState& run) : run_(run) {}
  /// Ends serve_slots() in the other ranks.
  ~WholeSlots();
  WholeSlots(const WholeSlots&) = delete;
  WholeSlots& operator=(const WholeSlots&) = delete;

  [[nodiscard]] const model::ParameterLayout& layout(std::size_t slot) const { return run_.slots[slot].layout; }
  /// Memory for the values of a slot, with its layout. read() fills it; write() divides what it contains among the
  /// ranks.
  [[nodiscard]] std::span<float> values(std::size_t slot) const;
  void read(std::size_t slot);
  void write(std::size_t slot);
  /// Gives all ranks the parameters and the progress of this one.
  void spread_parameters();

 private:
  void command(std::size_t what, std::size_t slot = 0);

  const DividedState& run_;
};

/// The part of the other ranks.
void serve_slots(const DividedState& run);

}  // namespace ane::train
