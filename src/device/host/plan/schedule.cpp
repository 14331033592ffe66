#include <algorithm>
#include <map>
#include <set>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>

#include "ane/core/checked.h"

#include "plan/arena.h"
#include "plan/plan.h"

namespace ane::device::host {
namespace {

/// Limits a group's code and registers.
constexpr std::size_t kLargestGroup = 48;
/// Elementwise nodes that may be deferred for fusion; limits the depth of the search through them and the candidates
/// for a group.
constexpr std::size_t kMostWaiting = 512;

class Scheduler {
 public:
  explicit Scheduler(const Graph& graph);

  /// The steps of the constant nodes, or of the others, in order.
  std::vector<Step> steps(bool constant);

  /// Lifetimes of the buffers used by the steps created so far.
  [[nodiscard]] const Lifetimes& lifetimes() const noexcept { return lifetimes_; }

 private:
  [[nodiscard]] const ElementwiseNode* elementwise(NodeId node) const {
    return std::get_if<ElementwiseNode>(&graph_.nodes[node].work);
  }
  [[nodiscard]] Space space(BufferId buffer) const { return graph_.buffers[buffer].space; }
  void mark_alive();
  void assign_domains();
  /// Elementwise nodes can be fused if they have the same shape and memory order, and run at the same time.
  [[nodiscard]] bool may_join(NodeId node, NodeId seed) const {
    return elementwise(node) != nullptr && domains_[node] == domains_[seed];
  }
  /// The node that produces `operand`, if `operand` is its whole result and the node could be in the same group.
  [[nodiscard]] const NodeId* source_in_group(const View& operand, NodeId seed) const;

  void require(NodeId id);
  void require_tensor(TensorId tensor);
  [[nodiscard]] bool is_complete(TensorId tensor);
  void require_around(NodeId id, NodeId seed, std::set<NodeId>& visited);
  void collect(NodeId id, NodeId seed, std::vector<NodeId>& group);
  void collect_others(NodeId seed, std::vector<NodeId>& group);
  [[nodiscard]] bool is_ready(NodeId id, NodeId seed, const std::vector<NodeId>& group);
  void emit_group(const std::vector<NodeId>& all);
  void touch(BufferId buffer);

