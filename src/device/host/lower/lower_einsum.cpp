#include <string>
#include <string_view>

#include "ane/mil/geometry.h"

#include "lower/lowering.h"

namespace ane::device::host {
namespace {

using mil::OpKind;

bool has(std::string_view letters, char letter) { return letters.find(letter) != std::string_view::npos; }

template <class Keep>
std::string filtered(std::string_view letters, const Keep& keep) {
  std::string result;
  for (const char letter : letters) {
    if (keep(letter)) result += letter;
  }
  return result;
}

/// The position of each of `letters` in `labels`.
Dims places(std::string_view letters, std::string_view labels) {
  Dims result;
  for (const char letter : letters) result.push_back(static_cast<std::int64_t>(labels.find(letter)));
  return result;
}

/// The sizes of `letters`, which are dimensions of `view` with these labels.
Dims sizes(const View& view, std::string_view labels, std::string_view letters) {
  Dims result;
  for (const std::int64_t place : places(letters, labels))
    result.push_back(view.shape[static_cast<std::size_t>(place)]);
  return result;
}

Dims joined(Dims a, const Dims& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

}  // namespace

/// Sums over the dimensions whose letters occur neither in the other operand nor in the result.
void Lowering::sum_unshared(View& view, std::string& labels, std::string_view shared) {
  std::vector<std::size_t> axes;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (!has(shared, labels[i])) axes.push_back(i);
  }
  if (axes.empty()) return;
  view = reduced(view, axes, OpKind::reduce_sum, /*round=*/false);
  for (std::size_t i = axes.size(); i-- > 0;) view = squeezed(view, axes[i]);
  labels = filtered(labels, [&](char letter) { return has(shared, letter); });
}

/// A batch of matrix products: letters in both operands and the result are the batch, those in one operand and the
/// result are rows or columns, and the others are summed over.
void Lowering::einsum(const Op& op) {
  const mil::ValueId result = op.operation().results.front();
  mil::EinsumEquation labels = mil::einsum_equation(op);
  View x = operand(op.operands("values")[0]);
  View y = operand(op.operands("values")[1]);
  sum_unshared(x, labels.x, labels.y + labels.result);
  sum_unshared(y, labels.y, labels.x + labels.result);

  const auto in_x = [&](char letter) { return has(labels.x, letter); };
  const auto in_y = [&](char letter) { return has(labels.y, letter); };
  const std::string batch = filtered(labels.result, [&](char letter) { return in_x(letter) && in_y(letter); });
  const std::string rows = filtered(labels.result, [&](char letter) { return !in_y(letter); });
  const std::string columns = filtered(labels.result, [&](char letter) { return !in_x(letter); });
  const std::string depth = filtered(labels.x, [&](char letter) { return !has(labels.result, letter); });

  const Dims row_sizes = sizes(x, labels.x, rows);
  const Dims column_sizes = sizes(y, labels.y, columns);
  const std::int64_t m = element_count(row_sizes);
  const std::int64_t k = element_count(sizes(x, labels.x, depth));
  const std::int64_t n = element_count(column_sizes);
  x = shaped(permuted(x, places(batch + rows + depth, labels.x)), joined(sizes(x, labels.x, batch), {m, k}));
  y = shaped(permuted(y, places(batch + depth + columns, labels.y)), joined(sizes(y, labels.y, batch), {k, n}));

  const std::string order = batch + rows + columns;
  Dims batch_sizes;
  for (const std::int64_t place : places(batch, labels.result)) {
    batch_sizes.push_back(type(result).shape[static_cast<std::size_t>(place)]);
  }
  const View c = builder_.product(x, y, joined(batch_sizes, {m, n}), 1.0F, type(result).dtype);
  const View split = shaped(c, joined(joined(batch_sizes, row_sizes), column_sizes));
  finish(result, permuted(split, places(labels.result, order)), std::nullopt);
}

}  // namespace ane::device::host
