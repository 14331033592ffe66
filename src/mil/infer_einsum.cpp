#include <algorithm>
#include <cctype>
#include <string>

#include <fmt/format.h>

#include "ane/mil/geometry.h"

#include "infer.h"

namespace ane::mil {
namespace {

/// The sizes of the dimensions that letters represent.
class Sizes {
 public:
  Sizes(const OpView& op, const EinsumEquation& equation) : op_(&op), equation_(&equation) {}

  /// For a letter of the result: of one operand, or of both if they agree or one is 1.
  [[nodiscard]] std::int64_t of_result(char letter) const {
    const std::int64_t x = in(0, equation_->x, letter);
    const std::int64_t y = in(1, equation_->y, letter);
    if (x == 0 && y == 0) fail(*op_, fmt::format("no operand has '{}' of the result", letter));
    if (x != y && x > 1 && y > 1) disagree(letter, x, y);
    return std::max(x, y);
  }

  void check_summed(char letter) const {
    const std::int64_t x = in(0, equation_->x, letter);
    const std::int64_t y = in(1, equation_->y, letter);
    if (y != 0 && x != y) disagree(letter, x, y);
  }

 private:
  /// 0 if the operand has no such letter.
  [[nodiscard]] std::int64_t in(std::size_t operand, const std::string& letters, char letter) const {
    const std::size_t at = letters.find(letter);
    return at == std::string::npos ? 0 : op_->type(op_->operands("values")[operand]).shape[at];
  }

  [[noreturn]] void disagree(char letter, std::int64_t x, std::int64_t y) const {
    fail(*op_, fmt::format("'{}' is {} in the first operand and {} in the second", letter, x, y));
  }

  const OpView* op_;
  const EinsumEquation* equation_;
};

void check_letters(const OpView& op, const std::string& letters) {
  for (std::size_t i = 0; i < letters.size(); ++i) {
    const auto letter = static_cast<unsigned char>(letters[i]);
    if (std::isalpha(letter) == 0)
      fail(op, fmt::format("the equation must be letters such as \"nchw,nwhu->nchu\", found '{}'", letters[i]));
    if (letters.find(letters[i], i + 1) != std::string::npos)
      fail(op, fmt::format("'{}' occurs twice in \"{}\"; diagonals are not supported", letters[i], letters));
  }
}

EinsumEquation split(const OpView& op, std::string equation) {
  std::erase(equation, ' ');
  const std::size_t comma = equation.find(',');
  const std::size_t arrow = equation.find("->");
  if (comma == std::string::npos || arrow == std::string::npos || arrow < comma)
    fail(op, fmt::format("equation \"{}\" is not of the form \"nchw,nwhu->nchu\"", equation));
  return {equation.substr(0, comma), equation.substr(comma + 1, arrow - comma - 1), equation.substr(arrow + 2)};
}

}  // namespace

EinsumEquation einsum_equation(const OpView& op) {
  const std::vector<Operand>& values = op.operands("values");
  if (values.size() != 2) fail(op, fmt::format("it multiplies two values, found {}", values.size()));
  EinsumEquation equation = split(op, op.text("equation", ""));
  for (const std::string* letters : {&equation.x, &equation.y, &equation.result}) check_letters(op, *letters);
  for (std::size_t i = 0; i < 2; ++i) {
    const std::string& letters = i == 0 ? equation.x : equation.y;
    const TensorType& type = op.type(values[i]);
    if (type.shape.size() != letters.size())
      fail(op,
           fmt::format("\"{}\" has {} letters, but value {} is {}", letters, letters.size(), i + 1, to_string(type)));
  }
  return equation;
}

Types infer_einsum(const OpView& op) {
  const EinsumEquation equation = einsum_equation(op);
  const std::vector<Operand>& values = op.operands("values");
  const TensorType& x = op.type(values[0]);
  const TensorType& y = op.type(values[1]);
  if (!is_float(x.dtype) || x.dtype != y.dtype)
    fail(op, fmt::format("both values must be of fp16 or of fp32: they are {} and {}", to_string(x), to_string(y)));
  const Sizes sizes(op, equation);
  TensorType type{x.dtype, {}};
  for (const char letter : equation.result) type.shape.push_back(sizes.of_result(letter));
  for (const char letter : equation.x)
    if (equation.result.find(letter) == std::string::npos) sizes.check_summed(letter);
  return {type};
}

}  // namespace ane::mil
