#include "ane/mil/ops.h"

#include <set>

#include "samples.h"
#include "support/catch.h"

namespace ane::mil {

TEST_CASE("every operation has a name that reads back, and a sample that other tests use", "[mil]") {
  std::set<OpKind> sampled;
  for (const auto& sample : samples::all()) sampled.insert(sample.kind);
  for (std::size_t i = 0; i < kOpCount; ++i) {
    const auto kind = static_cast<OpKind>(i);
    CAPTURE(name(kind));
    CHECK(op_from_name(name(kind)) == kind);
    CHECK(sampled.count(kind) == 1);
  }
  CHECK(name(OpKind::constant) == "const");
  CHECK_FALSE(op_from_name("constant").has_value());
}

}  // namespace ane::mil
