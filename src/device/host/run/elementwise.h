#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "ane/mil/types.h"

#include "lower/view.h"
#include "run/memory.h"
#include "run/micro_op.h"
#include "run/vector_ops.h"

/// Fused elementwise operations of one shape: elements are processed in blocks, every operation of the group runs on a
/// block while it is in cache, and only results needed elsewhere are stored. Surfaces and blobs are read, written and
/// converted only here.
namespace ane::device::host {

/// An elementwise operation of the program, before fusion.
struct ElementwiseNode {
  MicroOp op;
  std::vector<View> operands;  ///< broadcast to the shape of `result`
  View result;
  std::vector<View> copies;  ///< further destinations in surfaces
};

/// A member of a group, and whether its result is needed in memory.
struct GroupMember {
  const ElementwiseNode* node = nullptr;
  bool store_result = false;
};

/// A fused group, ready to run.
class Elementwise {
 public:
  /// `members` have the same shape except for dimensions of 1, in an order in which results come before their uses.
  Elementwise(const std::vector<GroupMember>& members, const std::vector<Buffer>& buffers);

  void run(const RunContext& context) const;

  /// See region.h: slices of the outermost dimension in memory.
  [[nodiscard]] bool slice(std::int64_t slices);
  [[nodiscard]] std::vector<Touch> touches();

 private:
  static constexpr std::size_t kMaxRegisters = 256;
  static constexpr std::size_t kStackElements = 16384;  ///< scratch per thread

  using Register = std::uint16_t;
  struct Access {
    Slot slot;
    mil::DType storage = mil::DType::fp32;
    std::int64_t element_bytes = 0;  ///< of storage
    Dims strides;                    ///< one per dimension of shape_
    bool one_run = false;            ///< a block's rows are contiguous: read or written as one
    bool in_place = false;           ///< and are packed 4-byte elements in memory: computed in place
  };
  enum class Action : std::uint8_t { load, compute, store };
  struct Instruction {
    Action action = Action::compute;
    MicroOp op{};
    Loop loop = nullptr;  ///< of compute
    std::array<Register, 3> sources{};
    Register target = 0;     ///< destination of load and compute; source of store
    std::size_t access = 0;  ///< of load and store
  };
  struct Block;
  struct Workbench;
  class Compiler;

  void lay_out();
  void merge_dimensions();
  void choose_blocks(std::size_t scratch_registers);
  [[nodiscard]] std::vector<std::size_t> last_uses() const;
  [[nodiscard]] std::size_t most_alive() const;
  [[nodiscard]] std::size_t place_registers();
  void run_blocks(const RunContext& context, math::Range range) const;
  void execute(Workbench& bench, const Block& block, std::size_t first, std::size_t last) const;
  void transfer(const Workbench& bench, const Block& block, const Instruction& instruction, std::byte* packed) const;
  [[nodiscard]] std::byte* address(const Workbench& bench, const Access& access, std::int64_t row,
                                   std::int64_t column) const;

  Dims shape_;  ///< merged dimensions, outermost first
  std::vector<Access> accesses_;
  std::vector<Instruction> code_;
  std::size_t once_ = 0;  ///< leading instructions that load a uniform value: not repeated for each block
  /// Location of a register: a piece of scratch, or memory that an access computes on in place.
  struct Home {
    bool in_memory = false;
    std::size_t index = 0;
  };
  std::vector<Home> registers_;
  std::size_t block_elements_ = 0;
  std::int64_t rows_per_block_ = 1;  ///< rows are runs of the last dimension
  std::int64_t pieces_per_row_ = 1;
  std::int64_t row_elements_ = 1;
  std::int64_t rows_ = 1;
};

}  // namespace ane::device::host
