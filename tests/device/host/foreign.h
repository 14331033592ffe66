#pragma once

#include <string>
#include <vector>

#include "ane/mil/text.h"

#include "harness.h"

namespace ane::device::host {

/// A program from MIL text of its inputs, its operations and the names of its outputs.
inline mil::Program program_of(const std::string& inputs, const std::string& operations,
                               const std::string& outputs = "y") {
  return mil::parse("program(1.3)\n{ func main<ios18>(" + inputs + ") {\n" + operations + "\n} -> (" + outputs +
                    "); }");
}

/// Its results for `inputs`, as numbers.
inline std::vector<std::vector<double>> results_of(const mil::Program& program,
                                                   const std::vector<reference::Tensor>& inputs,
                                                   const mil::Blobs& blobs = {}) {
  math::ThreadPool pool(1);
  HostDevice device(pool);
  std::vector<std::vector<double>> results;
  for (reference::Tensor& result : run(device, program, blobs, inputs)) results.push_back(std::move(result.data));
  return results;
}

}  // namespace ane::device::host
