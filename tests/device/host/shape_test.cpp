#include "harness.h"
#include "support/catch.h"

namespace ane::device::host {
namespace {

using mil::Builder;
using mil::DType;
using mil::OpKind;
using mil::Shape;
using mil::Var;

const auto kTypes = {DType::fp16, DType::fp32, DType::int32, DType::boolean, DType::int8};

TEST_CASE("transpose, reshape and slices move every type unchanged", "[device][host]") {
  const DType dtype = GENERATE(from_range(kTypes.begin(), kTypes.end()));
  CAPTURE(mil::name(dtype));
  Builder b(DType::fp16);
  const Var x = b.input("x_in", {dtype, {2, 3, 4, 5}});
  const Var turned = b.transpose("turned", x, {3, 1, 0, 2});
  const Var flat = b.reshape("flat", turned, {15, 8});
  const Var part = b.slice("part", flat, {2, 1}, {10, 5});
  const Var wide =
      b.operation(OpKind::expand_dims, "wide", {arg("x", part), arg("axes", b.integers("axes", {1}))}).front();
  const Var narrow = b.operation(OpKind::squeeze, "narrow", {arg("x", wide)}).front();
  const Var back =
      b.operation(
           OpKind::slice_by_index, "back",
           {arg("x", x), arg("begin", b.integers("begin", {1, 0, -1, 4})), arg("end", b.integers("end", {0, 3, 0, 0})),
            arg("stride", b.integers("stride", {1, 2, -2, -1})),
            arg("squeeze_mask", b.constant("squeeze", {{DType::boolean, {4}}, std::vector<std::int64_t>{1, 0, 0, 0}}))})
          .front();
  check_against_reference(std::move(b).finish(std::vector{turned, flat, narrow, back}), 1, 0);
}

TEST_CASE("concat and stack of computed, passed-through and repeated values", "[device][host]") {
  const DType dtype = GENERATE(DType::fp16, DType::fp32);
  const int axis = GENERATE(0, 1, 2);
  Builder b(dtype);
  const Var x = b.input("x_in", {dtype, {2, 3, 40}});
  const Var y = b.input("y_in", {dtype, {2, 3, 40}});
  const Var sum = b.add("sum", x, y);
  const Var turned = b.transpose("turned", b.mul("scaled", b.transpose("t", x, {0, 2, 1}), b.scalar(2.0F)), {0, 2, 1});
  const std::vector<Var> parts{sum, x, sum, turned};
  const Var inner = b.concat("inner", parts, axis);
  const Var used = b.mul("used", inner, inner);
  const Var outer =
      b.concat("outer", std::vector{inner, used, b.concat("twice", std::vector{sum, sum, sum}, axis)}, axis);
  const Var stacked =
      b.operation(OpKind::stack, "stacked", {arg("values", parts), arg("axis", b.integer("at", axis))}).front();
  const Var interleaved =
      b.operation(OpKind::concat, "interleaved",
                  {arg("values", parts), arg("axis", b.integer("at", axis)), arg("interleave", b.boolean("yes", true))})
          .front();
  const Var last = b.add("last", b.reduce(OpKind::reduce_sum, "total", outer, {axis}), b.scalar(1.0F));
  check_against_reference(std::move(b).finish(std::vector{outer, stacked, interleaved, last, turned}), 2,
                          2 * tolerance_of(dtype));
}

TEST_CASE("split into equal and unequal parts", "[device][host]") {
  Builder b(DType::fp16);
  const Var x = b.input("x_in", {1, 12, 1, 33});
  const Var axis = b.integer("axis", 1);
  std::vector<Var> parts =
      b.operation(OpKind::split, "thirds", {arg("x", x), arg("axis", axis), arg("num_splits", b.integer("parts", 3))});
  for (const Var part :
       b.operation(OpKind::split, "mixed",
                   {arg("x", x), arg("axis", axis), arg("split_sizes", b.integers("sizes", {7, 1, 4}))})) {
    parts.push_back(part);
  }
  const Var joined = b.concat("joined", std::vector{parts[2], parts[4], parts[0]}, 1);
  parts.push_back(joined);
  check_against_reference(std::move(b).finish(parts), 3, 0);
}

TEST_CASE("pad in every mode", "[device][host]") {
  const DType dtype = GENERATE(DType::fp16, DType::fp32, DType::int32);
  const char* const mode = GENERATE("constant", "reflect", "replicate");
  CAPTURE(mil::name(dtype), mode);
  Builder b(DType::fp16);
  const Var x = b.input("x_in", {dtype, {2, 4, 6}});
  std::vector<mil::Argument> arguments{arg("x", b.transpose("t", x, {0, 2, 1})),
                                       arg("pad", b.integers("pad", {3, 5, 0, 2})), arg("mode", b.text("mode", mode))};
  if (dtype == DType::fp16) arguments.push_back(arg("constant_val", b.scalar(-1.5F)));
  const Var out = b.operation(OpKind::pad, "out", arguments).front();
  check_against_reference(std::move(b).finish(std::vector{out}), 4, 0);
}

TEST_CASE("tile", "[device][host]") {
  const DType dtype = GENERATE(DType::fp16, DType::fp32, DType::boolean);
  Builder b(DType::fp16);
  const Var x = b.input("x_in", {dtype, {2, 3, 5}});
  const Var out = b.operation(OpKind::tile, "out",
                              {arg("x", b.transpose("t", x, {2, 0, 1})), arg("reps", b.integers("reps", {2, 1, 3}))})
                      .front();
  check_against_reference(std::move(b).finish(std::vector{out}), 5, 0);
}

TEST_CASE("gather along any axis, with batches", "[device][host]") {
  const auto [axis, batch, indices] = GENERATE(table<std::int64_t, std::int64_t, Shape>(
      {{0, 0, {3}}, {1, 0, {2, 3}}, {-1, 0, {}}, {2, 1, {4, 2}}, {1, 1, {4, 5}}}));
  CAPTURE(axis, batch, indices);
  Builder b(DType::fp16);
  const Var x = b.input("x_in", {DType::fp16, {4, 5, 6}});
  const Var which = b.input("y_in", {DType::int32, indices});
  const Var out = b.operation(OpKind::gather, "out",
                              {arg("x", x), arg("indices", which), arg("axis", b.integer("axis", axis)),
                               arg("batch_dims", b.integer("batch", batch))})
                      .front();
  check_against_reference(std::move(b).finish(std::vector{out}), 6, 0);
}

TEST_CASE("gather counts negative indices from the end and refuses others", "[device][host]") {
  Builder b(DType::fp32);
  const Var x = b.input("x_in", {4});
  const Var which = b.input("y_in", {DType::int32, {2}});
  const Var picked = b.operation(OpKind::gather, "picked", {arg("x", x), arg("indices", which)}).front();
  const auto program = std::move(b).finish(std::vector{picked});
  math::ThreadPool pool(1);
  HostDevice device(pool);
  const reference::Tensor values{{DType::fp32, {4}}, {10, 11, 12, 13}};
  CHECK(run(device, program, {}, {values, {{DType::int32, {2}}, {-1, 1}}})[0].data == std::vector<double>{13, 11});
  CHECK_THROWS_WITH(run(device, program, {}, {values, {{DType::int32, {2}}, {0, 4}}}),
                    ANE_CONTAINS("gather 'picked': index 4 is outside the axis of 4"));
}

TEST_CASE("affine quantized weights", "[device][host]") {
  const DType data_type = GENERATE(DType::int8, DType::uint8);
  const bool vectors = GENERATE(true, false);
  std::mt19937 random(7);
  const mil::Blobs blobs{{"q", blob_file(random_tensor({data_type, {4, 6}}, random))}};
  const Shape side = vectors ? Shape{4} : Shape{};
  const auto literal = [&](mil::TensorType type, std::vector<std::int64_t> whole, std::vector<float> real) {
    const std::size_t count = vectors ? 4 : 1;
    whole.resize(count);
    real.resize(count);
    return mil::is_float(type.dtype) ? mil::Constant{type, real} : mil::Constant{type, whole};
  };
  Builder b(DType::fp16);
  const Var x = b.input("x_in", {3, 6});
  const Var dummy = b.add("dummy", x, x);
  mil::Program program = std::move(b).finish(std::vector{dummy});
  // The builder does not support attributes, so the program is built by hand.
  mil::Function& main = program.functions.front();
  mil::Operation quantised;
  quantised.kind = OpKind::constexpr_affine_dequantize;
  quantised.name = "weight";
  const auto attribute = [&](const char* name, mil::Constant value) {
    quantised.attributes.push_back({name, {mil::Operand(std::move(value))}, false});
  };
  attribute("axis", {{DType::int32, {}}, std::vector<std::int64_t>{0}});
  attribute("quantized_data", {{data_type, {4, 6}}, mil::BlobRef{"q", 64}});
  attribute("scale", literal({DType::fp16, side}, {}, {0.5F, 0.25F, 2.0F, 1.5F}));
  attribute("zero_point", literal({data_type, side}, {1, 2, 0, 3}, {}));
  const auto weight = static_cast<mil::ValueId>(main.values.size());
  main.values.push_back({"weight", {DType::fp16, {4, 6}}});
  quantised.results = {weight};
  mil::Operation product;
  product.kind = OpKind::linear;
  product.name = "out";
  product.arguments = {{"x", {mil::Operand(main.inputs.front())}, false}, {"weight", {mil::Operand(weight)}, false}};
  main.values.push_back({"out", {DType::fp16, {3, 4}}});
  product.results = {weight + 1};
  main.operations = {quantised, product};
  main.values.erase(main.values.begin() + 1);  // dummy
  main.operations[0].results = {1};
  main.operations[1].results = {2};
  main.operations[1].arguments[1].operands = {mil::Operand(mil::ValueId{1})};
  main.outputs = {2};
  check_against_reference(program, 8, tolerance_of(DType::fp16), blobs);
}

}  // namespace
}  // namespace ane::device::host
