#include "ane/model/parameters.h"

#include <vector>

#include "ane/core/error.h"
#include "ane/model/models.h"

#include "support/catch.h"

namespace ane::model {
namespace {

TEST_CASE("tensors begin at multiples of 64 bytes", "[model][parameters]") {
  ParameterLayout layout;
  CHECK(layout.add({"a", {3, 5}, Role::matrix}) == 0);
  CHECK(layout.add({"b", {17}, Role::norm}) == 1);
  CHECK(layout.add({"c", {16}, Role::norm}) == 2);
  CHECK(layout.at(0).count == 15);
  CHECK(layout.at(1).offset == 16);
  CHECK(layout.at(2).offset == 48);
  CHECK(layout.size() == 64);
  CHECK(layout.parameter_count() == 48);
  CHECK(layout.find("b") == &layout.at(1));
  CHECK(layout.find("d") == nullptr);
  CHECK_THROWS_WITH(layout.add({"b", {1}, Role::norm}), ANE_CONTAINS("two parameters are named 'b'"));
  CHECK(layout.size() == 64);
}

TEST_CASE("decay applies to matrices and embeddings, not to norms", "[model][parameters]") {
  const ParameterLayout layout = parameter_layout({.dim = 8,
                                                   .hidden = 12,
                                                   .layers = 2,
                                                   .heads = 4,
                                                   .kv_heads = 2,
                                                   .head_dim = 2,
                                                   .vocab = 10,
                                                   .seq_len = 4,
                                                   .tied_embeddings = false});
  CHECK(layout.parameters().size() == 1 + 2 * 9 + 2);
  for (const Parameter& parameter : layout.parameters()) {
    INFO(parameter.name);
    CHECK(parameter.decays() == (parameter.name.find("norm") == std::string::npos));
  }
  CHECK(layout.find("model.layers.1.self_attn.k_proj.weight")->shape == mil::Shape{4, 8});
  CHECK(layout.find("model.layers.1.mlp.down_proj.weight")->shape == mil::Shape{8, 12});
  CHECK(layout.find("lm_head.weight")->shape == mil::Shape{10, 8});
}

TEST_CASE("an invalid configuration is refused with the field, its value and the requirement", "[model][config]") {
  const ModelConfig good = {
      .dim = 8, .hidden = 12, .layers = 2, .heads = 4, .kv_heads = 2, .head_dim = 2, .vocab = 10, .seq_len = 4};
  CHECK_NOTHROW(check(good));
  const auto check_fault = [&](auto change, const char* fault) {
    ModelConfig config = good;
    change(config);
    CHECK_THROWS_AS(check(config), UsageError);
    CHECK_THROWS_WITH(check(config), ANE_CONTAINS(fault));
  };
  check_fault([](ModelConfig& c) { c.dim = 0; }, "dim is 0");
  check_fault([](ModelConfig& c) { c.hidden = 0; }, "hidden is 0");
  check_fault([](ModelConfig& c) { c.layers = 0; }, "layers is 0");
  check_fault([](ModelConfig& c) { c.heads = 0; }, "heads is 0");
  check_fault([](ModelConfig& c) { c.kv_heads = 0; }, "kv_heads is 0");
  check_fault([](ModelConfig& c) { c.vocab = 0; }, "vocab is 0");
  check_fault([](ModelConfig& c) { c.seq_len = 0; }, "seq_len is 0");
  check_fault([](ModelConfig& c) { c.kv_heads = 3; }, "heads is 4 and kv_heads is 3, but kv_heads must divide heads");
  check_fault([](ModelConfig& c) { c.head_dim = 0; }, "head_dim is 0");
  check_fault([](ModelConfig& c) { c.head_dim = 3; }, "head_dim is 3, but it must be even");
  check_fault([](ModelConfig& c) { c.head_dim = SIZE_MAX - 1; }, "the queries of all heads");
  check_fault([](ModelConfig& c) { c.vocab = 1U << 28U; }, "the embedding would have 268435456 x 8 elements");
  check_fault([](ModelConfig& c) { c.layers = 1025; }, "layers is 1025");
  check_fault([](ModelConfig& c) { c.norm_eps = 0; }, "norm_eps is 0");
  check_fault([](ModelConfig& c) { c.rope_theta = -1; }, "rope_theta is -1");
  check_fault([](ModelConfig& c) { c.dim = 1U << 28U; }, "the embedding would have 10 x 268435456 elements");
  check_fault([](ModelConfig& c) { c.head_dim = 1U << 27U; },
              "an attention projection would have 536870912 x 8 elements");
  check_fault([](ModelConfig& c) { c.hidden = 1U << 30U; }, "a feed-forward projection");
  check_fault([](ModelConfig& c) { c.seq_len = SIZE_MAX; }, "a table of RoPE");
  check_fault([](ModelConfig& c) { c.seq_len = 1U << 29U; }, "the logits");
  check_fault([](ModelConfig& c) { c.seq_len = 1U << 16U; }, "the attention scores");

  const auto mlp = [](std::size_t dim, std::size_t seq_len) {
    return ModelConfig{.family = Family::mlp, .dim = dim, .hidden = 128, .seq_len = seq_len};
  };
  CHECK_NOTHROW(check(mlp(64, 32)));
  CHECK_THROWS_WITH(check(mlp(0, 32)), ANE_CONTAINS("dim is 0"));
  CHECK_THROWS_WITH(check(mlp(SIZE_MAX, 32)), ANE_CONTAINS("a projection"));
  CHECK_THROWS_WITH(check(mlp(64, SIZE_MAX)), ANE_CONTAINS("an activation"));
}

}  // namespace
}  // namespace ane::model
