#pragma once

/// Whether this build uses AddressSanitizer or ThreadSanitizer. Both reserve terabytes of address space, which
/// precludes address space limits, and are many times slower, so that the longest tests cover fewer cases.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#elif defined(__has_feature)
inline constexpr bool kSanitized = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
inline constexpr bool kSanitized = false;
#endif
