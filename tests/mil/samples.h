#pragma once

#include <string>
#include <vector>

#include "ane/mil/program.h"

/// Small MIL texts that several tests share.
namespace ane::mil::samples {

/// One use of an operation: what stands in a function's parentheses and body. The result is `y` (and `y2` ...).
struct Sample {
  OpKind kind;
  std::string inputs;
  std::string body;
  TensorType y;
};

/// At least one of every kind.
const std::vector<Sample>& all();

/// A whole program(1.3) whose main has `inputs` and `body` and returns y.
std::string text(const std::string& inputs, const std::string& body);

}  // namespace ane::mil::samples
