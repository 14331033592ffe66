#pragma once

#include <string_view>

namespace ane::report {

/// page.html; the runs take the place of RECORDED_RUNS.
extern const std::string_view kPageTemplate;

}  // namespace ane::report
