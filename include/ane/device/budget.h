#pragma once

#include <limits>

namespace ane::device {

/// Counts the compiles that this process may still make. The ANE's compiler fails or misbehaves after about 119 in a
/// process (ane.md A40); exec resets the count.
class CompileBudget {
 public:
  static constexpr int kDefault = 100;  ///< of a device that limits compiles
  static constexpr int kUnlimited = std::numeric_limits<int>::max();
  static constexpr int kAneHardLimit = 119;
  static constexpr int kAneProgramLimit = 127;  ///< programs loaded at once (ane.md A41)

  /// Throws UsageError unless limit > 0.
  explicit CompileBudget(int limit);

  [[nodiscard]] bool can_take(int kernels) const noexcept { return kernels <= limit_ - used_; }
  /// Takes `kernels` compiles from the budget before they are made. Returns false, taking nothing, if fewer are left.
  [[nodiscard]] bool try_take(int kernels) noexcept;

  /// Returns compiles that were taken, but made by another process.
  void give_back(int kernels) noexcept { used_ -= kernels; }

  [[nodiscard]] int used() const noexcept { return used_; }
  [[nodiscard]] int limit() const noexcept { return limit_; }
  [[nodiscard]] bool is_limited() const noexcept { return limit_ != kUnlimited; }

 private:
  int limit_;
  int used_ = 0;
};

}  // namespace ane::device
