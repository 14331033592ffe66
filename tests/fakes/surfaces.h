#pragma once

#include <cstddef>
#include <span>

namespace ane::fakes {

/// An IOSurface: a reference-counted buffer with its lock state.
class FakeSurface;

FakeSurface* retain(FakeSurface* surface);
void release(FakeSurface* surface);
[[nodiscard]] std::span<std::byte> bytes(FakeSurface* surface);
[[nodiscard]] bool is_locked(const FakeSurface* surface);

}  // namespace ane::fakes
