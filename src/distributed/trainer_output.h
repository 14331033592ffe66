#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ane/core/descriptor.h"

namespace ane::distributed {

/// What a trainer that does not print writes to standard error.
class TrainerOutput {
 public:
  /// The reading end of a pipe; none for a trainer that prints.
  explicit TrainerOutput(Descriptor pipe);

  /// Becomes readable; Descriptor::kNone after the trainer has closed its end.
  [[nodiscard]] int descriptor() const noexcept { return pipe_.get(); }
  /// Reads what has arrived, without waiting. Returns the warnings that are complete, each with its time and the
  /// name of this rank: "12:00:00 warning rank 1 (host): ...".
  [[nodiscard]] std::vector<std::string> read_warnings(std::string_view name);
  /// The last error, without the program's name before it; empty if there is none.
  [[nodiscard]] std::string error() const;

 private:
  void take_line(std::string line);

  Descriptor pipe_;
  std::string text_;  ///< the last few kilobytes
  std::string line_;  ///< the incomplete one
  bool in_warning_ = false;
  std::vector<std::string> warnings_;
};

}  // namespace ane::distributed
