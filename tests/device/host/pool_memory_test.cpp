#include "plan/plan.h"
#include "support/catch.h"

namespace ane::device::host {

// The memory of pooling is proportional to x and the result, a million elements each, and not to the windows.
TEST_CASE("large windows take no additional memory", "[device][host]") {
  const Plan plan = make_plan(R"(program(1.3)
{
  func main<ios18>(tensor<fp16, [1, 1, 1024, 1024]> x) {
    tensor<fp16, [1, 1, 1024, 1024]> y = max_pool(x = x, kernel_sizes = tensor<int32, [2]>([513, 513]), pad_type = string("same"));
    tensor<fp16, [1, 1, 1024, 1024]> z = avg_pool(x = x, kernel_sizes = tensor<int32, [2]>([513, 513]), pad_type = string("same"));
  } -> (y, z);
})",
                              1);
  CHECK(plan.arena_bytes <= std::size_t{64} << 20);
}

// The result has 2,048 elements and x a million; folded in the order in which they are written, the first dimension
// would make 2 billion of them.
TEST_CASE("a dimension that grows by padding is folded after one that shrinks", "[device][host]") {
  const Plan plan = make_plan(R"(program(1.3)
{
  func main<ios18>(tensor<fp16, [1, 1, 1, 1048576]> x) {
    tensor<fp16, [1, 1, 2048, 1]> y = max_pool(x = x, kernel_sizes = tensor<int32, [2]>([2048, 1048576]), pad_type = string("custom"), pad = tensor<int32, [4]>([2047, 2047, 0, 0]));
    tensor<fp16, [1, 1, 2048, 1]> z = avg_pool(x = x, kernel_sizes = tensor<int32, [2]>([2048, 1048576]), pad_type = string("custom"), pad = tensor<int32, [4]>([2047, 2047, 0, 0]), exclude_padding_from_average = bool(true));
  } -> (y, z);
})",
                              1);
  CHECK(plan.arena_bytes <= std::size_t{64} << 20);
}

TEST_CASE("padding of a window takes neither memory nor time", "[device][host]") {
  const Plan plan = make_plan(R"(program(1.3)
{
  func main<ios18>(tensor<fp16, [1, 1, 3]> x) {
    tensor<fp16, [1, 1, 2]> y = max_pool(x = x, kernel_sizes = tensor<int32, [1]>([2147483647]), strides = tensor<int32, [1]>([2147483647]), pad_type = string("custom"), pad = tensor<int32, [2]>([2147483646, 2147483646]));
  } -> (y);
})",
                              1);
  CHECK(plan.arena_bytes <= 1024);
}

}  // namespace ane::device::host
