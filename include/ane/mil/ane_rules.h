#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ane/mil/blob.h"
#include "ane/mil/program.h"

namespace ane::mil {

/// refusal: the compiler or the run fails on at least one chip. wrong_result: it runs and lies. slow: it runs.
enum class Severity { refusal, wrong_result, slow };

/// A rule of the ANE that a program breaks.
struct Diagnostic {
  std::string rule;  ///< "A22"
  Severity severity;
  std::string where;    ///< "line 12, column 9: op 'r' (rsqrt)" or "input 'x'"
  std::string message;  ///< what was found
  std::string remedy;   ///< what to do instead
};

[[nodiscard]] std::string to_string(const Diagnostic& diagnostic);

/// One entry a rule that can be decided from text and shapes (marked T in ane.md, section 4).
struct AneRule {
  std::string_view id;
  std::string_view summary;
  Severity severity;
  void (*check)(const Program& program, const Blobs* blobs, std::vector<Diagnostic>& found);
};
[[nodiscard]] std::span<const AneRule> ane_rules();

/// Every rule that `program` breaks, in the order of the rules. With `blobs`, records are checked as well (A39). Never
/// throws on a verified program.
[[nodiscard]] std::vector<Diagnostic> check_for_ane(const Program& program, const Blobs* blobs = nullptr);

}  // namespace ane::mil
