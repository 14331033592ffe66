#include "attributes.h"

#include "support/catch.h"

namespace ane::device::apple {
namespace {

TEST_CASE("ports bind in ascending order of their names", "[apple]") {
  const std::vector<Port> ports{{"x", {}, 0}, {"W", {}, 0}, {"down", {}, 0}, {"gate10", {}, 0}, {"gate2", {}, 0}};
  CHECK(binding_order(ports) == std::vector<std::size_t>{1, 2, 3, 4, 0});
  CHECK(binding_order({}).empty());
}

}  // namespace
}  // namespace ane::device::apple