  const Graph& graph_;
  std::vector<std::vector<NodeId>> users_;  ///< of the result as a whole
  std::vector<bool> is_read_in_memory_;     ///< as part of a larger view
  std::vector<bool> alive_;
  std::vector<bool> done_;
  std::vector<bool> complete_;                ///< tensors known to be complete: all of their producers are done
  std::vector<std::size_t> domains_;          ///< of elementwise nodes: equal if they may fuse
  std::vector<std::vector<NodeId>> waiting_;  ///< live nodes by domain, in order
  std::vector<std::size_t> first_waiting_;    ///< index into waiting_: nodes before it are done
  Lifetimes lifetimes_;
  std::vector<Step> steps_;
};

Scheduler::Scheduler(const Graph& graph)
    : graph_(graph),
      users_(graph.nodes.size()),
      is_read_in_memory_(graph.nodes.size(), false),
      alive_(graph.nodes.size(), false),
      done_(graph.nodes.size(), false),
      complete_(graph.tensors.size(), false),
      domains_(graph.nodes.size(), 0),
      lifetimes_(graph.buffers.size()) {
  mark_alive();
  for (NodeId id = 0; id < graph.nodes.size(); ++id) {
    if (!alive_[id]) continue;
    for (const TensorId tensor : graph.nodes[id].reads) {
      if (const NodeId* const producer = graph.tensors[tensor].sole_producer()) users_[*producer].push_back(id);
    }
  }
  assign_domains();
}

void Scheduler::assign_domains() {
  std::map<std::tuple<Dims, std::vector<std::size_t>, bool>, std::size_t> known;
  for (NodeId id = 0; id < graph_.nodes.size(); ++id) {
    const ElementwiseNode* const node = elementwise(id);
    if (node == nullptr || !alive_[id]) continue;
    const View packed = squeezed(node->result);
    domains_[id] =
        known.try_emplace({packed.shape, memory_order(packed), graph_.nodes[id].constant}, known.size()).first->second;
    waiting_.resize(known.size());
    waiting_[domains_[id]].push_back(id);
  }
  first_waiting_.assign(known.size(), 0);
}

/// Marks the nodes that write to an output, and their dependencies.
void Scheduler::mark_alive() {
  std::vector<NodeId> nodes;
  for (NodeId id = 0; id < graph_.nodes.size(); ++id) {
    const ElementwiseNode* const node = elementwise(id);
    if (space(graph_.nodes[id].writes) == Space::output || (node != nullptr && !node->copies.empty()))
      nodes.push_back(id);
  }
  std::vector<bool> seen(graph_.tensors.size(), false);
  std::vector<TensorId> tensors;
  while (!nodes.empty()) {
    const NodeId next = nodes.back();
    nodes.pop_back();
    if (alive_[next]) continue;
    alive_[next] = true;
    tensors = graph_.nodes[next].reads;
    while (!tensors.empty()) {
      const TensorId id = tensors.back();
      tensors.pop_back();
      if (seen[id]) continue;
      seen[id] = true;
      const Tensor& tensor = graph_.tensors[id];
      nodes.insert(nodes.end(), tensor.producers.begin(), tensor.producers.end());
      tensors.insert(tensors.end(), tensor.parts.begin(), tensor.parts.end());
      if (tensor.sole_producer() != nullptr) continue;
      for (const NodeId producer : tensor.producers) is_read_in_memory_[producer] = true;
    }
  }
}

const NodeId* Scheduler::source_in_group(const View& operand, NodeId seed) const {
  const NodeId* const producer = graph_.tensors[operand.tensor].sole_producer();
  if (producer == nullptr || !may_join(*producer, seed)) return nullptr;
  return same_elements(operand, elementwise(*producer)->result) ? producer : nullptr;
}

std::vector<Step> Scheduler::steps(bool constant) {
  // Products and similar nodes are scheduled in program order and require their operands; elementwise nodes are
  // deferred until they are required, so that as many as possible are fused.
  std::vector<NodeId> waiting;
  const auto require_waiting = [&] {
    for (const NodeId id : waiting) require(id);
    waiting.clear();
  };
  for (NodeId id = 0; id < graph_.nodes.size(); ++id) {
    if (!alive_[id] || done_[id] || graph_.nodes[id].constant != constant) continue;
    if (elementwise(id) == nullptr) {
      require(id);
      continue;
    }
    waiting.push_back(id);
    if (waiting.size() == kMostWaiting) require_waiting();
  }
  require_waiting();
  return std::exchange(steps_, {});
}

void Scheduler::require(NodeId id) {
  if (done_[id]) return;
  if (elementwise(id) != nullptr) {
    std::set<NodeId> visited;
    require_around(id, id, visited);
    if (done_[id]) return;
    std::vector<NodeId> group;
    collect(id, id, group);
    collect_others(id, group);
    emit_group(group);
    return;
  }
  const Node& node = graph_.nodes[id];
  for (const TensorId tensor : node.reads) require_tensor(tensor);
  for (const TensorId tensor : node.reads) touch(graph_.tensors[tensor].buffer);
  touch(node.writes);
  std::visit(
      [this](const auto& work) {
        if constexpr (!std::is_same_v<std::decay_t<decltype(work)>, ElementwiseNode>) steps_.emplace_back(work);
      },
      node.work);
  done_[id] = true;
}

void Scheduler::require_tensor(TensorId tensor) {
  std::vector<TensorId> open{tensor};
  std::vector<TensorId> required;
  while (!open.empty()) {
    const TensorId next = open.back();
    open.pop_back();
    if (complete_[next]) continue;
    for (const NodeId producer : graph_.tensors[next].producers) require(producer);
    required.push_back(next);
    const std::vector<TensorId>& parts = graph_.tensors[next].parts;
    open.insert(open.end(), parts.rbegin(), parts.rend());
  }
  // Not earlier, because completeness is checked in between.
  for (const TensorId done : required) complete_[done] = true;
}

bool Scheduler::is_complete(TensorId tensor) {
  std::vector<TensorId> open{tensor};
  while (!open.empty()) {
    const Tensor& next = graph_.tensors[open.back()];
    const bool known = complete_[open.back()];
    open.pop_back();
    if (known) continue;
    const auto is_done = [&](NodeId producer) { return done_[producer]; };
    if (!std::all_of(next.producers.begin(), next.producers.end(), is_done)) return false;
    open.insert(open.end(), next.parts.begin(), next.parts.end());
  }
  complete_[tensor] = true;
  return true;
}

/// Requires everything that the group around `seed` reads from memory. May complete members of the group on the way.
void Scheduler::require_around(NodeId id, NodeId seed, std::set<NodeId>& visited) {
  if (!visited.insert(id).second) return;
  for (const View& operand : elementwise(id)->operands) {
    if (const NodeId* const source = source_in_group(operand, seed)) {
      if (!done_[*source]) require_around(*source, seed, visited);
      continue;
    }
    require_tensor(operand.tensor);
  }
}

void Scheduler::collect(NodeId id, NodeId seed, std::vector<NodeId>& group) {
  if (done_[id] || std::find(group.begin(), group.end(), id) != group.end()) return;
  for (const View& operand : elementwise(id)->operands) {
    if (const NodeId* const source = source_in_group(operand, seed)) collect(*source, seed, group);
  }
  group.push_back(id);
}

bool Scheduler::is_ready(NodeId id, NodeId seed, const std::vector<NodeId>& group) {
  const std::vector<View>& operands = elementwise(id)->operands;
  return std::all_of(operands.begin(), operands.end(), [&](const View& operand) {
    const NodeId* const source = source_in_group(operand, seed);
    if (source != nullptr && std::find(group.begin(), group.end(), *source) != group.end()) return true;
    return is_complete(operand.tensor);
  });
}

/// Adds nodes that can be computed in the same group: their operands are available or in the group.
void Scheduler::collect_others(NodeId seed, std::vector<NodeId>& group) {
  const std::vector<NodeId>& all = waiting_[domains_[seed]];
  std::size_t& first = first_waiting_[domains_[seed]];
  while (first < all.size() && done_[all[first]]) ++first;
  const std::size_t end = std::min(all.size(), first + kMostWaiting);
  for (std::size_t i = first; i < end && group.size() < kLargestGroup; ++i) {
    const NodeId id = all[i];
    if (done_[id]) continue;
    if (std::find(group.begin(), group.end(), id) == group.end() && is_ready(id, seed, group)) group.push_back(id);
  }
}

void Scheduler::emit_group(const std::vector<NodeId>& all) {
  for (std::size_t begin = 0; begin < all.size(); begin += kLargestGroup) {
    const std::span<const NodeId> group(all.data() + begin, std::min(kLargestGroup, all.size() - begin));
    const auto inside = [&](NodeId id) { return std::find(group.begin(), group.end(), id) != group.end(); };
    std::vector<GroupMember> members;
    for (const NodeId id : group) {
      const ElementwiseNode& node = *elementwise(id);
      const bool stored = space(node.result.buffer) == Space::output || is_read_in_memory_[id] ||
                          !std::all_of(users_[id].begin(), users_[id].end(), inside);
      members.push_back({&node, stored});
      for (const View& operand : node.operands) {
        const NodeId* const producer = graph_.tensors[operand.tensor].sole_producer();
        if (producer == nullptr || !inside(*producer)) touch(operand.buffer);
      }
      if (stored) touch(node.result.buffer);
      for (const View& copy : node.copies) touch(copy.buffer);
      done_[id] = true;
    }
    steps_.emplace_back(Elementwise(members, graph_.buffers));
  }
}

void Scheduler::touch(BufferId buffer) {
  std::optional<Lifetime>& life = lifetimes_[buffer];
  if (!life) life = Lifetime{.bytes = 0, .first = steps_.size(), .last = 0};
  life->last = steps_.size();
}

std::size_t held_bytes(const Buffer& buffer) { return static_cast<std::size_t>(buffer.elements) * sizeof(float); }

void place_constants(Plan& plan, const Lifetimes& lifetimes) {
  for (BufferId id = 0; id < plan.buffers.size(); ++id) {
    Buffer& buffer = plan.buffers[id];
    if (buffer.space != Space::constants || !lifetimes[id]) continue;
    buffer.offset = plan.constants_bytes;
    plan.constants_bytes += round_up(held_bytes(buffer), kAlignment);
  }
}

void place_arena(Plan& plan, const Lifetimes& lifetimes) {
  std::vector<Lifetime> in_use;
  std::vector<BufferId> owners;
  for (BufferId id = 0; id < plan.buffers.size(); ++id) {
    if (plan.buffers[id].space != Space::arena || !lifetimes[id]) continue;
    in_use.push_back(*lifetimes[id]);
    in_use.back().bytes = held_bytes(plan.buffers[id]);
    owners.push_back(id);
  }
  const ArenaPlan arena = plan_arena(in_use);
  for (std::size_t i = 0; i < owners.size(); ++i) plan.buffers[owners[i]].offset = arena.offsets[i];
  plan.arena_bytes = arena.bytes;
}

void place_staging(Plan& plan, const Lifetimes& lifetimes) {
  for (BufferId id = 0; id < plan.buffers.size(); ++id) {
    Buffer& buffer = plan.buffers[id];
    if (buffer.space != Space::staging || !lifetimes[id]) continue;
    buffer.offset = plan.staging_bytes;
    plan.staging_bytes += round_up(held_bytes(buffer), kAlignment);
  }
}

std::vector<Port> ports(const mil::Function& function, const std::vector<mil::ValueId>& values) {
  std::vector<Port> result;
  for (const mil::ValueId id : values) {
    const mil::Value& value = function.value(id);
    result.push_back({value.name, value.type, mil::surface_layout(value.type).size_bytes});
  }
  return result;
}

}  // namespace

Plan schedule(const Graph& graph, const mil::Function& function, int threads) {
  Plan plan;
  plan.buffers = graph.buffers;
  plan.literals = graph.literals;
  plan.blobs = graph.blobs;
  Scheduler scheduler(graph);
  plan.prologue = scheduler.steps(/*constant=*/true);
  std::vector<Step> steps = scheduler.steps(/*constant=*/false);
  Lifetimes lifetimes = scheduler.lifetimes();
  plan.steps = form_regions(std::move(steps), plan.buffers, lifetimes, threads);
  place_constants(plan, lifetimes);
  place_arena(plan, lifetimes);
  place_staging(plan, lifetimes);
  plan.inputs = ports(function, function.inputs);
  plan.outputs = ports(function, function.outputs);
  return plan;
}

}  // namespace ane::device::host
