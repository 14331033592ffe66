#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ane/mil/blob.h"
#include "ane/mil/program.h"

/// The rules of the ANE that can be decided from a program: what its compiler refuses, what it computes wrongly and
/// what it computes slowly. The table that ane_rules() returns is their documentation.
namespace ane::mil {

/// refusal: the compiler or the run fails on at least one chip. wrong_result: it runs and lies. slow: it runs.
enum class Severity { refusal, wrong_result, slow };
[[nodiscard]] std::string_view name(Severity severity) noexcept;

/// A rule of the ANE that a program breaks.
struct Diagnostic {
  std::string rule;  ///< "A22"
  Severity severity;
  std::string where;    ///< "line 12, column 9: op 'r' (rsqrt)" or "input 'x'"
  std::string message;  ///< what was found
  std::string remedy;   ///< what to do instead
};

/// "A22 (refusal) at line 12, column 9: op 'r' (rsqrt): MESSAGE; REMEDY"
[[nodiscard]] std::string to_string(const Diagnostic& diagnostic);

/// Where a rule puts what it found.
class Findings;

/// One entry a rule. Sources and chips: ane.md, section 4 (A..) and section 5 (N.., mask).
struct AneRule {
  std::string_view id;
  Severity severity;  ///< of most findings; a rule may lower or raise it for one
  std::string_view summary;
  std::string_view remedy;
  void (*check)(const Program& program, const Blobs* blobs, Findings& found);
};
[[nodiscard]] std::span<const AneRule> ane_rules();

/// Every rule that `program` breaks, in the order of the rules. With `blobs`, records (A39) and masks are read as well.
/// Never throws on a verified program. Of a program whose operands name no value, only that is reported (A37).
[[nodiscard]] std::vector<Diagnostic> check_for_ane(const Program& program, const Blobs* blobs = nullptr);

}  // namespace ane::mil
