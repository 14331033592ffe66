#include "elementwise.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <functional>
#include <optional>

#include "ane/math/half.h"

#include "vector_ops.h"

namespace ane::device::host {
namespace {

/// What a block's registers may take of the first-level cache, in elements; half of 64 KiB at most is on the stack.
constexpr std::size_t kScratchElements = 8192;
constexpr std::size_t kLargestBlock = 1024;
constexpr std::size_t kSmallestBlock = 64;
/// Below this a group is not worth a second thread.
constexpr std::size_t kElementsPerThread = 8192;

constexpr std::size_t kMaxRegisters = 256;

/// `count` integers `stride` apart, widened to int32.
template <class From>
void load_integers(const From* from, std::int64_t stride, std::int32_t* to, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) to[i] = from[static_cast<std::int64_t>(i) * stride];
}

/// The reverse. Values have the target's range already: a cast came before.
template <class To>
void store_integers(const std::int32_t* from, To* to, std::int64_t stride, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) to[static_cast<std::int64_t>(i) * stride] = static_cast<To>(from[i]);
}

constexpr std::size_t kHeldBytes = 4;

/// Copies elements of 4 bytes, whatever they are.
void copy_held(const std::byte* from, std::int64_t from_stride, std::byte* to, std::int64_t to_stride,
               std::size_t count) {
  if (from_stride == 1 && to_stride == 1) {
    std::memcpy(to, from, count * kHeldBytes);
    return;
  }
  for (std::size_t i = 0; i < count; ++i) {
    const auto step = static_cast<std::ptrdiff_t>(i * kHeldBytes);
    std::memcpy(to + step * to_stride, from + step * from_stride, kHeldBytes);
  }
}

void load_halves(const math::Half* from, std::int64_t stride, float* to, std::size_t count) {
  if (stride == 1) {
    math::to_float({from, count}, {to, count});
  } else {
    for (std::size_t i = 0; i < count; ++i) to[i] = math::to_float(from[static_cast<std::int64_t>(i) * stride]);
  }
}

void store_halves(const float* from, math::Half* to, std::int64_t stride, std::size_t count) {
  if (stride == 1) {
    math::to_half({from, count}, {to, count});
  } else {
    for (std::size_t i = 0; i < count; ++i) to[static_cast<std::int64_t>(i) * stride] = math::to_half(from[i]);
  }
}

void load_row(mil::DType storage, const std::byte* from, std::int64_t stride, std::byte* to, std::size_t count) {
  auto* const integers = reinterpret_cast<std::int32_t*>(to);
  switch (storage) {
    case mil::DType::fp32:
    case mil::DType::int32:
      return copy_held(from, stride, to, 1, count);
    case mil::DType::fp16:
      return load_halves(reinterpret_cast<const math::Half*>(from), stride, reinterpret_cast<float*>(to), count);
    case mil::DType::int8:
      return load_integers(reinterpret_cast<const std::int8_t*>(from), stride, integers, count);
    case mil::DType::uint8:
      return load_integers(reinterpret_cast<const std::uint8_t*>(from), stride, integers, count);
    case mil::DType::int16:
      return load_integers(reinterpret_cast<const std::int16_t*>(from), stride, integers, count);
    case mil::DType::uint16:
      return load_integers(reinterpret_cast<const std::uint16_t*>(from), stride, integers, count);
    case mil::DType::boolean:
      load_integers(reinterpret_cast<const std::uint8_t*>(from), stride, integers, count);
      for (std::size_t i = 0; i < count; ++i) integers[i] = integers[i] != 0 ? 1 : 0;
      return;
    default:
      assert(false && "a type that no buffer has");
  }
}

void store_row(mil::DType storage, const std::byte* from, std::byte* to, std::int64_t stride, std::size_t count) {
  const auto* const integers = reinterpret_cast<const std::int32_t*>(from);
  switch (storage) {
    case mil::DType::fp32:
    case mil::DType::int32:
      return copy_held(from, 1, to, stride, count);
    case mil::DType::fp16:
      return store_halves(reinterpret_cast<const float*>(from), reinterpret_cast<math::Half*>(to), stride, count);
    case mil::DType::int8:
      return store_integers(integers, reinterpret_cast<std::int8_t*>(to), stride, count);
    case mil::DType::uint8:
    case mil::DType::boolean:
      return store_integers(integers, reinterpret_cast<std::uint8_t*>(to), stride, count);
    case mil::DType::int16:
      return store_integers(integers, reinterpret_cast<std::int16_t*>(to), stride, count);
    case mil::DType::uint16:
      return store_integers(integers, reinterpret_cast<std::uint16_t*>(to), stride, count);
    default:
      assert(false && "a type that no buffer has");
  }
}

