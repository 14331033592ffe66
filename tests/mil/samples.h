#pragma once

#include <string>
#include <vector>

#include "ane/mil/program.h"

/// Small MIL texts shared by several tests.
namespace ane::mil::samples {

/// A use of an operation: the inputs and body of a function. The result is `y` (and `y2` ...).
struct Sample {
  OpKind kind;
  std::string inputs;
  std::string body;
  TensorType y;
};

/// At least one of every kind.
const std::vector<Sample>& all();

/// A complete program(1.3) whose main has `inputs` and `body` and returns y.
std::string text(const std::string& inputs, const std::string& body);

}  // namespace ane::mil::samples
