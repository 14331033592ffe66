#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ane/mil/blob.h"
#include "ane/mil/program.h"

/// The rules of the ANE that can be checked on a program: what its compiler refuses, what it computes incorrectly and
/// what it computes slowly. The table that ane_rules() returns is their documentation.
namespace ane::mil {

/// More bytes of operands and results than an operation should have (A47).
inline constexpr std::uint64_t kOnChipBytes = std::uint64_t{32} << 20U;
/// Products from which on a sum is slow (A50): throughput is then 0.4 times that at 1,344; at 2,688 it is still 0.7
/// times (M3 Ultra).
inline constexpr std::int64_t kLongContraction = 5376;

/// refusal: the compiler or the run fails. wrong_result: it runs with incorrect results. slow: it runs slowly. note: it
/// runs on the given chip, or failed in a single report.
enum class Severity { refusal, wrong_result, slow, note };
[[nodiscard]] std::string_view name(Severity severity) noexcept;
/// Whether a program that breaks such a rule fails or gives incorrect results.
[[nodiscard]] constexpr bool is_fault(Severity severity) noexcept {
  return severity == Severity::refusal || severity == Severity::wrong_result;
}

/// A rule of the ANE that a program breaks.
struct Diagnostic {
  std::string rule;  ///< "A22"
  Severity severity;
  std::string where;       ///< "line 12, column 9: op 'r' (rsqrt)" or "input 'x'"
  std::string message;     ///< what was found
  std::string remedy;      ///< what to do instead
  std::string chips = {};  ///< "M1, M3 Ultra": where it was observed; empty: everywhere
};

/// "A22 (refusal): line 12, column 9: op 'r' (rsqrt): MESSAGE; REMEDY"; with chips "A28 (refusal on M3 Ultra): ...".
[[nodiscard]] std::string to_string(const Diagnostic& diagnostic);

/// Collects the findings of a rule.
class Findings;

/// One rule. Sources and chips: ane.md, section 4 (A..) and section 5 (N.., mask).
struct AneRule {
  std::string_view id;
  Severity severity;  ///< of most findings; a rule may change it for one
  std::string_view summary;
  std::string_view remedy;
  void (*check)(const Program& program, const Blobs* blobs, Findings& found);
  std::string_view chips = {};  ///< as in Diagnostic, of most findings
};
[[nodiscard]] std::span<const AneRule> ane_rules();

/// Every rule that `program` breaks, in the order of the rules. With `blobs`, records (A39) and masks are checked as
/// well. With `chip` ("Apple M4 Pro"), violations observed only on other chips are notes. Never throws on a verified
/// program. If operands of a program name no value, only that is reported (A37).
[[nodiscard]] std::vector<Diagnostic> check_for_ane(const Program& program, const Blobs* blobs = nullptr,
                                                    std::string_view chip = {});

}  // namespace ane::mil
