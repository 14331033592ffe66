#include "ane/train/state.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <csignal>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ane/core/checked.h"
#include "ane/core/error.h"

namespace ane::train {

/// Header of the arena. The arrays follow at kHeaderBytes, each a multiple of 64 bytes long.
struct StateArena::Header {
  std::array<char, 8> magic;
  std::uint32_t version;
  std::uint32_t slots;
  std::uint64_t parameters;
  std::uint64_t size_bytes;
  std::uint64_t fingerprint;
  Progress progress;
  RunTotals totals;
};

namespace {

constexpr std::size_t kHeaderBytes = 4096;
constexpr std::size_t kArrayAlignment = 16;  // elements: 64 bytes of fp32
constexpr std::array<char, 8> kMagic{'A', 'N', 'E', 's', 't', 'a', 't', 'e'};
constexpr std::uint32_t kStateVersion = 6;

/// Elements of an array in the arena.
std::size_t padded(std::size_t size) noexcept { return round_up(size, kArrayAlignment); }

/// Parameters, slots, gradients and, with staleness, running parameters; nullopt if that overflows.
std::optional<std::size_t> arena_elements(std::size_t parameters, std::span<const StateSlot> slots,
                                          Staleness staleness) {
  if (parameters > std::numeric_limits<std::size_t>::max() - kArrayAlignment) return std::nullopt;
  auto total = checked_mul<std::size_t>(padded(parameters), staleness == Staleness::one_update ? 3 : 2);
  for (const StateSlot& slot : slots)
    if (total) total = checked_add(*total, padded(slot.layout.size()));
  return total;
}

std::size_t arena_bytes(std::size_t parameters, std::span<const StateSlot> slots, Staleness staleness) {
  const auto elements = arena_elements(parameters, slots, staleness);
  const auto bytes = elements ? checked_mul(*elements, sizeof(float)) : std::nullopt;
  const auto total = bytes ? checked_add(*bytes, kHeaderBytes) : std::nullopt;
  if (!total || *total > static_cast<std::size_t>(std::numeric_limits<off_t>::max()))
    throw DeviceError(fmt::format("a state of {} parameters with {} optimizer slots exceeds the address space",
                                  parameters, slots.size()));
  return *total;
}

std::string size_text(std::size_t bytes) {
  return fmt::format("{} bytes ({:.1f} GB)", bytes, static_cast<double>(bytes) / 1e9);
}

/// Growing a file beyond this limit raises SIGXFSZ, which would kill the process without a message.
void check_file_size_limit(std::size_t bytes) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < bytes)
    throw UsageError(fmt::format(
        "the training state needs {}, but the file size limit of this process is {} bytes; raise the limit (ulimit -f)",
        size_text(bytes), static_cast<std::uint64_t>(limit.rlim_cur)));
}

/// A descriptor of anonymous memory, so that nothing is left behind however the run ends. Close-on-exec.
Descriptor anonymous_memory() {
#ifdef __linux__
  Descriptor descriptor(::memfd_create("ane-train-state", MFD_CLOEXEC));
  if (!descriptor)
    throw DeviceError(fmt::format("out of memory for the training state: memfd_create: {}", system_message(errno)));
#else
  const std::string name = fmt::format("/ane-train-{}", ::getpid());
  Descriptor descriptor(::shm_open(name.c_str(), O_RDWR | O_CREAT | O_EXCL, S_IRUSR | S_IWUSR));
  if (!descriptor)
    throw DeviceError(
        fmt::format("out of memory for the training state: shm_open {}: {}", name, system_message(errno)));
  ::shm_unlink(name.c_str());
  ::fcntl(descriptor.get(), F_SETFD, FD_CLOEXEC);
#endif
  return descriptor;
}

Descriptor allocate(std::size_t bytes) {
  check_file_size_limit(bytes);
  Descriptor descriptor = anonymous_memory();
  if (::ftruncate(descriptor.get(), static_cast<off_t>(bytes)) != 0)
    throw DeviceError(fmt::format("out of memory for the training state of {}: {}; a smaller model would need less",
                                  size_text(bytes), system_message(errno)));
  return descriptor;
}

[[noreturn]] void refuse(int descriptor, const std::string& reason) {
  throw UsageError(
      fmt::format("the training state inherited through descriptor {} cannot be used: {}. If no ane-train started "
                  "this process, unset ANE_TRAIN_STATE",
                  descriptor, reason));
}

