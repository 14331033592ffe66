#pragma once

#include <cstddef>
#include <span>

namespace ane {

/// What large mappings are aligned to: the size of a huge page on x86-64, and on arm64 with small pages of 4 KiB.
inline constexpr std::size_t kHugePageBytes = std::size_t{2} << 20U;

/// Memory from the system, unmapped on destruction. Move-only. One of at least kHugePageBytes begins at a multiple of
/// that: in huge pages a gigabyte is faulted in three times faster than in small ones, and given back twenty times
/// faster (Linux 6.18, x86-64).
class MappedMemory {
 public:
  MappedMemory() noexcept = default;
  /// Zeros that cost nothing until they are touched, in huge pages where the system has them. Throws std::system_error.
  static MappedMemory anonymous(std::size_t size_bytes);
  /// Zeros of which only the pages that are written take memory, however large it is. Throws std::system_error.
  static MappedMemory sparse(std::size_t size_bytes);
  /// The first `size_bytes` of what `descriptor` stands for, to read and write, as every process that maps it sees it.
  /// Throws std::system_error.
  static MappedMemory shared(int descriptor, std::size_t size_bytes);
  ~MappedMemory();
  MappedMemory(MappedMemory&& other) noexcept;
  MappedMemory& operator=(MappedMemory&& other) noexcept;
  MappedMemory(const MappedMemory&) = delete;
  MappedMemory& operator=(const MappedMemory&) = delete;

  [[nodiscard]] std::byte* data() const noexcept { return bytes_.data(); }
  [[nodiscard]] std::size_t size() const noexcept { return bytes_.size(); }
  [[nodiscard]] std::span<std::byte> bytes() const noexcept { return bytes_; }

 private:
  explicit MappedMemory(std::span<std::byte> bytes) noexcept : bytes_(bytes) {}

  std::span<std::byte> bytes_;
};

/// Backs a part of a shared mapping with huge pages, whatever the system does by itself; they stay while any process
/// holds the mapping's descriptor. Begins at a multiple of kHugePageBytes; what is beyond the last whole huge page is
/// left alone. Does nothing where the system cannot (Linux before 6.1, macOS).
void gather_in_huge_pages(std::span<std::byte> bytes) noexcept;

}  // namespace ane
