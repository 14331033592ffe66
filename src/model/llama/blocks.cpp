#include "llama/blocks.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <vector>

#include <fmt/format.h>

#include "llama/qk_norm.h"
#include "shape.h"

namespace ane::model {

namespace {

std::size_t extent(const mil::Builder& mil, mil::Var x, std::size_t axis) {
  return static_cast<std::size_t>(mil.type(x).shape.at(axis));
}

std::string suffixed(std::string_view name, std::string_view suffix) { return fmt::format("{}_{}", name, suffix); }

/// [S, HD] of f(angle): the angles of the pairs (i, i + HD/2), once for each half of the channels.
std::vector<float> angle_table(const ModelConfig& config, double (*f)(double)) {
  const std::size_t head_dim = config.head_dim;
  std::vector<float> table(config.seq_len * head_dim);
  for (std::size_t i = 0; i < head_dim; ++i) {
    const double frequency = config.rope_frequency(i % (head_dim / 2));
    for (std::size_t position = 0; position < config.seq_len; ++position)
      table[position * head_dim + i] = static_cast<float>(f(static_cast<double>(position) * frequency));
  }
  return table;
}

/// [HD, HD]: (x P)[i] = -x[i + HD/2], (x P)[i + HD/2] = x[i].
std::vector<float> quarter_turn(std::size_t head_dim) {
  const std::size_t half = head_dim / 2;
  std::vector<float> turn(head_dim * head_dim, 0.0F);
  for (std::size_t i = 0; i < half; ++i) {
    turn[(i + half) * head_dim + i] = -1.0F;
    turn[i * head_dim + i + half] = 1.0F;
  }
  return turn;
}

}  // namespace

mil::Var split_heads(mil::Builder& mil, std::string_view name, mil::Var x, const ModelConfig& config) {
  const std::size_t heads = extent(mil, x, 1) / config.head_dim;
  const mil::Var split = mil.reshape(suffixed(name, "split"), x, shape_of({1, heads, config.head_dim, config.seq_len}));
  return mil.transpose(name, split, {0, 1, 3, 2});
}

mil::Var merge_heads(mil::Builder& mil, std::string_view name, mil::Var x) {
  const std::size_t channels = extent(mil, x, 1) * extent(mil, x, 3);
  const mil::Var turned = mil.transpose(suffixed(name, "turned"), x, {0, 1, 3, 2});
  return mil.reshape(name, turned, shape_of({1, channels, 1, extent(mil, x, 2)}));
}

mil::Var group_heads(mil::Builder& mil, std::string_view name, mil::Var x, const ModelConfig& config) {
  if (config.group() == 1) return x;
  return mil.reshape(name, x, shape_of({1, config.kv_heads, config.group() * config.seq_len, config.head_dim}));
}

mil::Var ungroup_heads(mil::Builder& mil, std::string_view name, mil::Var x, const ModelConfig& config) {
  if (config.group() == 1) return x;
  return mil.reshape(name, x, shape_of({1, config.heads, config.seq_len, config.head_dim}));
}

std::vector<float> causal_mask(const ModelConfig& config) {
  const std::size_t seq_len = config.seq_len;
  std::vector<float> mask(config.group() * seq_len * seq_len, 0.0F);
  auto row = mask.begin();
  for (std::size_t head = 0; head < config.group(); ++head) {
    for (std::size_t query = 0; query < seq_len; ++query) {
      const auto next = row + static_cast<std::ptrdiff_t>(seq_len);
      std::fill(row + static_cast<std::ptrdiff_t>(query + 1), next, kMasked);
      row = next;
    }
  }
  return mask;
}

mil::Var score_scale(mil::Builder& mil, const ModelConfig& config) {
  return mil.scalar(1.0F / std::sqrt(static_cast<float>(config.head_dim)));
}

mil::Var attention_probabilities(KernelWriter& kernel, mil::Var q, mil::Var k, const ModelConfig& config) {
  mil::Builder& mil = kernel.mil();
  const mil::Var mask =
      kernel.constant("mask", shape_of({1, 1, config.group() * config.seq_len, config.seq_len}), causal_mask(config));
  const mil::Var scores = mil.matmul("scores", q, k, false, true);
  const mil::Var scaled = mil.mul("scaled", scores, score_scale(mil, config));
  const mil::Var masked = mil.add("masked", scaled, mask);
  return mil.softmax("probs", masked, kKeyAxis);
}

Rope::Rope(KernelWriter& kernel, const ModelConfig& config, RopeForm form) : mil_(&kernel.mil()) {
  const mil::Shape table = shape_of({1, 1, config.seq_len, config.head_dim});
  cos_ = kernel.constant("rope_cos", table, angle_table(config, [](double angle) { return std::cos(angle); }));
  sin_ = kernel.constant("rope_sin", table, angle_table(config, [](double angle) { return std::sin(angle); }));
  set_form(kernel, config, form);
}

Rope::Rope(KernelWriter& kernel, const ModelConfig& config, RopeForm form, mil::Var cos, mil::Var sin)
    : mil_(&kernel.mil()), cos_(cos), sin_(sin) {
  set_form(kernel, config, form);
}

void Rope::set_form(KernelWriter& kernel, const ModelConfig& config, RopeForm form) {
  packing_ = kernel.packing();
  if (form == RopeForm::slices) return;
  matrix_ =
      kernel.constant("rope_turn", shape_of({1, 1, config.head_dim, config.head_dim}), quarter_turn(config.head_dim));
}

mil::Var Rope::rotate(std::string_view name, mil::Var x) { return combine(mil::OpKind::add, name, x); }

// The transpose of P is its negative, and sin is the same for both channels of a pair.
mil::Var Rope::rotate_back(std::string_view name, mil::Var x) { return combine(mil::OpKind::sub, name, x); }

mil::Var Rope::combine(mil::OpKind kind, std::string_view name, mil::Var x) {
  const mil::Var along = mil_->mul(suffixed(name, "along"), x, cos_);
  const mil::Var turned = turn(suffixed(name, "turned"), x);
  const mil::Var across = mil_->mul(suffixed(name, "across"), turned, sin_);
  return mil_->binary(kind, name, along, across);
}

mil::Var Rope::turn(std::string_view name, mil::Var x) {
  if (matrix_) return mil_->matmul(name, x, *matrix_);
  if (packing_ == Packing::width) return turn_halves(name, x, 3);
  const mil::Var upright = mil_->transpose(suffixed(name, "upright"), x, {0, 1, 3, 2});
  return mil_->transpose(name, turn_halves(suffixed(name, "halves"), upright, 2), {0, 1, 3, 2});
}

/// The halves of x along `axis`, swapped, the new first one negated.
mil::Var Rope::turn_halves(std::string_view name, mil::Var x, int axis) {
  const auto at = static_cast<std::size_t>(axis);
  mil::Shape half = mil_->type(x).shape;
  half[at] /= 2;
  mil::Shape middle(half.size(), 0);
  middle[at] = half[at];
  const mil::Var first = mil_->slice(suffixed(name, "first"), x, {0, 0, 0, 0}, half);
  const mil::Var second = mil_->slice(suffixed(name, "second"), x, middle, half);
  const mil::Var negated = mil_->mul(suffixed(name, "negated"), second, mil_->scalar(-1.0F));
  return mil_->concat(name, std::array{negated, first}, axis);
}

// a = probs v and o = Wo a:  da = Wo^T do,  dv = probs^T da,  dp = da v^T
ValueGradients backward_values(KernelWriter& kernel, mil::Var q, mil::Var k, mil::Var v, mil::Var dout,
                               const ModelConfig& config) {
  mil::Builder& mil = kernel.mil();
  const mil::Var da = kernel.project("da", dout, "self_attn.o_proj");
  const mil::Var da_heads = group_heads(mil, "da_groups", split_heads(mil, "da_heads", da, config), config);
  const mil::Var probs = attention_probabilities(kernel, group_heads(mil, "q_groups", q, config), k, config);
  const mil::Var dv = mil.matmul("dv_heads", probs, da_heads, true, false);
  const mil::Var dp = mil.matmul("dp", da_heads, v, false, true);
  return {dv, probs, dp};
}

// probs = softmax(q k^T / sqrt(HD) + mask):  ds = probs * (dp - sum over keys of probs * dp) / sqrt(HD)
mil::Var backward_scores(mil::Builder& mil, mil::Var probs, mil::Var dp, const ModelConfig& config) {
  const mil::Var weighted = mil.mul("weighted", probs, dp);
  const mil::Var mean = mil.reduce(mil::OpKind::reduce_sum, "mean", weighted, {kKeyAxis});
  const mil::Var centred = mil.sub("centred", dp, mean);
  const mil::Var scale = score_scale(mil, config);
  const mil::Var dscores = mil.mul("dscores", probs, centred);
  return mil.mul("ds", dscores, scale);
}

// dq = ds k,  dk = ds^T q. The product for dk sums over the queries of the whole group.
HeadGradients backward_rotation(mil::Builder& mil, Rope& rope, mil::Var ds, mil::Var q, mil::Var k,
                                const ModelConfig& config) {
  const mil::Var dq_groups = mil.matmul("dq_groups", ds, k);
  const mil::Var dk_rot = mil.matmul("dk_rot", ds, group_heads(mil, "q_groups", q, config), true, false);
  const mil::Var dq_rot = ungroup_heads(mil, "dq_rot", dq_groups, config);
  return {rope.rotate_back("dq_heads", dq_rot), rope.rotate_back("dk_heads", dk_rot)};
}

void backward_qk_norm(KernelWriter& kernel, const HeadGradients& heads, const ModelConfig& config) {
  mil::Builder& mil = kernel.mil();
  if (!config.has_qk_norm()) {
    kernel.output("dq", merge_heads(mil, "dq", heads.dq));
    kernel.output("dk", merge_heads(mil, "dk", heads.dk));
    return;
  }
  const mil::Var q_in = split_heads(mil, "q_in_heads", kernel.tensor("q_in"), config);
  const mil::Var k_in = split_heads(mil, "k_in_heads", kernel.tensor("k_in"), config);
  const HeadNormGradients q = backward_head_norm(kernel, "dq_in", q_in, heads.dq, "self_attn.q_norm.weight", config);
  const HeadNormGradients k = backward_head_norm(kernel, "dk_in", k_in, heads.dk, "self_attn.k_norm.weight", config);
  kernel.output("dq", merge_heads(mil, "dq", q.dx));
  kernel.output("dk", merge_heads(mil, "dk", k.dx));
  kernel.output("q_norm_terms", merge_heads(mil, "q_norm_terms", q.terms));
  kernel.output("k_norm_terms", merge_heads(mil, "k_norm_terms", k.terms));
}

mil::Var backward_projections(KernelWriter& kernel) {
  mil::Builder& mil = kernel.mil();
  const mil::Var from_q = kernel.project("from_q", kernel.tensor("dq"), "self_attn.q_proj");
  const mil::Var from_k = kernel.project("from_k", kernel.tensor("dk"), "self_attn.k_proj");
  const mil::Var from_v = kernel.project("from_v", kernel.tensor("dv"), "self_attn.v_proj");
  return mil.add("dxn", mil.add("from_qk", from_q, from_k), from_v);
}

}  // namespace ane::model
