#pragma once

#include <span>

#include "ane/model/parameters.h"

/// Meta's format of Llama's parameters, which llama2.c and checkpoints of version 3 and older use. It differs from
/// Hugging Face's, which is used everywhere else, in the names (Parameter::meta_name) and in the order of the rows of
/// q_proj and k_proj: RoPE rotates the channels (2i, 2i+1) of a head, not (i, i + head_dim/2).
namespace ane::model {

/// Reorders the rows of a tensor in Meta's format, or of its gradient or optimizer slots, to Hugging Face's order.
/// Tensors other than q_proj and k_proj are left unchanged.
void reorder_rows_of_meta(const Parameter& parameter, std::span<float> values);
/// The inverse: from Hugging Face's order to Meta's.
void reorder_rows_for_meta(const Parameter& parameter, std::span<float> values);

}  // namespace ane::model
