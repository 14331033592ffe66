#include "ane/model/parameters.h"

#include <vector>

#include "ane/core/error.h"
#include "ane/model/models.h"

#include "support/catch.h"

namespace ane::model {
namespace {

TEST_CASE("tensors begin at multiples of 64 bytes", "[model][parameters]") {
  ParameterLayout layout;
  CHECK(layout.add("a", {3, 5}, true) == 0);
  CHECK(layout.add("b", {17}, false) == 1);
  CHECK(layout.add("c", {16}, false) == 2);
  CHECK(layout.at(0).count == 15);
  CHECK(layout.at(1).offset == 16);
  CHECK(layout.at(2).offset == 48);
  CHECK(layout.size() == 64);
  CHECK(layout.parameter_count() == 48);
  CHECK(layout.find("b") == &layout.at(1));
  CHECK(layout.find("d") == nullptr);
  CHECK_THROWS_WITH(layout.add("b", {1}, false), ANE_CONTAINS("two parameters are named 'b'"));
  CHECK(layout.size() == 64);
}

TEST_CASE("decay applies to matrices and embeddings, not to norms", "[model][parameters]") {
  const ParameterLayout layout = llama_parameters({.dim = 8,
                                                   .hidden = 12,
                                                   .layers = 2,
                                                   .heads = 4,
                                                   .kv_heads = 2,
                                                   .vocab = 10,
                                                   .seq_len = 4,
                                                   .tied_classifier = false});
  CHECK(layout.parameters().size() == 1 + 2 * 9 + 2);
  for (const Parameter& parameter : layout.parameters()) {
    INFO(parameter.name);
    CHECK(parameter.decays == (parameter.name.find("norm") == std::string::npos));
  }
  CHECK(layout.find("layers.1.attention.wk.weight")->shape == mil::Shape{4, 8});
  CHECK(layout.find("layers.1.feed_forward.w2.weight")->shape == mil::Shape{8, 12});
  CHECK(layout.find("output.weight")->shape == mil::Shape{10, 8});
}

TEST_CASE("an invalid configuration is refused with the field, its value and the requirement", "[model][config]") {
  const LlamaConfig good = {.dim = 8, .hidden = 12, .layers = 2, .heads = 4, .kv_heads = 2, .vocab = 10, .seq_len = 4};
  CHECK_NOTHROW(check(good));
  const auto check_fault = [&](auto change, const char* fault) {
    LlamaConfig config = good;
    change(config);
    CHECK_THROWS_AS(check(config), UsageError);
    CHECK_THROWS_WITH(check(config), ANE_CONTAINS(fault));
  };
  check_fault([](LlamaConfig& c) { c.dim = 0; }, "dim is 0");
  check_fault([](LlamaConfig& c) { c.hidden = 0; }, "hidden is 0");
  check_fault([](LlamaConfig& c) { c.layers = 0; }, "layers is 0");
  check_fault([](LlamaConfig& c) { c.heads = 0; }, "heads is 0");
  check_fault([](LlamaConfig& c) { c.kv_heads = 0; }, "kv_heads is 0");
  check_fault([](LlamaConfig& c) { c.vocab = 0; }, "vocab is 0");
  check_fault([](LlamaConfig& c) { c.seq_len = 0; }, "seq_len is 0");
  check_fault([](LlamaConfig& c) { c.dim = 10; }, "dim is 10 and heads is 4, but heads must divide dim");
  check_fault([](LlamaConfig& c) { c.kv_heads = 3; }, "heads is 4 and kv_heads is 3, but kv_heads must divide heads");
  check_fault([](LlamaConfig& c) { c.dim = 12; }, "12 / 4 = 3, but it must be even");
  check_fault([](LlamaConfig& c) { c.vocab = 65537; }, "vocab is 65537, but tokens are 16-bit: at most 65536");
  check_fault([](LlamaConfig& c) { c.layers = 1025; }, "layers is 1025");
  check_fault([](LlamaConfig& c) { c.norm_eps = 0; }, "norm_eps is 0");
  check_fault([](LlamaConfig& c) { c.rope_theta = -1; }, "rope_theta is -1");
  check_fault([](LlamaConfig& c) { c.dim = 1U << 16U; }, "an attention projection would have 65536 x 65536 elements");
  check_fault([](LlamaConfig& c) { c.hidden = 1U << 30U; }, "a feed-forward projection");
  check_fault([](LlamaConfig& c) { c.seq_len = SIZE_MAX; }, "the logits");
  check_fault([](LlamaConfig& c) { c.seq_len = 1U << 16U; }, "the attention scores");

  CHECK_NOTHROW(check(MlpConfig{}));
  CHECK_THROWS_WITH(check(MlpConfig{.dim = 0}), ANE_CONTAINS("dim is 0"));
  CHECK_THROWS_WITH(check(MlpConfig{.dim = SIZE_MAX}), ANE_CONTAINS("a projection"));
  CHECK_THROWS_WITH(check(MlpConfig{.seq_len = SIZE_MAX}), ANE_CONTAINS("an activation"));
}

}  // namespace
}  // namespace ane::model
