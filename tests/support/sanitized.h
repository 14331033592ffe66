#pragma once

/// Whether AddressSanitizer watches this build: it takes terabytes of addresses, so that there can be no limit on them,
/// and many times as long, so that the longest tests look at fewer cases.
#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool kSanitized = true;
#elif defined(__has_feature)
inline constexpr bool kSanitized = __has_feature(address_sanitizer);
#else
inline constexpr bool kSanitized = false;
#endif
