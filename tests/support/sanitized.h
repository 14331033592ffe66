#pragma once

/// Whether AddressSanitizer or ThreadSanitizer watches this build. Either reserves terabytes of addresses, so that
/// there can be no limit on them, and takes many times as long, so that the longest tests look at fewer cases.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#elif defined(__has_feature)
inline constexpr bool kSanitized = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
inline constexpr bool kSanitized = false;
#endif
