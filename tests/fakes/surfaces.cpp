#include "surfaces.h"

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "export.h"
#include "state.h"

// The C functions of IOSurface, CoreFoundation and libSystem that the bridge calls.

namespace ane::fakes {

class FakeSurface {
 public:
  explicit FakeSurface(std::size_t size) : bytes_(size) { state().add(&Counts::surfaces, 1); }
  ~FakeSurface() { state().add(&Counts::surfaces, -1); }
  FakeSurface(const FakeSurface&) = delete;
  FakeSurface& operator=(const FakeSurface&) = delete;

  void retain() { ++owners_; }
  /// Returns true if that was the last owner.
  [[nodiscard]] bool release() { return --owners_ == 0; }
  [[nodiscard]] std::span<std::byte> bytes() { return bytes_; }
  [[nodiscard]] bool is_locked() const { return readers_ + writers_ > 0; }

  void lock(bool read_only) { ++(read_only ? readers_ : writers_); }
  /// Returns false if it is not locked in this mode.
  [[nodiscard]] bool unlock(bool read_only) {
    int& locks = read_only ? readers_ : writers_;
    if (locks == 0) return false;
    --locks;
    return true;
  }

 private:
  std::atomic<int> owners_{1};
  int readers_ = 0;
  int writers_ = 0;
  std::vector<std::byte> bytes_;
};

FakeSurface* retain(FakeSurface* surface) {
  surface->retain();
  return surface;
}

void release(FakeSurface* surface) {
  if (surface->release()) delete surface;
}

std::span<std::byte> bytes(FakeSurface* surface) { return surface->bytes(); }

bool is_locked(const FakeSurface* surface) { return surface->is_locked(); }

namespace {

constexpr int kBadArgument = static_cast<int>(0xe00002c2U);
constexpr std::uint32_t kReadOnly = 1;

std::optional<std::uint64_t> property(objc::Id properties, objc::Id key) {
  const auto& foundation = state().gnustep().foundation;
  return foundation.integer(foundation.find(properties, foundation.text(key).value()));
}

}  // namespace

}  // namespace ane::fakes

using ane::fakes::FakeSurface;
using ane::fakes::state;
namespace objc = ane::fakes::objc;

namespace {

/// A CFString constant, created at first use and never released.
objc::Id constant(const char* text) {
  const objc::AutoreleasePool pool(state().gnustep().runtime);
  return objc::retained(state().gnustep().runtime, state().gnustep().foundation.string(text)).release();
}

}  // namespace

// NOLINTBEGIN(readability-identifier-naming): Apple's names
// Variables, as in IOSurface. NOLINTBEGIN(cppcoreguidelines-avoid-non-const-global-variables)
extern "C" {
__attribute__((visibility("default"))) objc::Id kIOSurfaceWidth = constant("IOSurfaceWidth");
__attribute__((visibility("default"))) objc::Id kIOSurfaceHeight = constant("IOSurfaceHeight");
__attribute__((visibility("default"))) objc::Id kIOSurfaceBytesPerElement = constant("IOSurfaceBytesPerElement");
__attribute__((visibility("default"))) objc::Id kIOSurfaceBytesPerRow = constant("IOSurfaceBytesPerRow");
__attribute__((visibility("default"))) objc::Id kIOSurfaceAllocSize = constant("IOSurfaceAllocSize");
__attribute__((visibility("default"))) objc::Id kIOSurfacePixelFormat = constant("IOSurfacePixelFormat");
}
// NOLINTEND(cppcoreguidelines-avoid-non-const-global-variables)

ANE_STANDIN_EXPORT FakeSurface* IOSurfaceCreate(objc::Id properties) {
  using ane::fakes::property;
  if (state().fails("IOSurfaceCreate")) return nullptr;
  const auto size = property(properties, kIOSurfaceAllocSize);
  const auto width = property(properties, kIOSurfaceWidth);
  const auto height = property(properties, kIOSurfaceHeight);
  const auto element = property(properties, kIOSurfaceBytesPerElement);
  const auto row = property(properties, kIOSurfaceBytesPerRow);
  if (!size || !width || !height || !element || !row) return nullptr;
  if (*width * *element > *row || *row * *height > *size || *size == 0) return nullptr;
  return new FakeSurface(*size);
}

ANE_STANDIN_EXPORT std::size_t IOSurfaceGetAllocSize(FakeSurface* surface) {
  return state().fails("IOSurfaceGetAllocSize") ? 0 : bytes(surface).size();
}

ANE_STANDIN_EXPORT void* IOSurfaceGetBaseAddress(FakeSurface* surface) {
  return state().fails("IOSurfaceGetBaseAddress") ? nullptr : bytes(surface).data();
}

ANE_STANDIN_EXPORT int IOSurfaceLock(FakeSurface* surface, std::uint32_t options, std::uint32_t* /*seed*/) {
  if (state().fails("IOSurfaceLock")) return ane::fakes::kBadArgument;
  surface->lock(options == ane::fakes::kReadOnly);
  return 0;
}

ANE_STANDIN_EXPORT int IOSurfaceUnlock(FakeSurface* surface, std::uint32_t options, std::uint32_t* /*seed*/) {
  const bool unlocked = surface->unlock(options == ane::fakes::kReadOnly);
  return state().fails("IOSurfaceUnlock") || !unlocked ? ane::fakes::kBadArgument : 0;
}

ANE_STANDIN_EXPORT void CFRelease(const void* object) {
  ane::fakes::release(const_cast<FakeSurface*>(static_cast<const FakeSurface*>(object)));
}

ANE_STANDIN_EXPORT objc::Id NSTemporaryDirectory() {
  return state().fails("NSTemporaryDirectory") ? nullptr
                                               : state().gnustep().foundation.string(state().temporary_directory());
}

ANE_STANDIN_EXPORT int sysctlbyname(const char* name, void* value, std::size_t* size, void* /*new_value*/,
                                    std::size_t /*new_size*/) {
  const std::string key = name;
  std::string text;
  const ane::fakes::Persona persona = state().persona();
  if (key == "machdep.cpu.brand_string") text = persona.chip;
  if (key == "kern.osproductversion") text = persona.os;
  if (key == "kern.osversion") text = persona.build;
  if (text.empty()) return -1;
  if (value != nullptr) text.copy(static_cast<char*>(value), *size);
  if (value != nullptr) static_cast<char*>(value)[text.size()] = '\0';
  *size = text.size() + 1;
  return 0;
}
// NOLINTEND(readability-identifier-naming)
