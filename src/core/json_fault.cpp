#include "ane/core/json_fault.h"

namespace ane {

std::string json_fault(std::string_view what) {
  constexpr std::string_view kBefore = "parse error at ";
  constexpr std::size_t kMostBytes = 200;
  if (const std::size_t at = what.find(kBefore); at != std::string_view::npos) what.remove_prefix(at + kBefore.size());
  return std::string(what.substr(0, kMostBytes));
}

}  // namespace ane
