#pragma once

#include <memory>
#include <string>
#include <string_view>

struct pcre2_real_code_8;

namespace ane::model {

/// A regular expression of PCRE2 for the names of parameters or modules.
class NamePattern {
 public:
  /// Throws UsageError if the expression is not valid.
  explicit NamePattern(std::string expression);

  /// Whether the expression matches all of `name`, from its beginning to its end. Throws UsageError if that takes too
  /// many steps.
  [[nodiscard]] bool matches(std::string_view name) const;

 private:
  struct Free {
    void operator()(pcre2_real_code_8* code) const noexcept;
  };
  std::string expression_;
  std::unique_ptr<pcre2_real_code_8, Free> code_;
};

}  // namespace ane::model
