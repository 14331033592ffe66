#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "ane/mil/blob.h"
#include "ane/mil/program.h"

#include "lower/expansion.h"
#include "lower/view.h"
#include "run/convolution.h"
#include "run/elementwise.h"
#include "run/gather.h"
#include "run/memory.h"
#include "run/pad.h"
#include "run/product.h"
#include "run/ranking.h"
#include "run/reduction.h"
#include "run/row_selection.h"
#include "run/staging.h"
#include "run/window_fold.h"

/// A program as a graph of nodes that read and write views of buffers. Reshapes, transposes and slices have become
/// views; rounding to fp16 and conversions are elementwise nodes. Nodes are in a valid execution order.
namespace ane::device::host {

using NodeId = std::uint32_t;
using Work = std::variant<ElementwiseNode, Product, Convolution, RowSelection, Reduction, Softmax, Gather, Pad,
                          StagedCopy, Ranking, WindowFold, TableExpansion, MaskExpansion>;

struct Node {
  Work work;
  std::vector<TensorId> reads;
  BufferId writes = 0;
  bool constant = false;  ///< depends only on constants: computed once, when a kernel is created
};

/// The elements of a view and their producers. Inputs and constants have no producers; a concatenation has several.
/// Nested concatenations are referenced, not copied, so that lists do not grow with every level.
struct Tensor {
  BufferId buffer = 0;
  std::vector<NodeId> producers;
  std::vector<TensorId> parts;
  /// The single node that produces all elements, if there is one.
  [[nodiscard]] const NodeId* sole_producer() const noexcept {
    return producers.size() == 1 && parts.empty() ? &producers.front() : nullptr;
  }
};

struct BlobSource {
  mil::BlobRef ref;
  mil::TensorType type;
};

struct Graph {
  std::vector<Buffer> buffers;
  std::vector<Tensor> tensors;
  std::vector<Node> nodes;
  std::vector<std::int32_t> literals;  ///< bits of fp32 and int32
  std::vector<BlobSource> blobs;
};

/// Builds graphs: chooses the location of results and inserts the copies that an operation needs.
class GraphBuilder {
 public:
  [[nodiscard]] const Graph& graph() const noexcept { return graph_; }
  [[nodiscard]] Graph finish() && { return std::move(graph_); }

  // Memory.
  [[nodiscard]] View port(Space space, std::size_t index, const mil::TensorType& type);
  [[nodiscard]] View literal(const mil::Constant& constant);
  [[nodiscard]] View scalar(float value);
  [[nodiscard]] View blob(const mil::BlobRef& ref, const mil::TensorType& type);
  /// A new packed buffer with its dimensions in memory in `order`; among the kernel's constants if `constant`.
  [[nodiscard]] View allocate(mil::DType dtype, const Dims& shape, std::span<const std::size_t> order, bool constant);
  [[nodiscard]] View allocate(mil::DType dtype, const Dims& shape, bool constant);
  /// `view`, whose elements are produced by the tensors of `parts`.
  [[nodiscard]] View joined(const View& view, std::span<const View> parts);

  [[nodiscard]] bool is_constant(const View& view) const;

  // Nodes.
  struct Target {
    std::optional<View> home;        ///< destination of the result; any if unset. Not for constants
    std::vector<View> copies;        ///< further destinations
    std::vector<std::size_t> order;  ///< preferred memory order
  };
  View elementwise(const MicroOp& op, std::vector<View> operands, const Dims& shape, mil::DType dtype,
                   const Target& target = {});
  /// a [.., m, k], b [.., k, n] -> [.., m, n]; leading dimensions broadcast to those of `shape`.
  View product(View a, View b, const Dims& shape, float alpha, mil::DType dtype, const Target& target = {});
  /// Over the last dimension.
  View reduce(mil::OpKind kind, View in, float scale, bool round);
  View softmax(View in, bool round);
  View gather(const View& x, const View& indices, const Gather::Sizes& sizes, const Dims& shape, std::string operation);
  /// `axes`: one for each axis of x. `fill_bits`: the fill value of PadMode::constant.
  View padded(const View& x, std::span<const mil::PadAxis> axes, PadMode mode, std::int32_t fill_bits);
  /// See Convolution; `shape` is that of the result.
  View convolution(const View& x, const View& weight, const mil::ConvGeometry& geometry, const Dims& shape);
  /// x [.., n] -> [.., k], see Ranking.
  View ranking(const View& x, std::int64_t k, Ranking::Order order);
  /// See WindowFold.
  View window_fold(mil::OpKind kind, const View& x, std::size_t axis, const mil::ConvDimension& dimension);
  // For constants: see TableExpansion and MaskExpansion.
  View expanded_by_table(const View& indices, const View& table, int bits, const Dims& shape);
  View expanded_by_mask(const View& mask, const View& values, const Dims& shape, std::string operation);

  /// The same elements in memory with four bytes each, copied (once) only if they are in a surface or blob.
  View in_memory(const View& view);
  /// The same, packed and row-major.
  View dense(const View& view);

 private:
  /// How a product prefers a matrix.
  struct Preference {
    bool by_columns = false;      ///< column-major, if it is staged
    bool may_be_weights = false;  ///< it could be data that stay in a surface
  };
  [[nodiscard]] bool is_staged(const View& view, bool may_be_weights) const;
  /// in_memory() for a product: a matrix in a surface with other data is staged, in its original order or column-major.
  View in_memory_for_product(const View& view, const Preference& preference);
  BufferId add_buffer(const Buffer& buffer);
  View write(const View& place, Work work, std::span<const View> reads, bool constant);
  View copy(const View& view, std::span<const std::size_t> order, bool staged = false);
  [[nodiscard]] View row_selection(const View& matrix);
  View settle(const View& operand, const View& result);
  [[nodiscard]] mil::DType held(const View& view) const;
  [[nodiscard]] bool is_raw(const View& view) const;

  Graph graph_;
  std::map<Dims, View> copies_;  ///< by region and order
  std::map<float, View> scalars_;
};

}  // namespace ane::device::host
