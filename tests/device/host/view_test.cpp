#include "lower/view.h"

#include <numeric>
#include <random>

#include "support/catch.h"

namespace ane::device::host {
namespace {

View packed(Dims shape) {
  View view;
  view.strides = dense_strides(shape);
  view.shape = std::move(shape);
  return view;
}

/// The offsets of a view's elements in row-major order.
Dims places(const View& view) {
  Dims result;
  for (std::int64_t n = 0; n < element_count(view.shape); ++n) {
    std::int64_t rest = n;
    std::int64_t place = view.offset;
    for (std::size_t i = view.rank(); i-- > 0;) {
      place += rest % view.shape[i] * view.strides[i];
      rest /= view.shape[i];
    }
    result.push_back(place);
  }
  return result;
}

TEST_CASE("permuted and unpermuted are inverse", "[device][view]") {
  const View view = packed({2, 3, 4});
  const Dims perm{2, 0, 1};
  CHECK(permuted(view, perm).shape == Dims{4, 2, 3});
  CHECK(permuted(view, perm).strides == Dims{1, 12, 4});
  CHECK(unpermuted(permuted(view, perm), perm).strides == view.strides);
}

TEST_CASE("slices move the offset and stretch the strides", "[device][view]") {
  const View view = sliced(packed({4, 10}), Dims{3, 1}, Dims{-2, 3}, Dims{2, 3});
  CHECK(places(view) == Dims{31, 34, 37, 11, 14, 17});
}

TEST_CASE("broadcast dimensions have stride 0", "[device][view]") {
  const View view = broadcast(packed({3, 1}), Dims{2, 3, 4});
  CHECK(view.strides == Dims{0, 1, 0});
  CHECK_FALSE(is_full(view));
  CHECK(is_full(packed({3, 1})));
}

TEST_CASE("reshaped keeps the order of elements, or returns nullopt", "[device][view]") {
  const View heads = permuted(packed({1, 4, 6, 5}), Dims{0, 1, 3, 2});
  const auto split = reshaped(heads, Dims{2, 2, 5, 6});
  REQUIRE(split);
  CHECK(places(*split) == places(heads));
  CHECK_FALSE(reshaped(heads, Dims{4, 30}));
  const auto back = reshaped(permuted(heads, Dims{0, 1, 3, 2}), Dims{1, 24, 1, 5});
  REQUIRE(back);
  CHECK(is_dense(*back));
  const auto scalar = reshaped(packed({1, 1}), Dims{});
  REQUIRE(scalar);
  CHECK(scalar->rank() == 0);
}

TEST_CASE("reshaped never changes the elements", "[device][view]") {
  std::mt19937 random(GENERATE(range(1U, 40U)));
  const auto pick = [&](std::size_t count) { return std::uniform_int_distribution<std::size_t>(0, count - 1)(random); };
  const std::vector<Dims> shapes{{12, 4, 6}, {3, 4, 24}, {288}, {2, 6, 1, 4, 6}, {16, 18}, {1, 288, 1}, {9, 32}};
  View view = packed(shapes[pick(shapes.size())]);
  for (int step = 0; step < 4; ++step) {
    Dims perm(view.rank());
    std::iota(perm.begin(), perm.end(), 0);
    std::shuffle(perm.begin(), perm.end(), random);
    const View turned = permuted(view, perm);
    const Dims before = places(turned);
    if (const auto other = reshaped(turned, shapes[pick(shapes.size())])) {
      CHECK(places(*other) == before);
      view = *other;
    } else {
      view = turned;
    }
    CHECK(places(view) == before);
  }
}

TEST_CASE("memory order lists the dimensions from far to near", "[device][view]") {
  CHECK(memory_order(permuted(packed({2, 3, 4}), Dims{2, 0, 1})) == std::vector<std::size_t>{1, 2, 0});
  CHECK(dense_strides(Dims{4, 2, 3}, std::vector<std::size_t>{1, 2, 0}) == Dims{1, 12, 4});
  CHECK(memory_order(broadcast(packed({4}), Dims{3, 4})) == std::vector<std::size_t>{0, 1});
}

TEST_CASE("same_elements ignores dimensions of 1", "[device][view]") {
  const View view = packed({2, 3});
  CHECK(same_elements(view, expanded(view, 1)));
  CHECK(same_elements(squeezed(expanded(view, 0)), view));
  CHECK_FALSE(same_elements(view, sliced(packed({4, 3}), 0, 1, 2)));
  CHECK_FALSE(same_elements(view, permuted(packed({3, 2}), Dims{1, 0})));
}

}  // namespace
}  // namespace ane::device::host
