#include <algorithm>
#include <cassert>

#include "run/elementwise.h"

namespace ane::device::host {

/// Compiles members to instructions: loads come right before their first use, stores right after their value.
class Elementwise::Compiler {
 public:
  Compiler(Elementwise& target, const std::vector<GroupMember>& members, const std::vector<Buffer>& buffers)
      : target_(target), buffers_(buffers) {
    choose_order(members);
    for (const GroupMember& member : members) add(member);
    hoist_loads();
  }

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

  Elementwise& target_;
  const std::vector<Buffer>& buffers_;
  std::vector<std::size_t> order_;
  std::vector<Known> known_;
};

void Elementwise::Compiler::choose_order(const std::vector<GroupMember>& members) {
  // Iterate in the order of the stores: out-of-order writes cost more than reads.
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
  const mil::DType storage = buffers_[view.buffer].storage;
  Access result{.slot = slot(view),
                .storage = storage,
                .element_bytes = static_cast<std::int64_t>(mil::element_bytes(storage)),
                .strides = {}};
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
  target_.code_.push_back({.action = Action::load, .target = target, .access = access(view)});
  known_.push_back({view, target});
  return target;
}

void Elementwise::Compiler::store(const View& view, Register value) {
  target_.code_.push_back({.action = Action::store, .target = value, .access = access(view)});
}

void Elementwise::Compiler::add(const GroupMember& member) {
  const ElementwiseNode& node = *member.node;
  Instruction instruction{.action = Action::compute, .op = node.op, .loop = loop_of(node.op)};
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
  // A result may overwrite its operand: from here on the memory contains the result.
  std::erase_if(known_, [&](const Known& known) { return same_elements(known.view, node.result); });
  known_.push_back({node.result, instruction.target});
  if (member.store_result) store(node.result, instruction.target);
  for (const View& copy : node.copies) store(copy, instruction.target);
}

/// Moves loads of uniform values to the front.
void Elementwise::Compiler::hoist_loads() {
  const auto is_uniform = [&](const Instruction& instruction) {
    if (instruction.action != Action::load) return false;
    const Dims& strides = target_.accesses_[instruction.access].strides;
    return !strides.empty() && std::count(strides.begin(), strides.end(), 0) == std::ssize(strides);
  };
  const auto rest = std::stable_partition(target_.code_.begin(), target_.code_.end(), is_uniform);
  target_.once_ = static_cast<std::size_t>(rest - target_.code_.begin());
}

Elementwise::Elementwise(const std::vector<GroupMember>& members, const std::vector<Buffer>& buffers) {
  static_cast<void>(Compiler(*this, members, buffers));
  lay_out();
}

}  // namespace ane::device::host
