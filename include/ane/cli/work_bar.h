#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "ane/cli/terminal.h"

namespace ane::cli {

/// "[=====     ] Tokenizing 12.0 MB of 24.0 MB 0:05 left" in at most `columns` characters.
[[nodiscard]] std::string work_bar(const std::string& what, std::uint64_t done, std::uint64_t total, double seconds,
                                   int columns);

/// Draws the terminal's bar for work on a number of bytes, not more often than the eye can follow.
class WorkBar {
 public:
  WorkBar(Terminal& terminal, std::string what);
  void draw(std::uint64_t done, std::uint64_t total);

 private:
  Terminal* terminal_;
  std::string what_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point drawn_{};
};

}  // namespace ane::cli
