#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "ane/math/threads.h"
#include "ane/mil/types.h"

#include "lower/view.h"

/// The memory of elements while a kernel runs.
namespace ane::device::host {

enum class Space : std::uint8_t {
  literals,   ///< constants written in the text: owned by the plan
  blob,       ///< weight files: available while a kernel is created, not when it runs
  constants,  ///< computed by the prologue from the two above: owned by the kernel
  arena,      ///< everything computed in a run: the device's workspace
  staging,    ///< matrices copied from input surfaces (staging.h): kept with the surface, or the device's workspace
  input,      ///< a surface
  output,     ///< a surface
};

/// A contiguous range of elements. In literals, constants and the arena an element takes four bytes (fp32 or int32); in
/// surfaces and blobs it has its own type.
struct Buffer {
  Space space = Space::arena;
  mil::DType storage = mil::DType::fp32;
  std::int64_t elements = 0;
  std::size_t index = 0;   ///< of the port or blob
  std::size_t offset = 0;  ///< within literals, constants, arena or staging, in bytes; planned last
};

/// The type in which values of type `dtype` are stored in literals, constants and the arena.
[[nodiscard]] constexpr mil::DType held_as(mil::DType dtype) noexcept {
  return mil::is_float(dtype) ? mil::DType::fp32 : mil::DType::int32;
}

/// The first element of a view; in a step of a region (region.h), that of its first slice and worker.
struct Slot {
  BufferId buffer = 0;
  std::int64_t offset = 0;  ///< in elements, like the strides
  std::int64_t slice_stride = 0;
  std::int64_t worker_stride = 0;
};

[[nodiscard]] inline Slot slot(const View& view) noexcept { return {view.buffer, view.offset}; }

/// Elements that a step accesses: slot.offset + i * strides[0] + j * strides[1] + ..
struct Touch {
  Slot* slot = nullptr;
  Dims shape;
  Dims strides;
  bool writes = false;
};

/// Context of a running step: the address of every buffer, the threads, and the slice of a region.
struct RunContext {
  std::span<std::byte* const> buffers;
  math::ThreadPool* threads = nullptr;  ///< null: everything in the calling thread
  std::int64_t slice = 0;
  std::int64_t worker = 0;

  [[nodiscard]] std::int64_t offset(const Slot& place) const noexcept {
    return place.offset + slice * place.slice_stride + worker * place.worker_stride;
  }
  template <class T>
  [[nodiscard]] T* at(const Slot& place) const noexcept {
    return reinterpret_cast<T*>(buffers[place.buffer]) + offset(place);
  }
  /// Calls body(range) for ranges that cover [0, count), on the threads.
  template <class Body>
  void parallel_for(std::size_t count, std::size_t grain, const Body& body) const {
    if (threads == nullptr) {
      body(math::Range{0, count});
    } else {
      threads->parallel_for(count, grain, body);
    }
  }
};

}  // namespace ane::device::host