/// Offset of row `row` when the dimensions before the last are counted through.
std::int64_t row_offset(const Dims& shape, const Dims& strides, std::int64_t row) {
  std::int64_t offset = 0;
  for (std::size_t i = shape.size() - 1; i-- > 0;) {
    offset += row % shape[i] * strides[i];
    row /= shape[i];
  }
  return offset;
}

}  // namespace

/// Turns members into code: loads come right before their first use, stores right after their value, and a piece of
/// scratch is used again when its value is dead.
class Elementwise::Compiler {
 public:
  Compiler(Elementwise& target, const std::vector<GroupMember>& members, const std::vector<Buffer>& buffers)
      : target_(target), buffers_(buffers) {
    choose_order(members);
    for (const GroupMember& member : members) add(member);
    hoist_loads();
    merge_dimensions();
  }

  /// Gives every register its home; the blocks must have been chosen. Returns the pieces of scratch needed.
  [[nodiscard]] std::size_t allocate();
  /// As many pieces as could be needed, for choosing the blocks.
  [[nodiscard]] std::size_t most_alive() const;

 private:
  struct Known {
    View view;
    Register where = 0;
  };

  void choose_order(const std::vector<GroupMember>& members);
  void add(const GroupMember& member);
  Register load(const View& view);
  void store(const View& view, Register value);
  std::size_t access(const View& view);
  void hoist_loads();
  void merge_dimensions();
  [[nodiscard]] std::vector<std::size_t> last_uses() const;

  Elementwise& target_;
  const std::vector<Buffer>& buffers_;
  std::vector<std::size_t> order_;
  std::vector<Known> known_;
};

void Elementwise::Compiler::choose_order(const std::vector<GroupMember>& members) {
  // Follow what is stored: writes out of order cost more than reads.
  const GroupMember& first = members.front();
  const View* guide = &first.node->result;
  for (const GroupMember& member : members) {
    if (member.store_result || member.node->copies.empty()) continue;
    guide = &member.node->copies.front();
    break;
  }
  for (const GroupMember& member : members) {
    if (!member.store_result) continue;
    guide = &member.node->result;
    break;
  }
  const View packed = squeezed(*guide);
  order_ = memory_order(packed);
  for (const std::size_t dim : order_) target_.shape_.push_back(packed.shape[dim]);
}

std::size_t Elementwise::Compiler::access(const View& view) {
  const View packed = squeezed(view);
  Access result{.slot = slot(view), .storage = buffers_[view.buffer].storage, .strides = {}};
  for (const std::size_t dim : order_) result.strides.push_back(packed.strides[dim]);
  target_.accesses_.push_back(std::move(result));
  return target_.accesses_.size() - 1;
}

Elementwise::Register Elementwise::Compiler::load(const View& view) {
  for (const Known& known : known_) {
    if (same_elements(known.view, view)) return known.where;
  }
  const auto target = static_cast<Register>(target_.registers_.size());
  target_.registers_.emplace_back();
  target_.code_.push_back({.action = Action::load, .op = {}, .sources = {}, .target = target, .access = access(view)});
  known_.push_back({view, target});
  return target;
}

void Elementwise::Compiler::store(const View& view, Register value) {
  target_.code_.push_back({.action = Action::store, .op = {}, .sources = {}, .target = value, .access = access(view)});
}

void Elementwise::Compiler::add(const GroupMember& member) {
  const ElementwiseNode& node = *member.node;
  Instruction instruction{.action = Action::compute, .op = node.op, .sources = {}, .target = 0, .access = 0};
  assert(node.operands.size() <= instruction.sources.size());
  for (std::size_t i = 0; i < node.operands.size(); ++i) instruction.sources[i] = load(node.operands[i]);
  for (std::size_t i = node.operands.size(); i < instruction.sources.size(); ++i) {
    instruction.sources[i] = instruction.sources[0];
  }
  const bool is_copy = node.op.kind == mil::OpKind::identity && !node.op.round;
  if (is_copy) {
    instruction.target = instruction.sources[0];
  } else {
    instruction.target = static_cast<Register>(target_.registers_.size());
    target_.registers_.emplace_back();
    target_.code_.push_back(instruction);
  }
  // A result may take the place of the operand that it finishes: from here on the place means the result.
  std::erase_if(known_, [&](const Known& known) { return same_elements(known.view, node.result); });
  known_.push_back({node.result, instruction.target});
  if (member.store_result) store(node.result, instruction.target);
  for (const View& copy : node.copies) store(copy, instruction.target);
}

