#include <algorithm>
#include <cassert>
#include <optional>

#include "run/elementwise.h"

/// Iteration order of a group's code: dimensions, block sizes and register locations.
namespace ane::device::host {
namespace {

constexpr std::size_t kLargestBlock = 1024;
constexpr std::size_t kSmallestBlock = 64;

}  // namespace

void Elementwise::lay_out() {
  merge_dimensions();
  choose_blocks(most_alive());
  const std::size_t pieces = place_registers();
  assert(registers_.size() <= kMaxRegisters);
  assert(pieces * block_elements_ <= kStackElements);
  static_cast<void>(pieces);
}

bool Elementwise::slice(std::int64_t slices) {
  if (shape_.front() % slices != 0) return false;
  shape_.front() /= slices;
  for (Access& access : accesses_) access.slot.slice_stride = shape_.front() * access.strides.front();
  if (shape_.front() == 1 && shape_.size() > 1) {
    shape_.erase(shape_.begin());
    for (Access& access : accesses_) access.strides.erase(access.strides.begin());
  }
  lay_out();
  return true;
}

std::vector<Touch> Elementwise::touches() {
  std::vector<bool> stored(accesses_.size(), false);
  for (const Instruction& instruction : code_) {
    if (instruction.action == Action::store) stored[instruction.access] = true;
  }
  std::vector<Touch> result;
  for (std::size_t i = 0; i < accesses_.size(); ++i) {
    result.push_back({&accesses_[i].slot, shape_, accesses_[i].strides, stored[i]});
  }
  return result;
}

/// Merges dimensions that are contiguous in every access.
void Elementwise::merge_dimensions() {
  Dims& shape = shape_;
  for (std::size_t i = shape.size(); i-- > 1;) {
    const bool mergeable = std::all_of(accesses_.begin(), accesses_.end(),
                                       [&](const Access& a) { return a.strides[i - 1] == a.strides[i] * shape[i]; });
    if (!mergeable) continue;
    const auto at = static_cast<std::ptrdiff_t>(i);
    shape[i - 1] *= shape[i];
    shape.erase(shape.begin() + at);
    for (Access& a : accesses_) {
      a.strides[i - 1] = a.strides[i];
      a.strides.erase(a.strides.begin() + at);
    }
  }
  if (shape.empty()) {
    shape.push_back(1);
    for (Access& a : accesses_) a.strides.push_back(1);
  }
}

/// The last instruction that needs each register; the end of the code for those that are loaded once.
std::vector<std::size_t> Elementwise::last_uses() const {
  std::vector<std::size_t> last(registers_.size(), 0);
  for (std::size_t i = 0; i < code_.size(); ++i) {
    const Instruction& instruction = code_[i];
    last[instruction.target] = i;
    if (instruction.action != Action::compute) continue;
    for (const Register source : instruction.sources) last[source] = i;
  }
  for (std::size_t i = 0; i < once_; ++i) last[code_[i].target] = code_.size();
  return last;
}

/// Upper bound of the scratch pieces needed, for choosing the block size.
std::size_t Elementwise::most_alive() const {
  const std::vector<std::size_t> last = last_uses();
  std::vector<std::ptrdiff_t> change(code_.size() + 1, 0);
  std::vector<bool> born(last.size(), false);
  for (std::size_t i = 0; i < code_.size(); ++i) {
    const Register target = code_[i].target;
    if (born[target]) continue;
    born[target] = true;
    ++change[i];
    --change[std::max(last[target], i + 1)];
  }
  std::ptrdiff_t alive = 0;
  std::ptrdiff_t most = 1;
  for (const std::ptrdiff_t delta : change) most = std::max(most, alive += delta);
  return static_cast<std::size_t>(most);
}

/// Assigns a location to every register: scratch pieces are reused when their value is dead. Returns the number of
/// pieces.
std::size_t Elementwise::place_registers() {
  const std::vector<std::size_t> last = last_uses();
  std::vector<bool> placed(last.size(), false);
  std::vector<std::size_t> free;
  std::size_t pieces = 0;
  const auto in_memory_store = [&](Register value, std::size_t from) -> std::optional<std::size_t> {
    for (std::size_t i = from; i < code_.size() && code_[i].action == Action::store; ++i) {
      const Instruction& next = code_[i];
      if (next.target == value && accesses_[next.access].in_place) return next.access;
    }
    return std::nullopt;
  };
  for (std::size_t i = 0; i < code_.size(); ++i) {
    const Instruction& instruction = code_[i];
    // First, because a result may overwrite an operand.
    for (std::size_t r = 0; r < last.size(); ++r) {
      if (last[r] == i && placed[r] && !registers_[r].in_memory) free.push_back(registers_[r].index);
    }
    if (instruction.action == Action::store) continue;
    Home& home = registers_[instruction.target];
    // A value that is loaded once is used by every block and thread, so it cannot be in memory that one of them
    // overwrites.
    const bool may_lie_in_memory = i >= once_;
    if (may_lie_in_memory && instruction.action == Action::load && accesses_[instruction.access].in_place) {
      home = {.in_memory = true, .index = instruction.access};
    } else if (const auto stored = may_lie_in_memory ? in_memory_store(instruction.target, i + 1) : std::nullopt) {
      home = {.in_memory = true, .index = *stored};
    } else if (!free.empty()) {
      home = {.in_memory = false, .index = free.back()};
      free.pop_back();
    } else {
      home = {.in_memory = false, .index = pieces++};
    }
    placed[instruction.target] = true;
  }
  return pieces;
}

void Elementwise::choose_blocks(std::size_t scratch_registers) {
  constexpr std::size_t kScratchElements = 4096;  // fits the L1 cache
  block_elements_ =
      std::clamp(kScratchElements / scratch_registers / kSmallestBlock * kSmallestBlock, kSmallestBlock, kLargestBlock);
  row_elements_ = shape_.back();
  rows_ = element_count(shape_) / row_elements_;
  const auto block = static_cast<std::int64_t>(block_elements_);
  pieces_per_row_ = (row_elements_ + block - 1) / block;
  rows_per_block_ = row_elements_ >= block ? 1 : std::min(rows_, block / row_elements_);
  const Dims packed = dense_strides(shape_);
  for (Access& access : accesses_) {
    const bool four_bytes = access.storage == mil::DType::fp32 || access.storage == mil::DType::int32;
    access.one_run = rows_per_block_ == 1 || access.strides == packed;
    access.in_place = four_bytes && access.strides.back() == 1 && access.one_run;
  }
}

}  // namespace ane::device::host
