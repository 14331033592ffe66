#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "ane/report/recorded_run.h"

namespace ane::report {

/// Updates that the page shows of a run; of longer ones it shows every second, third, ... update.
inline constexpr std::size_t kMostUpdates = 4000;

/// An HTML page that needs no other file and no network.
[[nodiscard]] std::string make_page(std::span<const RecordedRun> runs);

}  // namespace ane::report