/// Moves the loads of what is the same everywhere to the front.
void Elementwise::Compiler::hoist_loads() {
  const auto is_uniform = [&](const Instruction& instruction) {
    if (instruction.action != Action::load) return false;
    const Dims& strides = target_.accesses_[instruction.access].strides;
    return !strides.empty() && std::count(strides.begin(), strides.end(), 0) == std::ssize(strides);
  };
  const auto rest = std::stable_partition(target_.code_.begin(), target_.code_.end(), is_uniform);
  target_.once_ = static_cast<std::size_t>(rest - target_.code_.begin());
}

void Elementwise::Compiler::merge_dimensions() {
  Dims& shape = target_.shape_;
  for (std::size_t i = shape.size(); i-- > 1;) {
    const bool mergeable = std::all_of(target_.accesses_.begin(), target_.accesses_.end(),
                                       [&](const Access& a) { return a.strides[i - 1] == a.strides[i] * shape[i]; });
    if (!mergeable) continue;
    const auto at = static_cast<std::ptrdiff_t>(i);
    shape[i - 1] *= shape[i];
    shape.erase(shape.begin() + at);
    for (Access& a : target_.accesses_) {
      a.strides[i - 1] = a.strides[i];
      a.strides.erase(a.strides.begin() + at);
    }
  }
  if (shape.empty()) {
    shape.push_back(1);
    for (Access& a : target_.accesses_) a.strides.push_back(1);
  }
}

std::vector<std::size_t> Elementwise::Compiler::last_uses() const {
  std::vector<std::size_t> last(target_.registers_.size(), 0);
  for (std::size_t i = 0; i < target_.code_.size(); ++i) {
    const Instruction& instruction = target_.code_[i];
    last[instruction.target] = i;
    if (instruction.action != Action::compute) continue;
    for (const Register source : instruction.sources) last[source] = i;
  }
  for (std::size_t i = 0; i < target_.once_; ++i) last[target_.code_[i].target] = target_.code_.size() - 1;
  return last;
}

std::size_t Elementwise::Compiler::most_alive() const {
  const std::vector<std::size_t> last = last_uses();
  std::vector<std::ptrdiff_t> change(target_.code_.size() + 1, 0);
  std::vector<bool> born(last.size(), false);
  for (std::size_t i = 0; i < target_.code_.size(); ++i) {
    const Register target = target_.code_[i].target;
    if (born[target]) continue;
    born[target] = true;
    ++change[i];
    --change[last[target] + 1];
  }
  std::ptrdiff_t alive = 0;
  std::ptrdiff_t most = 1;
  for (const std::ptrdiff_t delta : change) most = std::max(most, alive += delta);
  return static_cast<std::size_t>(most);
}

std::size_t Elementwise::Compiler::allocate() {
  const std::vector<std::size_t> last = last_uses();
  std::vector<bool> placed(last.size(), false);
  std::vector<std::size_t> free;
  std::size_t pieces = 0;
  const auto in_memory_store = [&](Register value, std::size_t from) -> std::optional<std::size_t> {
    for (std::size_t i = from; i < target_.code_.size() && target_.code_[i].action == Action::store; ++i) {
      const Instruction& next = target_.code_[i];
      if (next.target == value && target_.accesses_[next.access].in_place) return next.access;
    }
    return std::nullopt;
  };
  for (std::size_t i = 0; i < target_.code_.size(); ++i) {
    const Instruction& instruction = target_.code_[i];
    if (instruction.action != Action::store) {
      Home& home = target_.registers_[instruction.target];
      if (instruction.action == Action::load && target_.accesses_[instruction.access].in_place) {
        home = {.in_memory = true, .index = instruction.access};
      } else if (const auto stored = in_memory_store(instruction.target, i + 1);
                 stored && instruction.action == Action::compute) {
        home = {.in_memory = true, .index = *stored};
      } else if (!free.empty()) {
        home = {.in_memory = false, .index = free.back()};
        free.pop_back();
      } else {
        home = {.in_memory = false, .index = pieces++};
      }
      placed[instruction.target] = true;
    }
    for (std::size_t r = 0; r < last.size(); ++r) {
      if (last[r] == i && placed[r] && !target_.registers_[r].in_memory) free.push_back(target_.registers_[r].index);
    }
  }
  return pieces;
}

struct Elementwise::Block {
  std::int64_t row = 0;  ///< the first
  std::int64_t rows = 1;
  std::int64_t column = 0;  ///< where in the row it starts, if it holds only a piece of one
  std::size_t columns = 0;
  [[nodiscard]] std::size_t elements() const { return static_cast<std::size_t>(rows) * columns; }
};