template <class Value>
void expect(int descriptor, std::string_view what, Value expected, Value found) {
  if (expected != found) refuse(descriptor, fmt::format("{} should be {}, but is {}", what, expected, found));
}

}  // namespace

StateArena::StateArena(std::size_t parameters, StateSlots slots, std::uint64_t fingerprint, Staleness staleness)
    : parameter_count_(parameters),
      slots_(std::move(slots)),
      staleness_(staleness),
      size_bytes_(arena_bytes(parameters, slots_, staleness)) {
  descriptor_ = allocate(size_bytes_);
  map();
  header() = {.magic = kMagic,
              .version = kStateVersion,
              .slots = static_cast<std::uint32_t>(slots_.size()),
              .parameters = parameters,
              .size_bytes = size_bytes_,
              .fingerprint = fingerprint,
              .progress = {},
              .totals = {}};
}

StateArena::StateArena(int descriptor, std::size_t parameters, StateSlots slots, std::uint64_t fingerprint,
                       Staleness staleness)
    : parameter_count_(parameters),
      slots_(std::move(slots)),
      staleness_(staleness),
      size_bytes_(arena_bytes(parameters, slots_, staleness)),
      adopted_(true) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) refuse(descriptor, system_message(errno));
  // macOS rounds the size of shared memory up to whole pages.
  if (status.st_size < 0 || static_cast<std::uint64_t>(status.st_size) < size_bytes_)
    refuse(descriptor, fmt::format("it should have {} bytes, but has {}", size_bytes_, status.st_size));
  // From here on the arena owns the descriptor; above, a descriptor that is not ours is left untouched.
  descriptor_ = Descriptor(::fcntl(descriptor, F_DUPFD_CLOEXEC, 0));
  if (!descriptor_) refuse(descriptor, system_message(errno));
  map();

  const Header& found = header();
  if (found.magic != kMagic) refuse(descriptor, "it is not a training state");
  expect(descriptor, "its version", kStateVersion, found.version);
  expect(descriptor, "its size in bytes", std::uint64_t{size_bytes_}, found.size_bytes);
  expect(descriptor, "its number of parameters", std::uint64_t{parameter_count_}, found.parameters);
  expect(descriptor, "its number of optimizer slots", static_cast<std::uint32_t>(slots_.size()), found.slots);
  if (found.fingerprint != fingerprint) refuse(descriptor, "it belongs to another model or other settings");
  ::close(descriptor);
}

void StateArena::map() {
  static_assert(sizeof(Header) <= kHeaderBytes && std::is_trivially_copyable_v<Header>);
  try {
    mapping_ = MappedMemory::shared(descriptor_.get(), size_bytes_);
  } catch (const std::system_error& error) {
    throw DeviceError(
        fmt::format("out of memory for the training state of {}: {}; a smaller model would need less, and an address "
                    "space limit (ulimit -v) may be the cause",
                    size_text(size_bytes_), error.code().message()));
  }
}

void StateArena::back_with_huge_pages(math::ThreadPool& threads) {
  threads.parallel_for(size_bytes_, kHugePageBytes, [&](math::Range range) {
    gather_in_huge_pages(mapping_.bytes().subspan(range.begin, range.size()));
  });
}

StateArena::Header& StateArena::header() noexcept { return *reinterpret_cast<Header*>(mapping_.data()); }
Progress& StateArena::progress() noexcept { return header().progress; }
RunTotals& StateArena::totals() noexcept { return header().totals; }

std::size_t StateArena::slot_offset(std::size_t index) const noexcept {
  std::size_t offset = padded(parameter_count_);
  for (const StateSlot& slot : std::span(slots_).first(index)) offset += padded(slot.layout.size());
  return offset;
}

std::span<float> StateArena::array(std::size_t offset, std::size_t size) noexcept {
  return {reinterpret_cast<float*>(mapping_.data() + kHeaderBytes) + offset, size};
}

std::span<float> StateArena::parameters() noexcept { return array(0, parameter_count_); }

std::span<float> StateArena::running_parameters() noexcept {
  if (staleness_ == Staleness::none) return parameters();
  return array(slot_offset(slots_.size()) + padded(parameter_count_), parameter_count_);
}

std::span<float> StateArena::slot(std::size_t index) noexcept {
  assert(index < slots_.size());
  return array(slot_offset(index), slots_[index].layout.size());
}

std::span<float> StateArena::gradients() noexcept { return array(slot_offset(slots_.size()), parameter_count_); }

}  // namespace ane::train
