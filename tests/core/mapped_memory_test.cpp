#include "ane/core/mapped_memory.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ane/core/descriptor.h"

#include "support/catch.h"
#include "support/temporary_directory.h"

using ane::kHugePageBytes;
using ane::MappedMemory;

namespace {

bool all_are(std::span<const std::byte> bytes, std::byte value) {
  return std::all_of(bytes.begin(), bytes.end(), [value](std::byte byte) { return byte == value; });
}

bool is_huge_aligned(const MappedMemory& memory) {
  return reinterpret_cast<std::uintptr_t>(memory.data()) % kHugePageBytes == 0;
}

/// Whether the page of `address` is mapped.
bool is_mapped(std::byte* address) {
  const auto page_bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return ::msync(address - reinterpret_cast<std::uintptr_t>(address) % page_bytes, page_bytes, MS_ASYNC) == 0;
}

ane::Descriptor open_file(const TemporaryDirectory& directory, std::size_t size_bytes) {
  ane::Descriptor file(::open(directory.write("memory", "").c_str(), O_RDWR | O_CLOEXEC));
  REQUIRE(::ftruncate(file.get(), static_cast<off_t>(size_bytes)) == 0);
  return file;
}

}  // namespace

TEST_CASE("anonymous memory is zero, and aligned if a huge page fits", "[core]") {
  const std::size_t size = GENERATE(as<std::size_t>{}, 1, 4096, kHugePageBytes - 1, kHugePageBytes, kHugePageBytes + 1,
                                    3 * kHugePageBytes + 12345);
  const MappedMemory memory = MappedMemory::anonymous(size);
  REQUIRE(memory.size() == size);
  CHECK(all_are(memory.bytes(), std::byte{0}));
  std::fill(memory.bytes().begin(), memory.bytes().end(), std::byte{7});
  CHECK((size < kHugePageBytes || is_huge_aligned(memory)));
}

TEST_CASE("memory reserved for alignment is unmapped", "[core]") {
  const std::size_t size = GENERATE(as<std::size_t>{}, 10, kHugePageBytes, 2 * kHugePageBytes + 5000);
  std::byte* begin = nullptr;
  {
    MappedMemory first = MappedMemory::anonymous(size);
    begin = first.data();
    const MappedMemory memory(std::move(first));
    CHECK(first.bytes().empty());  // NOLINT(bugprone-use-after-move): a moved-from mapping is empty
    CHECK(memory.data() == begin);
    CHECK(is_mapped(begin));
    CHECK(is_mapped(begin + size - 1));
  }
  CHECK_FALSE(is_mapped(begin));
  CHECK_FALSE(is_mapped(begin + size - 1));
}

TEST_CASE("shared memory maps the contents of its descriptor", "[core]") {
  const TemporaryDirectory directory;
  const std::size_t size = 2 * kHugePageBytes + 100;
  const ane::Descriptor file = open_file(directory, size);
  const MappedMemory one = MappedMemory::shared(file.get(), size);
  const MappedMemory other = MappedMemory::shared(file.get(), size);
  CHECK(is_huge_aligned(one));
  one.bytes().front() = std::byte{1};
  one.bytes().back() = std::byte{2};
  CHECK(other.bytes().front() == std::byte{1});
  CHECK(other.bytes().back() == std::byte{2});
}

TEST_CASE("a failed allocation throws the system's message", "[core]") {
  CHECK_THROWS_AS(MappedMemory::anonymous(std::numeric_limits<std::size_t>::max()), std::system_error);
  CHECK_THROWS_AS(MappedMemory::anonymous(std::size_t{1} << 60U), std::system_error);
  CHECK_THROWS_WITH(MappedMemory::shared(-1, 100), ANE_CONTAINS("Bad file descriptor"));
  CHECK_THROWS_WITH(MappedMemory::shared(-1, 3 * kHugePageBytes), ANE_CONTAINS("Bad file descriptor"));
}

TEST_CASE("gathering in huge pages changes no byte", "[core]") {
  const std::size_t size = GENERATE(as<std::size_t>{}, 1000, 3 * kHugePageBytes + 9999);
#ifdef __linux__
  const ane::Descriptor file(::memfd_create("test", MFD_CLOEXEC));
  REQUIRE(::ftruncate(file.get(), static_cast<off_t>(size)) == 0);
#else
  const TemporaryDirectory directory;
  const ane::Descriptor file = open_file(directory, size);
#endif
  const MappedMemory memory = MappedMemory::shared(file.get(), size);
  const std::size_t end = size / 2;
  for (std::size_t i = 0; i < end; ++i) memory.bytes()[i] = static_cast<std::byte>(i % 251);
  ane::gather_in_huge_pages(memory.bytes());
  const auto counts = [&](std::size_t i) { return memory.bytes()[i] == static_cast<std::byte>(i % 251); };
  bool intact = true;
  for (std::size_t i = 0; i < end; ++i) intact = intact && counts(i);
  CHECK(intact);
  CHECK(all_are(memory.bytes().subspan(end), std::byte{0}));
}
