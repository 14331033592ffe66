#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace ane::text {

/// Numbers by 64-bit keys, in one array: looking one up costs one cache miss. Every key but kNone is valid.
class FlatMap {
 public:
  static constexpr std::uint64_t kNone = ~std::uint64_t{0};

  explicit FlatMap(std::size_t most_entries)
      : slots_(std::bit_ceil(2 * most_entries + 2)), shift_(64 - std::countr_zero(slots_.size())) {}

  /// Replaces an earlier value.
  void set(std::uint64_t key, std::uint64_t value) {
    Slot& slot = slots_[place(key)];
    slot = {key, value};
  }
  [[nodiscard]] std::optional<std::uint64_t> find(std::uint64_t key) const noexcept {
    const Slot& slot = slots_[place(key)];
    return slot.key == key ? std::optional(slot.value) : std::nullopt;
  }

 private:
  struct Slot {
    std::uint64_t key = kNone;
    std::uint64_t value = 0;
  };

  /// Where the key is or would be.
  [[nodiscard]] std::size_t place(std::uint64_t key) const noexcept {
    constexpr std::uint64_t kGoldenRatio = 0x9E3779B97F4A7C15U;  // of 2^64: spreads neighboring keys (Knuth, volume 3)
    std::size_t at = static_cast<std::size_t>(((key ^ key >> 32U) * kGoldenRatio) >> static_cast<unsigned>(shift_));
    while (slots_[at].key != key && slots_[at].key != kNone) at = (at + 1) & (slots_.size() - 1);
    return at;
  }

  std::vector<Slot> slots_;
  int shift_;
};

}  // namespace ane::text