Elementwise::Elementwise(const std::vector<GroupMember>& members, const std::vector<Buffer>& buffers) {
  Compiler compiler(*this, members, buffers);
  choose_blocks(compiler.most_alive());
  const std::size_t pieces = compiler.allocate();
  assert(registers_.size() <= kMaxRegisters);
  assert(pieces * block_elements_ <= 2 * kScratchElements);
  static_cast<void>(pieces);
}

void Elementwise::choose_blocks(std::size_t scratch_registers) {
  block_elements_ =
      std::clamp(kScratchElements / scratch_registers / kSmallestBlock * kSmallestBlock, kSmallestBlock, kLargestBlock);
  row_elements_ = shape_.back();
  rows_ = element_count(shape_) / row_elements_;
  const auto block = static_cast<std::int64_t>(block_elements_);
  if (row_elements_ >= block) {
    pieces_per_row_ = (row_elements_ + block - 1) / block;
  } else {
    rows_per_block_ = std::min(rows_, block / row_elements_);
  }
  const Dims packed = dense_strides(shape_);
  for (Access& access : accesses_) {
    const bool four_bytes = access.storage == mil::DType::fp32 || access.storage == mil::DType::int32;
    const bool packed_rows = rows_per_block_ == 1 || access.strides == packed;
    access.in_place = four_bytes && access.strides.back() == 1 && packed_rows;
  }
}

void Elementwise::run(const RunContext& context) const {
  const auto blocks = static_cast<std::size_t>((rows_ + rows_per_block_ - 1) / rows_per_block_ * pieces_per_row_);
  struct Job {
    const Elementwise* self;
    const RunContext* context;
  } const job{.self = this, .context = &context};
  const auto body = [&job](math::Range range) { job.self->run_blocks(*job.context, range); };
  const std::size_t grain = std::max<std::size_t>(1, kElementsPerThread / block_elements_);
  context.threads->parallel_for(blocks, grain, std::cref(body));
}

void Elementwise::run_blocks(const RunContext& context, math::Range range) const {
  alignas(64) std::array<std::byte, 2 * kScratchElements * kHeldBytes> scratch;
  execute(context, {.row = 0, .rows = 1, .column = 0, .columns = block_elements_}, 0, once_, scratch.data());
  for (std::size_t i = range.begin; i < range.end; ++i) {
    const auto index = static_cast<std::int64_t>(i);
    Block block;
    block.row = index / pieces_per_row_ * rows_per_block_;
    block.rows = std::min(rows_per_block_, rows_ - block.row);
    block.column = index % pieces_per_row_ * static_cast<std::int64_t>(block_elements_);
    block.columns = std::min(static_cast<std::size_t>(row_elements_ - block.column),
                             pieces_per_row_ > 1 ? block_elements_ : static_cast<std::size_t>(row_elements_));
    execute(context, block, once_, code_.size(), scratch.data());
  }
}

void Elementwise::execute(const RunContext& context, const Block& block, std::size_t first, std::size_t last,
                          std::byte* scratch) const {
  const auto address = [&](const Access& access, std::int64_t row) {
    const std::int64_t element =
        access.slot.offset + row_offset(shape_, access.strides, row) + block.column * access.strides.back();
    return context.buffers[access.slot.buffer] +
           element * static_cast<std::int64_t>(mil::element_bytes(access.storage));
  };
  std::array<std::byte*, kMaxRegisters> values;
  for (std::size_t i = 0; i < registers_.size(); ++i) {
    const Home& home = registers_[i];
    values[i] = home.in_memory ? address(accesses_[home.index], block.row)
                               : scratch + home.index * block_elements_ * kHeldBytes;
  }
  for (std::size_t i = first; i < last; ++i) {
    const Instruction& instruction = code_[i];
    std::byte* const target = values[instruction.target];
    if (instruction.action == Action::compute) {
      apply(instruction.op, values[instruction.sources[0]], values[instruction.sources[1]],
            values[instruction.sources[2]], target, block.elements());
      continue;
    }
    const Home& home = registers_[instruction.target];
    if (home.in_memory && home.index == instruction.access) continue;
    const Access& access = accesses_[instruction.access];
    const std::int64_t stride = access.strides.back();
    for (std::int64_t row = 0; row < block.rows; ++row) {
      std::byte* const part = target + static_cast<std::size_t>(row) * block.columns * kHeldBytes;
      std::byte* const memory = address(access, block.row + row);
      if (instruction.action == Action::load) {
        load_row(access.storage, memory, stride, part, block.columns);
      } else {
        store_row(access.storage, part, memory, stride, block.columns);
      }
    }
  }
}

}  // namespace ane::device::host
