#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace ane {

/// Incremental 64-bit XXH3. Detects accidental damage to files, not deliberate changes.
class Checksum {
 public:
  Checksum();
  ~Checksum();
  Checksum(Checksum&& other) noexcept;
  Checksum& operator=(Checksum&& other) noexcept;

  void add(std::span<const std::byte> bytes) noexcept;
  /// Checksum of everything added so far.
  [[nodiscard]] std::uint64_t value() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

[[nodiscard]] std::uint64_t checksum_of(std::span<const std::byte> bytes) noexcept;

}  // namespace ane
