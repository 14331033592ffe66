#pragma once

#include <utility>

namespace ane {

/// An open file descriptor that we own; closed on destruction. Move-only.
class Descriptor {
 public:
  static constexpr int kNone = -1;

  Descriptor() noexcept = default;
  explicit Descriptor(int descriptor) noexcept : descriptor_(descriptor) {}
  ~Descriptor();
  Descriptor(Descriptor&& other) noexcept : descriptor_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  [[nodiscard]] explicit operator bool() const noexcept { return descriptor_ != kNone; }
  [[nodiscard]] int get() const noexcept { return descriptor_; }
  /// Another descriptor of the same file, close-on-exec. Throws FileError, for example if the process has too many.
  [[nodiscard]] Descriptor duplicate() const;
  /// Releases ownership to the caller.
  [[nodiscard]] int release() noexcept { return std::exchange(descriptor_, kNone); }

 private:
  int descriptor_ = kNone;
};

}  // namespace ane
