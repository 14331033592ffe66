#include "ane/mil/op_view.h"

#include "ane/core/error.h"
#include "ane/mil/text.h"

#include "samples.h"
#include "support/catch.h"

namespace ane::mil {

TEST_CASE("OpView finds arguments in parentheses and brackets, named or inline", "[mil]") {
  const Program program = parse(samples::text("tensor<fp16, [2, 3]> x", R"(
      bool keep = const()[name = string("keep"), val = bool(true)];
      tensor<fp16, [1, 3]> r = reduce_sum(x = x, axes = tensor<int32, [1]>([0]), keep_dims = keep)[name = string("r")];
      tensor<fp16, [2, 3]> y = leaky_relu(x = x, alpha = fp16(0.25));)"));
  const Function& main = program.main();

  const OpView constant(main, main.operations[0]);
  CHECK(constant.flag("val", false));

  const OpView reduce(main, main.operations[1]);
  CHECK(reduce.kind() == OpKind::reduce_sum);
  CHECK(reduce.has("axes"));
  CHECK_FALSE(reduce.has("axis"));
  CHECK(reduce.type("x") == TensorType{DType::fp16, {2, 3}});
  CHECK(reduce.result_type() == TensorType{DType::fp16, {1, 3}});
  CHECK(reduce.integers("axes") == std::vector<std::int64_t>{0});
  CHECK(reduce.flag("keep_dims", false));
  CHECK(reduce.integer("absent", 7) == 7);
  CHECK(reduce.text("absent", "valid") == "valid");
  REQUIRE_THROWS_WITH(reduce.operand("absent"), ANE_CONTAINS("op 'r' (reduce_sum): argument 'absent' is missing"));
  REQUIRE_THROWS_WITH(reduce.integers("x"), ANE_CONTAINS("argument 'x' is not a compile-time constant"));
  REQUIRE_THROWS_WITH(reduce.real("axes", 0),
                      ANE_CONTAINS("argument 'axes' is int32 [1], of another kind than asked for"));

  CHECK(OpView(main, main.operations[2]).real("alpha", 0) == 0.25F);
}

}  // namespace ane::mil
