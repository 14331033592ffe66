#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ane/core/error.h"
#include "ane/mil/program.h"

namespace ane::mil {

/// MIL text that cannot be parsed. The message begins with "line L, column C: ".
class ParseError : public Error {
 public:
  ParseError(SourceLocation where, const std::string& message);
  [[nodiscard]] SourceLocation where() const noexcept { return where_; }

 private:
  SourceLocation where_;
};

/// MIL text of `program` in the version and operation sets that it declares. Floats are printed in exact hexadecimal
/// unless a short decimal reads back as the same value. parse(print(p)) == p for every program that verify accepts.
[[nodiscard]] std::string print(const Program& program);

/// Parses every version with any spacing and verifies names, types and operations. Attributes that do not affect what a
/// program computes are skipped: all but buildInfo and an operation's name and data. Throws ParseError with line and
/// column for every fault, also for unsupported features: operations, state inputs, flexible dimensions. Safe on any
/// input: nesting and sizes are bounded.
[[nodiscard]] Program parse(std::string_view text);

/// Parses only the function `name`; errors and unsupported features in other functions are ignored. The program has no
/// functions if none has this name.
[[nodiscard]] Program parse_function(std::string_view text, std::string_view name);

/// The names of all functions in textual order, without parsing their contents. Throws ParseError if the extent of a
/// function cannot be determined.
[[nodiscard]] std::vector<std::string> function_names(std::string_view text);

}  // namespace ane::mil
