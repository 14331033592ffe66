#include "ane/train/partition.h"

#include <algorithm>
#include <cstddef>
#include <vector>

#include "ane/model/parameters.h"

#include "support/catch.h"

namespace {

using ane::model::Parameter;
using ane::model::ParameterLayout;
using ane::model::Role;
using ane::train::Partition;
using ane::train::Piece;

ParameterLayout small_layout() {
  ParameterLayout layout;
  layout.add({"model.embed_tokens.weight", {37, 5}, Role::embedding});
  for (const char* name : {"model.layers.0.mlp.up_proj.weight", "model.layers.0.mlp.down_proj.weight",
                           "model.layers.1.mlp.up_proj.weight", "model.layers.1.mlp.down_proj.weight"})
    layout.add({name, {7, 11}, Role::matrix});
  layout.add({"model.norm.weight", {5}, Role::norm});
  return layout;
}

/// How many ranks own each element.
std::vector<int> owners(const ParameterLayout& layout, int ranks, const Partition::IsWhole& is_whole) {
  std::vector<int> count(layout.size(), 0);
  for (int rank = 0; rank < ranks; ++rank) {
    const Partition partition(layout, ranks, rank, is_whole);
    for (const Piece& piece : partition.own())
      for (std::size_t i = piece.begin; i < piece.end; ++i) ++count[i];
  }
  return count;
}

bool any_tensor(const Parameter& /*parameter*/) { return true; }

/// How often each element that is not padding should be owned.
std::vector<int> once(const ParameterLayout& layout) {
  std::vector<int> count(layout.size(), 0);
  for (const Parameter& parameter : layout.parameters())
    std::fill_n(count.begin() + static_cast<std::ptrdiff_t>(parameter.offset), parameter.count, 1);
  return count;
}

}  // namespace

TEST_CASE("a partition gives each element to one rank", "[train]") {
  const ParameterLayout layout = small_layout();
  for (const Partition::IsWhole& is_whole : {Partition::IsWhole(), Partition::IsWhole(any_tensor)})
    for (int ranks = 1; ranks <= 9; ++ranks) CHECK(owners(layout, ranks, is_whole) == once(layout));
}

TEST_CASE("the parts of a slot add up to the slot", "[train]") {
  const ParameterLayout layout = small_layout();
  const ParameterLayout matrices = layout.part([](const Parameter& each) { return each.role == Role::matrix; });
  const ane::train::StateSlots whole = {{"first_moment", layout}, {"momentum", matrices}};
  std::vector<std::size_t> sums(whole.size(), 0);
  for (int rank = 0; rank < 3; ++rank) {
    const ane::train::StateSlots part = Partition(layout, 3, rank).own_part_of(whole);
    REQUIRE(part.size() == whole.size());
    for (std::size_t i = 0; i < part.size(); ++i) {
      CHECK(part[i].name == whole[i].name);
      sums[i] += part[i].layout.parameter_count();
    }
  }
  CHECK(sums == std::vector<std::size_t>{layout.parameter_count(), matrices.parameter_count()});
}

TEST_CASE("layers are segments of their own, and tensors stay whole if they must", "[train]") {
  const ParameterLayout layout = small_layout();
  const Partition partition(layout, 2, 0, any_tensor);
  REQUIRE(partition.segments().size() == 4);
  CHECK_FALSE(partition.segments()[0].layer);
  CHECK(partition.segments()[1].layer == std::size_t{0});
  CHECK(partition.segments()[2].layer == std::size_t{1});
  CHECK_FALSE(partition.segments()[3].layer);
  for (int rank = 0; rank < 2; ++rank) {
    const Partition of_rank(layout, 2, rank, any_tensor);
    for (const Piece& piece : of_rank.own()) CHECK(piece.size() == piece.parameter.count);
  }
}

TEST_CASE("a single rank owns all tensors as they are", "[train]") {
  const ParameterLayout layout = small_layout();
  const Partition partition(layout, 1, 0);
  REQUIRE(partition.own().size() == layout.parameters().size());
  for (std::size_t i = 0; i < partition.own().size(); ++i) {
    CHECK(partition.own()[i].begin == layout.at(i).offset);
    CHECK(partition.own()[i].size() == layout.at(i).count);
  }
}
