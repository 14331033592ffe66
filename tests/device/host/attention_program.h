#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ane/mil/builder.h"

namespace ane::device::host {

inline constexpr std::int64_t kHeadWidth = 16;
inline constexpr std::int64_t kSequence = 48;

/// softmax(q k^T / 4) v with the heads as channels, and the part of its gradient that uses probabilities.
inline mil::Program attention_program(std::int64_t heads) {
  mil::Builder b(mil::DType::fp16);
  const mil::Shape channels{1, heads * kHeadWidth, 1, kSequence};
  const mil::Var q_in = b.input("q_in", channels);
  const mil::Var k_in = b.input("k_in", channels);
  const mil::Var v_in = b.input("v_in", channels);
  const auto split = [&](std::string_view name, mil::Var x) {
    const mil::Var apart = b.reshape(std::string(name) + "_split", x, {1, heads, kHeadWidth, kSequence});
    return b.transpose(name, apart, {0, 1, 3, 2});
  };
  const mil::Var q = split("q", q_in);
  const mil::Var k = split("k", k_in);
  const mil::Var v = split("v", v_in);
  const mil::Var scores = b.matmul("scores", q, k, false, true);
  const mil::Var scaled = b.mul("scaled", scores, b.scalar(0.25F));
  const mil::Var probs = b.softmax("probs", scaled, -1);
  const mil::Var mixed = b.matmul("mixed", probs, v);
  const mil::Var weighted = b.mul("weighted", probs, scaled);
  const mil::Var sum = b.reduce(mil::OpKind::reduce_sum, "sum", weighted, {-1});
  const mil::Var ds = b.mul("ds", probs, b.sub("centred", scaled, sum));
  const mil::Var dk = b.matmul("dk", ds, q, true, false);
  const auto merged = [&](std::string_view name, mil::Var x) {
    return b.reshape(name, b.transpose(std::string(name) + "_turned", x, {0, 1, 3, 2}),
                     {1, heads * kHeadWidth, 1, kSequence});
  };
  const mil::Var attn = merged("attn", mixed);
  const mil::Var dk_out = merged("dk_out", dk);
  return std::move(b).finish(std::vector{b.concat("out", std::vector{attn, dk_out}, 1)});
}

}  // namespace ane::device::host
