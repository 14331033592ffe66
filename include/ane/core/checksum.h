#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace ane {

/// XXH3 in 64 bits, of bytes given in pieces. It finds what disks and copies do to files, not what an attacker does.
class Checksum {
 public:
  Checksum();
  ~Checksum();
  Checksum(Checksum&& other) noexcept;
  Checksum& operator=(Checksum&& other) noexcept;

  void add(std::span<const std::byte> bytes) noexcept;
  /// Of everything added so far.
  [[nodiscard]] std::uint64_t value() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

[[nodiscard]] std::uint64_t checksum_of(std::span<const std::byte> bytes) noexcept;

}  // namespace ane
