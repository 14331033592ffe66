#include "ane/mil/types.h"

#include "ane/core/error.h"

#include "support/catch.h"

namespace ane::mil {

TEST_CASE("every element type has a name that reads back, and its size", "[mil]") {
  for (int i = 0; i <= static_cast<int>(DType::string); ++i) {
    const auto dtype = static_cast<DType>(i);
    CAPTURE(name(dtype));
    CHECK(dtype_from_name(name(dtype)) == dtype);
  }
  CHECK(name(DType::boolean) == "bool");
  CHECK_FALSE(dtype_from_name("float").has_value());
  CHECK(element_bytes(DType::fp16) == 2);
  CHECK(element_bytes(DType::fp32) == 4);
  CHECK(element_bytes(DType::uint64) == 8);
  CHECK(element_bytes(DType::string) == 0);
}

TEST_CASE("element counts are checked", "[mil]") {
  CHECK(element_count({}) == 1);
  CHECK(element_count({1, 64, 1, 32}) == 2048);
  CHECK(element_count({3, 0, 5}) == 0);
  CHECK(element_count({1 << 20, 1 << 20}) == std::int64_t{1} << 40);
  REQUIRE_THROWS_WITH(element_count({1 << 20, 1 << 20, 2}),
                      ANE_CONTAINS("shape [1048576, 1048576, 2] has more than 2^40 elements"));
  REQUIRE_THROWS_AS(element_count({std::int64_t{1} << 62, 4}), Error);
  REQUIRE_THROWS_WITH(element_count({2, -1}), ANE_CONTAINS("shape [2, -1] has a negative dimension"));
}

TEST_CASE("types print as messages show them", "[mil]") {
  CHECK(to_string(TensorType{DType::fp16, {1, 64, 1, 32}}) == "fp16 [1, 64, 1, 32]");
  CHECK(to_string(TensorType{DType::boolean, {}}) == "bool []");
}

TEST_CASE("rows of a surface begin at multiples of 64 bytes", "[mil]") {
  const SurfaceLayout packed = surface_layout({DType::fp16, {1, 8, 2, 32}});
  CHECK(packed.rows == 16);
  CHECK(packed.row_bytes == 64);
  CHECK(packed.size_bytes == 1024);
  CHECK(packed.is_packed(DType::fp16));

  // As reported by a compiled program (ane.md 1.5): [1, 4, 1, 4] in fp16 reports a row stride of 64 and a batch stride
  // of 256.
  const SurfaceLayout padded = surface_layout({DType::fp16, {1, 4, 1, 4}});
  CHECK(padded.row_bytes == 64);
  CHECK(padded.size_bytes == 256);
  CHECK_FALSE(padded.is_packed(DType::fp16));

  CHECK(surface_layout({DType::fp32, {2, 33}}).row_bytes == 192);
  const SurfaceLayout scalar = surface_layout({DType::fp16, {}});
  CHECK(scalar.rows == 1);
  CHECK(scalar.row_elements == 1);
  CHECK(scalar.size_bytes == 64);
  REQUIRE_THROWS_AS(surface_layout({DType::fp16, {1 << 30, 1 << 30, 1 << 30}}), Error);
}

}  // namespace ane::mil
