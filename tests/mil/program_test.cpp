#include "ane/mil/program.h"

#include <limits>

#include "ane/core/error.h"
#include "ane/mil/text.h"

#include "samples.h"
#include "support/catch.h"

namespace ane::mil {

TEST_CASE("constants compare as they print", "[mil]") {
  const auto floats = [](std::vector<float> data) {
    return Constant{{DType::fp32, {static_cast<std::int64_t>(data.size())}}, std::move(data)};
  };
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  CHECK(floats({1, kNan}) == floats({1, kNan}));
  CHECK_FALSE(floats({0.0F}) == floats({-0.0F}));
  CHECK_FALSE(floats({1}) == floats({1, 1}));
  CHECK_FALSE(Constant{{DType::int32, {}}, std::vector<std::int64_t>{1}} ==
              Constant{{DType::int8, {}}, std::vector<std::int64_t>{1}});
  CHECK_FALSE(Constant{{DType::fp16, {}}, BlobRef{"a", 64}} == Constant{{DType::fp16, {}}, BlobRef{"a", 128}});
}

TEST_CASE("the main function is the one of that name, or the first", "[mil]") {
  Program program;
  REQUIRE_THROWS_WITH(program.main(), ANE_CONTAINS("no function"));
  program.functions.emplace_back().name = "forward";
  CHECK(program.main().name == "forward");
  program.functions.emplace_back().name = "backward";
  CHECK(program.main().name == "forward");
  program.functions.emplace_back().name = "main";
  CHECK(&program.main() == &program.functions.back());
}

TEST_CASE("values lead back to the operation and the constant that define them", "[mil]") {
  const Program program = parse(samples::text("tensor<fp16, [4, 2]> x", R"(
      int32 axis = const()[name = string("axis"), val = int32(1)];
      tensor<fp16, [4, 1]> a, tensor<fp16, [4, 1]> b = split(x = x, axis = axis, num_splits = int32(2));
      tensor<fp16, [4, 1]> y = add(x = a, y = b);)"));
  const Function& main = program.main();
  CHECK(defining_operation(main, 0) == nullptr);
  CHECK(defining_operation(main, 1) == &main.operations[0]);
  CHECK(defining_operation(main, 2) == &main.operations[1]);
  CHECK(defining_operation(main, 3) == &main.operations[1]);
  CHECK(defining_operation(main, 4) == &main.operations[2]);
  CHECK(defining_operation(main, 5) == nullptr);

  const Constant one{{DType::int32, {}}, std::vector<std::int64_t>{1}};
  REQUIRE(constant_of(main, Operand(ValueId{1})) != nullptr);
  CHECK(*constant_of(main, Operand(ValueId{1})) == one);
  CHECK(constant_of(main, Operand(ValueId{0})) == nullptr);
  CHECK(constant_of(main, Operand(ValueId{2})) == nullptr);
  const Operand in_place = one;
  CHECK(constant_of(main, in_place) == &std::get<Constant>(in_place));
}

}  // namespace ane::mil
