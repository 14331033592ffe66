#include "run/elementwise.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "ane/math/half.h"

#include "plan/arena.h"
#include "run/grain.h"

namespace ane::device::host {
namespace {

/// Minimum number of elements for each further thread.

/// `count` integers `stride` apart, widened to int32.
template <class From>
void load_integers(const From* from, std::int64_t stride, std::int32_t* to, std::size_t count) {
  // NOLINTNEXTLINE(bugprone-signed-char-misuse): int8 is a number here
  for (std::size_t i = 0; i < count; ++i) to[i] = from[static_cast<std::int64_t>(i) * stride];
}

/// The reverse. Values are already in the target's range, because of a preceding cast.
template <class To>
void store_integers(const std::int32_t* from, To* to, std::int64_t stride, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) to[static_cast<std::int64_t>(i) * stride] = static_cast<To>(from[i]);
}

constexpr std::size_t kHeldBytes = 4;

/// Copies 4-byte elements of any type.
void copy_held(const std::byte* from, std::int64_t from_stride, std::byte* to, std::int64_t to_stride,
               std::size_t count) {
  if (from_stride == 1 && to_stride == 1) {
    std::memcpy(to, from, count * kHeldBytes);
    return;
  }
  if (from_stride == 0 && to_stride == 1) return repeat(from, to, count);
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

/// Offset of row `row` in row-major order of the dimensions before the last.
std::int64_t row_offset(const Dims& shape, const Dims& strides, std::int64_t row) {
  std::int64_t offset = 0;
  for (std::size_t i = shape.size() - 1; i-- > 1;) {
    offset += row % shape[i] * strides[i];
    row /= shape[i];
  }
  return shape.size() > 1 ? offset + row * strides[0] : offset;
}

}  // namespace

struct Elementwise::Block {
  std::int64_t row = 0;  ///< first row
  std::int64_t rows = 1;
  std::int64_t column = 0;  ///< first column, if the block is only a part of a row
  std::size_t columns = 0;
  [[nodiscard]] std::size_t elements() const { return static_cast<std::size_t>(rows) * columns; }
};

/// Per-thread state: the scratch memory and the address of each register's value.
struct Elementwise::Workbench {
  explicit Workbench(const RunContext& run_context) : context(run_context) {}

  const RunContext& context;
  alignas(kAlignment) std::array<std::byte, kStackElements * kHeldBytes> scratch;
  std::array<std::byte*, kMaxRegisters> values;
};

void Elementwise::run(const RunContext& context) const {
  const auto blocks = static_cast<std::size_t>((rows_ + rows_per_block_ - 1) / rows_per_block_ * pieces_per_row_);
  const std::size_t grain = grain_for(static_cast<std::int64_t>(block_elements_));
  context.parallel_for(blocks, grain, [&](math::Range range) { run_blocks(context, range); });
}

void Elementwise::run_blocks(const RunContext& context, math::Range range) const {
  Workbench bench(context);
  execute(bench, {.row = 0, .rows = 1, .column = 0, .columns = block_elements_}, 0, once_);
  for (std::size_t i = range.begin; i < range.end; ++i) {
    const auto index = static_cast<std::int64_t>(i);
    Block block;
    block.row = index / pieces_per_row_ * rows_per_block_;
    block.rows = std::min(rows_per_block_, rows_ - block.row);
    block.column = index % pieces_per_row_ * static_cast<std::int64_t>(block_elements_);
    block.columns = std::min(static_cast<std::size_t>(row_elements_ - block.column),
                             pieces_per_row_ > 1 ? block_elements_ : static_cast<std::size_t>(row_elements_));
    execute(bench, block, once_, code_.size());
  }
}

std::byte* Elementwise::address(const Workbench& bench, const Access& access, std::int64_t row,
                                std::int64_t column) const {
  const std::int64_t element =
      bench.context.offset(access.slot) + row_offset(shape_, access.strides, row) + column * access.strides.back();
  return bench.context.buffers[access.slot.buffer] + element * access.element_bytes;
}

void Elementwise::execute(Workbench& bench, const Block& block, std::size_t first, std::size_t last) const {
  auto& values = bench.values;
  for (std::size_t i = first; i < last; ++i) {
    const Instruction& instruction = code_[i];
    const Home& home = registers_[instruction.target];
    std::byte*& target = values[instruction.target];
    if (instruction.action != Action::store) {
      target = home.in_memory ? address(bench, accesses_[home.index], block.row, block.column)
                              : bench.scratch.data() + home.index * block_elements_ * kHeldBytes;
    }
    if (instruction.action == Action::compute) {
      const auto& sources = instruction.sources;
      instruction.loop(instruction.op, {.a = values[sources[0]],
                                        .b = values[sources[1]],
                                        .c = values[sources[2]],
                                        .to = target,
                                        .count = block.elements()});
    } else if (!home.in_memory || home.index != instruction.access) {
      transfer(bench, block, instruction, target);
    }
  }
}

/// Loads or stores the rows of a block.
void Elementwise::transfer(const Workbench& bench, const Block& block, const Instruction& instruction,
                           std::byte* packed) const {
  const Access& access = accesses_[instruction.access];
  const std::int64_t stride = access.strides.back();
  const std::int64_t runs = access.one_run ? 1 : block.rows;
  const std::size_t run_elements = access.one_run ? block.elements() : block.columns;
  for (std::int64_t run = 0; run < runs; ++run, packed += run_elements * kHeldBytes) {
    std::byte* const memory = address(bench, access, block.row + run, block.column);
    if (instruction.action == Action::load) {
      load_row(access.storage, memory, stride, packed, run_elements);
    } else {
      store_row(access.storage, packed, memory, stride, run_elements);
    }
  }
}

}  // namespace ane::device::host
