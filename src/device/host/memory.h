#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "ane/math/threads.h"
#include "ane/mil/types.h"

#include "view.h"

/// Where elements live while a kernel runs.
namespace ane::device::host {

enum class Space : std::uint8_t {
  literals,   ///< constants written in the text: owned by the plan
  blob,       ///< weight files: there while a kernel is made, gone when it runs
  constants,  ///< what the prologue computes from the two above: owned by the kernel
  arena,      ///< everything computed in a run: the device's workspace
  input,      ///< a surface
  output,     ///< a surface
};

/// A run of elements. In literals, constants and the arena an element takes four bytes (fp32 or int32); in surfaces
/// and blobs it has its own type.
struct Buffer {
  Space space = Space::arena;
  mil::DType storage = mil::DType::fp32;
  std::int64_t elements = 0;
  std::size_t index = 0;   ///< of the port or blob
  std::size_t offset = 0;  ///< within literals, constants or arena, in bytes; planned last
};

/// How a value of type `dtype` is held in literals, constants and the arena.
[[nodiscard]] constexpr mil::DType held_as(mil::DType dtype) noexcept {
  return mil::is_float(dtype) ? mil::DType::fp32 : mil::DType::int32;
}

/// The first element of a view.
struct Slot {
  BufferId buffer = 0;
  std::int64_t offset = 0;  ///< in elements
};

[[nodiscard]] inline Slot slot(const View& view) noexcept { return {view.buffer, view.offset}; }

/// What a step sees when it runs: the address of every buffer, and the threads.
struct RunContext {
  std::span<std::byte* const> buffers;
  math::ThreadPool* threads = nullptr;

  template <class T>
  [[nodiscard]] T* at(Slot place) const noexcept {
    return reinterpret_cast<T*>(buffers[place.buffer]) + place.offset;
  }
};

}  // namespace ane::device::host
