#pragma once

#include <cstddef>
#include <span>

#include "ane/math/threads.h"

namespace ane::math {

/// Elements of working memory for orthogonalize(): two squares of the smaller dimension.
[[nodiscard]] std::size_t orthogonalize_workspace(std::size_t rows, std::size_t columns) noexcept;

/// Sets `result` to nearly the orthogonal matrix that is nearest to a multiple of `matrix`: with the singular value
/// decomposition U S V^T, that is U S' V^T with S' between about 0.7 and 1.2 for singular values that are not tiny
/// beside the Frobenius norm. Five Newton-Schulz steps
///     X <- a X + b (X X^T) X + c (X X^T)^2 X,  a, b, c = 3.4445, -4.7750, 2.0315
/// from X = matrix / (its Frobenius norm + 1e-7), as in Muon (Jordan et al. 2024). A zero matrix stays zero; a value
/// that is not finite makes the result so.
///   matrix, result [rows, columns] row-major; `matrix` is overwritten
///   workspace [at least orthogonalize_workspace()]
/// The result depends on the pool's number of threads, but on nothing else, if the memory is aligned to 64 bytes.
void orthogonalize(std::size_t rows, std::size_t columns, std::span<float> matrix, std::span<float> result,
                   std::span<float> workspace, ThreadPool& pool);

}  // namespace ane::math
