#include <algorithm>
#include <map>
#include <set>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>

#include "ane/core/checked.h"

#include "arena.h"
#include "plan.h"

namespace ane::device::host {
namespace {

/// Bounds a group's code and registers.
constexpr std::size_t kLargestGroup = 48;
/// Elementwise nodes that may wait for company; bounds the depth of the search through them.
constexpr std::size_t kMostWaiting = 512;

class Scheduler {
 public:
  explicit Scheduler(const Graph& graph);

  /// The steps of the constant nodes, or of the others, in order.
  std::vector<Step> steps(bool constant);

  /// Of what the steps made so far touch.
  [[nodiscard]] const Lifetimes& lifetimes() const noexcept { return lifetimes_; }

 private:
  [[nodiscard]] const ElementwiseNode* elementwise(NodeId node) const {
    return std::get_if<ElementwiseNode>(&graph_.nodes[node].work);
  }
  [[nodiscard]] Space space(BufferId buffer) const { return graph_.buffers[buffer].space; }
  void mark_alive(NodeId node);
  void assign_domains();
  /// Elementwise nodes fuse if they have one shape, laid out in one order, and run at the same time.
  [[nodiscard]] bool may_join(NodeId node, NodeId seed) const {
    return elementwise(node) != nullptr && domains_[node] == domains_[seed];
  }
  /// The node whose result `operand` is, if it is one node's whole result and that node could be in the same group.
  [[nodiscard]] const NodeId* source_in_group(const View& operand, NodeId seed) const;

  void require(NodeId id);
  void require_around(NodeId id, NodeId seed, std::set<NodeId>& visited);
  void collect(NodeId id, NodeId seed, std::vector<NodeId>& group);
  void collect_others(NodeId seed, std::vector<NodeId>& group);
  [[nodiscard]] bool is_ready(NodeId id, NodeId seed, const std::vector<NodeId>& group) const;
  void emit_group(const std::vector<NodeId>& all);
  void touch(BufferId buffer);

  const Graph& graph_;
  std::vector<std::vector<NodeId>> users_;
  std::vector<bool> alive_;
  std::vector<bool> done_;
  std::vector<std::size_t> domains_;  ///< of elementwise nodes: equal if they may fuse
  Lifetimes lifetimes_;
  std::vector<Step> steps_;
};

Scheduler::Scheduler(const Graph& graph)
    : graph_(graph),
      users_(graph.nodes.size()),
      alive_(graph.nodes.size(), false),
      done_(graph.nodes.size(), false),
      domains_(graph.nodes.size(), 0),
      lifetimes_(graph.buffers.size()) {
  for (NodeId id = 0; id < graph.nodes.size(); ++id) {
    const ElementwiseNode* const node = elementwise(id);
    if (space(graph.nodes[id].writes) == Space::output || (node != nullptr && !node->copies.empty())) mark_alive(id);
  }
  for (NodeId id = 0; id < graph.nodes.size(); ++id) {
    if (!alive_[id]) continue;
    for (const TensorId tensor : graph.nodes[id].reads) {
      for (const NodeId producer : graph.tensors[tensor].producers) users_[producer].push_back(id);
    }
  }
  assign_domains();
}

void Scheduler::assign_domains() {
  std::map<std::tuple<Dims, std::vector<std::size_t>, bool>, std::size_t> known;
  for (NodeId id = 0; id < graph_.nodes.size(); ++id) {
    const ElementwiseNode* const node = elementwise(id);
    if (node == nullptr) continue;
    const View packed = squeezed(node->result);
    domains_[id] =
        known.try_emplace({packed.shape, memory_order(packed), graph_.nodes[id].constant}, known.size()).first->second;
  }
}

void Scheduler::mark_alive(NodeId node) {
  std::vector<NodeId> open{node};
  while (!open.empty()) {
    const NodeId next = open.back();
    open.pop_back();
    if (alive_[next]) continue;
    alive_[next] = true;
    for (const TensorId tensor : graph_.nodes[next].reads) {
      const std::vector<NodeId>& producers = graph_.tensors[tensor].producers;
      open.insert(open.end(), producers.begin(), producers.end());
    }
  }
}

const NodeId* Scheduler::source_in_group(const View& operand, NodeId seed) const {
  const std::vector<NodeId>& producers = graph_.tensors[operand.tensor].producers;
  if (producers.size() != 1 || !may_join(producers.front(), seed)) return nullptr;
  return same_elements(operand, elementwise(producers.front())->result) ? &producers.front() : nullptr;
}

std::vector<Step> Scheduler::steps(bool constant) {
  // Products and the like come in the program's order and ask for what they read; elementwise nodes wait until they
  // are asked for, so that as many as possible are taken together.
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
  for (const TensorId tensor : node.reads) {
    for (const NodeId producer : graph_.tensors[tensor].producers) require(producer);
  }
  for (const TensorId tensor : node.reads) touch(graph_.tensors[tensor].buffer);
  touch(node.writes);
  std::visit(
      [this](const auto& work) {
        if constexpr (!std::is_same_v<std::decay_t<decltype(work)>, ElementwiseNode>) steps_.emplace_back(work);
      },
      node.work);
  done_[id] = true;
}

/// Requires everything that the group around `seed` reads from memory. May complete members of the group on the way.
void Scheduler::require_around(NodeId id, NodeId seed, std::set<NodeId>& visited) {
  if (!visited.insert(id).second) return;
  for (const View& operand : elementwise(id)->operands) {
    if (const NodeId* const source = source_in_group(operand, seed)) {
      if (!done_[*source]) require_around(*source, seed, visited);
      continue;
    }
    for (const NodeId producer : graph_.tensors[operand.tensor].producers) require(producer);
  }
}

void Scheduler::collect(NodeId id, NodeId seed, std::vector<NodeId>& group) {
  if (done_[id] || std::find(group.begin(), group.end(), id) != group.end()) return;
  for (const View& operand : elementwise(id)->operands) {
    if (const NodeId* const source = source_in_group(operand, seed)) collect(*source, seed, group);
  }
  group.push_back(id);
}

bool Scheduler::is_ready(NodeId id, NodeId seed, const std::vector<NodeId>& group) const {
  const std::vector<View>& operands = elementwise(id)->operands;
  return std::all_of(operands.begin(), operands.end(), [&](const View& operand) {
    const NodeId* const source = source_in_group(operand, seed);
    if (source != nullptr && std::find(group.begin(), group.end(), *source) != group.end()) return true;
    const std::vector<NodeId>& producers = graph_.tensors[operand.tensor].producers;
    return std::all_of(producers.begin(), producers.end(), [&](NodeId producer) { return done_[producer]; });
  });
}

/// What could be computed on the way: its operands are there or in the group.
void Scheduler::collect_others(NodeId seed, std::vector<NodeId>& group) {
  for (NodeId id = 0; id < graph_.nodes.size(); ++id) {
    if (!alive_[id] || done_[id] || group.size() >= kLargestGroup || !may_join(id, seed)) continue;
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
      const bool stored =
          space(node.result.buffer) == Space::output || !std::all_of(users_[id].begin(), users_[id].end(), inside);
      members.push_back({&node, stored});
      for (const View& operand : node.operands) {
        const std::vector<NodeId>& producers = graph_.tensors[operand.tensor].producers;
        if (producers.size() != 1 || !inside(producers.front())) touch(operand.buffer);
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
