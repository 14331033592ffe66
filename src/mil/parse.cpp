#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "ane/math/half.h"
#include "ane/mil/text.h"
#include "ane/mil/verify.h"

#include "arguments.h"
#include "check.h"
#include "lexer.h"
#include "literals.h"
#include "op_spec.h"

namespace ane::mil {
namespace {

/// Columns and value numbers are 32 bits wide; real programs are thousands of times smaller.
constexpr std::size_t kMaxTextBytes = std::size_t{256} << 20;
constexpr std::size_t kMaxValues = std::size_t{1} << 20;

/// The first operation set with bare scalars, which program(1.0) does not support.
constexpr OpSet kFirstBare = OpSet::ios18;

class Parser {
 public:
  /// If `only` is given, functions with other names are skipped.
  explicit Parser(std::string_view text, std::optional<std::string_view> only = {})
      : lexer_(text), token_(lexer_.next()), only_(only) {
    if (text.size() > kMaxTextBytes)
      fail({1, 1}, fmt::format("the text has {} bytes, but at most {} are supported", text.size(), kMaxTextBytes));
  }

  Program parse() {
    parse_header();
    expect("{");
    do parse_function();
    while (!token_.is("}"));
    expect("}");
    if (token_.kind != TokenKind::end) fail_expecting("the end of the text");
    return std::move(program_);
  }

  /// The names of all functions in textual order. Valid after parse().
  [[nodiscard]] const std::vector<std::string>& function_names() const { return function_names_; }

 private:
  // Tokens.

  [[noreturn]] static void fail(SourceLocation where, const std::string& message) { throw ParseError(where, message); }
  [[noreturn]] void fail_expecting(std::string_view expected) const {
    fail(token_.where, fmt::format("expected {}, found {}", expected, to_string(token_)));
  }

  Token advance() { return std::exchange(token_, lexer_.next()); }
  bool accept(std::string_view symbol) {
    if (!token_.is(symbol)) return false;
    advance();
    return true;
  }
  void expect(std::string_view symbol) {
    if (!accept(symbol)) fail_expecting(fmt::format("'{}'", symbol));
  }
  Token expect(TokenKind kind, std::string_view what) {
    if (token_.kind != kind) fail_expecting(what);
    return advance();
  }
  void expect_word(std::string_view word) {
    if (token_.kind != TokenKind::identifier || token_.text != word) fail_expecting(fmt::format("'{}'", word));
    advance();
  }
  Token peek() const { return Lexer(lexer_).next(); }

  /// Parses a possibly empty, comma-separated list between `open` and `close`.
  template <typename ParseOne>
  void parse_list(std::string_view open, std::string_view close, const ParseOne& parse_one) {
    expect(open);
    if (accept(close)) return;
    do parse_one();
    while (accept(","));
    if (!accept(close)) fail_expecting(fmt::format("',' or '{}'", close));
  }

  // Header.

  void parse_header() {
    expect_word("program");
    expect("(");
    const Token number = expect(TokenKind::number, "a version such as 1.3");
    const auto version = version_from_name(number.text);
    if (!version)
      fail(number.where, fmt::format("program version {} is not supported, expected 1.0, 1.3 or 1.5", number.text));
    program_.version = *version;
    expect(")");
    if (!token_.is("[")) return;
    parse_list("[", "]", [&] {
      const Token key = expect(TokenKind::identifier, "an attribute's name");
      expect("=");
      if (key.text == "buildInfo")
        parse_build_info();
      else
        skip_value();
    });
  }

  void parse_build_info() {
    expect_word("dict");
    expect("<");
    parse_string_type();
    expect(",");
    parse_string_type();
    expect(">");
    expect("(");
    parse_list("{", "}", [&] {
      expect("{");
      std::string key = parse_text();
      expect(",");
      program_.build_info.emplace_back(std::move(key), parse_text());
      expect("}");
    });
    expect(")");
  }

  void parse_string_type() {
    const Token at = token_;
    if (parse_type() != TensorType{DType::string, {}}) fail(at.where, "expected string or tensor<string, []>");
  }

  /// A string by itself or with its type.
  std::string parse_text() {
    if (token_.kind == TokenKind::string) return string_of(advance());
    parse_string_type();
    expect("(");
    std::string text = string_of(expect(TokenKind::string, "a string"));
    expect(")");
    return text;
  }

  static std::string string_of(const Token& token) {
    auto text = unescape(token.text);
    if (!text) fail(token.where, R"(this string has an unknown escape; \n, \t, \r, \", \' and \\ are known)");
    return *std::move(text);
  }

  /// Skips the value of an attribute that does not affect what a program computes.
  void skip_value() {
    for (int depth = 0; depth > 0 || !(token_.is(",") || token_.is("]")); advance()) {
      if (token_.kind == TokenKind::end) fail_expecting("']'");
      if (token_.kind != TokenKind::symbol) continue;
      if (std::string_view("([{<").find(token_.text) != std::string_view::npos) ++depth;
      if (std::string_view(")]}>").find(token_.text) != std::string_view::npos) --depth;
      if (depth < 0) fail_expecting("a value");
    }
  }

  // Types.

  TensorType parse_type() {
    const Token head = expect(TokenKind::identifier, "a type");
    if (head.text != "tensor") return {parse_dtype(head), {}};
    expect("<");
    TensorType type{parse_dtype(expect(TokenKind::identifier, "an element type")), {}};
    expect(",");
    const Token at = token_;
    parse_list("[", "]", [&] {
      if (token_.is("?")) fail_flexible();
      const Token dim = expect(TokenKind::number, "a dimension");
      const auto size = parse_integer(dim.text);
      if (!size) fail(dim.where, fmt::format("'{}' is not a dimension", dim.text));
      if (type.shape.size() == kMaxRank) fail(dim.where, fmt::format("a tensor has at most {} dimensions", kMaxRank));
      type.shape.push_back(*size);
    });
    expect(">");
    if (const auto fault = fault_of(type.shape)) fail(at.where, *fault);
    return type;
  }

  /// The name of the value follows its type.
  [[noreturn]] void fail_flexible() {
    const SourceLocation where = token_.where;
    while (token_.kind != TokenKind::end && !token_.is(">")) advance();
    accept(">");
    fail(where, fmt::format("flexible dimension '?': give a fixed shape{}",
                            token_.kind == TokenKind::identifier ? fmt::format(" to '{}'", token_.text) : ""));
  }

  static DType parse_dtype(const Token& token) {
    const auto dtype = dtype_from_name(token.text);
    if (!dtype) fail(token.where, fmt::format("'{}' is not a supported element type", token.text));
    return *dtype;
  }

  // Functions.

  void parse_function() {
    expect_word("func");
    const Token name = expect(TokenKind::identifier, "a function's name");
    if (!known_functions_.insert(name.text).second)
      fail(name.where, fmt::format("function '{}' is defined twice", name.text));
    function_names_.emplace_back(name.text);
    if (only_ && name.text != *only_) return skip_function();
    function_ = &program_.functions.emplace_back();
    function_->name = name.text;
    values_.clear();
    parse_opset();
    parse_list("(", ")", [&] { parse_input(); });
    if (token_.is("["))
      parse_list("[", "]", [&] {
        expect(TokenKind::identifier, "an attribute's name");
        expect("=");
        skip_value();
      });
    expect("{");
    while (!token_.is("}")) parse_operation();
    expect("}");
    parse_outputs();
  }

  /// Skips to the end of the function, after the semicolon that follows its outputs.
  void skip_function() {
    for (int depth = 0; depth > 0 || !token_.is(";"); advance()) {
      if (token_.kind == TokenKind::end) fail_expecting("';'");
      if (token_.is("(") || token_.is("[") || token_.is("{")) ++depth;
      if ((token_.is(")") || token_.is("]") || token_.is("}")) && --depth < 0) fail_expecting("';'");
    }
    advance();
  }

  void parse_opset() {
    expect("<");
    const Token word = expect(TokenKind::identifier, "an operation set such as ios18");
    expect(">");
    const auto opset = opset_from_name(word.text);
    if (!opset)
      fail(word.where, fmt::format("unknown operation set '{}', expected ios13 to ios18 or ios26", word.text));
    if (program_.version == Version::v1_0 && *opset >= kFirstBare)
      fail(
          word.where,
          fmt::format("function '{}' is for {}, but program(1.0) allows ios13 to ios17: the dialects must not be mixed",
                      function_->name, word.text));
    function_->opset = *opset;
  }

  void parse_input() {
    const Token at = token_;
    if (at.kind == TokenKind::identifier && at.text == "state") fail_state();
    TensorType type = parse_type();
    if (type.dtype == DType::string) fail(at.where, "an input cannot be a string");
    function_->inputs.push_back(define(expect(TokenKind::identifier, "an input's name"), std::move(type)));
  }

  /// state<tensor<T, [...]>> name
  [[noreturn]] void fail_state() {
    const SourceLocation where = advance().where;
    expect("<");
    parse_type();
    expect(">");
    const Token name = expect(TokenKind::identifier, "an input's name");
    fail(where, fmt::format("state inputs are not supported: make '{}' an input, and the value written to it an output",
                            name.text));
  }

  void parse_outputs() {
    const Token arrow = token_;
    expect("->");
    parse_list("(", ")",
               [&] { function_->outputs.push_back(find(expect(TokenKind::identifier, "an output's name"))); });
    expect(";");
    at_fault(arrow.where, [&] { check_outputs(*function_); });
  }

  ValueId define(const Token& name, TensorType type) {
    const auto id = static_cast<ValueId>(function_->values.size());
    if (id == kMaxValues) fail(name.where, fmt::format("a function has at most {} values", kMaxValues));
    if (!values_.emplace(name.text, id).second) fail(name.where, fmt::format("'{}' is already defined", name.text));
    function_->values.push_back({std::string(name.text), std::move(type)});
    return id;
  }

  ValueId find(const Token& name) const {
    const auto found = values_.find(name.text);
    if (found == values_.end()) fail(name.where, fmt::format("'{}' is not defined", name.text));
    return found->second;
  }

  /// Runs a check of the type system, which knows operations but no tokens.
  template <typename Check>
  static void at_fault(SourceLocation where, const Check& check) {
    try {
      check();
    } catch (const TypeError& error) {
      fail(where, error.what());
    }
  }

  // Operations.

  void parse_operation() {
    Operation operation;
    operation.where = token_.where;
    std::vector<std::pair<Token, TensorType>> results;
    do {
      TensorType type = parse_type();
      results.emplace_back(expect(TokenKind::identifier, "the result's name"), std::move(type));
    } while (accept(","));
    expect("=");
    operation.kind = parse_kind();
    parse_list("(", ")", [&] { operation.arguments.push_back(parse_argument()); });
    if (token_.is("[")) parse_list("[", "]", [&] { parse_attribute(operation); });
    expect(";");

    for (auto& [name, type] : results) operation.results.push_back(define(name, std::move(type)));
    at_fault(operation.where, [&] { check_operation(*function_, operation); });
    function_->operations.push_back(std::move(operation));
  }

  OpKind parse_kind() {
    const Token name = expect(TokenKind::identifier, "an operation");
    if (const auto kind = op_from_name(name.text)) return *kind;
    std::vector<std::string_view> known;
    for (const OpSpec& spec : op_specs()) known.push_back(spec.name);
    fail(name.where, fmt::format("operation '{}' is not supported; supported: {}", name.text, fmt::join(known, ", ")));
  }

  Argument parse_argument() {
    const Token name = expect(TokenKind::identifier, "an argument's name");
    expect("=");
    return parse_argument(name);
  }

  /// Parses the value of argument `name`.
  Argument parse_argument(const Token& name) {
    Argument argument;
    argument.name = name.text;
    argument.is_tuple = token_.is("(");
    if (argument.is_tuple)
      parse_list("(", ")", [&] { argument.operands.push_back(parse_operand()); });
    else
      argument.operands.push_back(parse_operand());
    return argument;
  }

  void parse_attribute(Operation& operation) {
    const Token at = expect(TokenKind::identifier, "an attribute's name");
    expect("=");
    if (at.text != "name") {
      if (is_data(operation.kind, at.text)) return operation.attributes.push_back(parse_argument(at));
      return skip_value();
    }
    const Argument attribute = parse_argument(at);
    const auto* constant = attribute.is_tuple ? nullptr : std::get_if<Constant>(&attribute.operands.front());
    if (constant == nullptr || constant->type != TensorType{DType::string, {}} ||
        std::holds_alternative<BlobRef>(constant->data))
      fail(at.where, "an operation's name must be written as a string");
    operation.name = std::get<std::vector<std::string>>(constant->data).front();
  }

  /// Whether attribute `name` of an operation is one of its arguments.
  static bool is_data(OpKind kind, std::string_view name) {
    const OpSpec& spec = op_spec(kind);
    return spec.in_brackets && std::any_of(spec.parameters.begin(), spec.parameters.end(),
                                           [&](const Parameter& parameter) { return parameter.name == name; });
  }

  /// Parses a value's name, or a constant: TYPE(...), or a bare true or false. Values may have the names of types and
  /// constants, so the next token and the defined names decide.
  Operand parse_operand() {
    if (token_.kind != TokenKind::identifier) fail_expecting("a value's name or a constant such as int32(1)");
    const Token after = peek();
    if (after.is("(") || after.is("<")) return parse_constant();
    if ((token_.text == "true" || token_.text == "false") && !values_.contains(token_.text))
      return Constant{{DType::boolean, {}}, std::vector<std::int64_t>{parse_bool_element()}};
    return find(advance());
  }

  // Constants.

  Constant parse_constant() {
    Constant constant;
    constant.type = parse_type();
    expect("(");
    if (token_.kind == TokenKind::identifier && token_.text == "BLOBFILE")
      constant.data = parse_blob();
    else
      constant.data = parse_elements(constant.type);
    expect(")");
    return constant;
  }

  BlobRef parse_blob() {
    BlobRef blob;
    bool has_offset = false;
    const Token at = advance();
    parse_list("(", ")", [&] {
      const Token key = expect(TokenKind::identifier, "'path' or 'offset'");
      expect("=");
      if (key.text == "path") {
        blob.path = parse_text();
      } else if (key.text == "offset") {
        blob.offset = parse_offset();
        has_offset = true;
      } else {
        fail(key.where, fmt::format("BLOBFILE takes path and offset, found '{}'", key.text));
      }
    });
    if (blob.path.empty() || !has_offset) fail(at.where, "BLOBFILE needs a path and an offset");
    return blob;
  }

  std::uint64_t parse_offset() {
    const Token at = token_;
    const TensorType type = parse_type();
    if (!type.is_scalar() || type.dtype != DType::uint64) fail(at.where, "the offset must be uint64(...)");
    expect("(");
    const auto elements = std::get<std::vector<std::int64_t>>(parse_elements(type));
    expect(")");
    return static_cast<std::uint64_t>(elements.front());
  }

  ConstantData parse_elements(const TensorType& type) {
    if (is_float(type.dtype)) return gather<float>(type, [&] { return parse_float_element(type.dtype); });
    if (type.dtype == DType::string)
      return gather<std::string>(type, [&] { return string_of(expect(TokenKind::string, "a string")); });
    if (type.dtype == DType::boolean) return gather<std::int64_t>(type, [&] { return parse_bool_element(); });
    return gather<std::int64_t>(type, [&] { return parse_integer_element(type.dtype); });
  }

  template <typename T, typename ParseOne>
  std::vector<T> gather(const TensorType& type, const ParseOne& parse_one) {
    std::vector<T> elements;
    if (type.is_scalar())
      elements.push_back(parse_one());
    else
      gather_list(type, 0, elements, parse_one);
    return elements;
  }

  /// Parses a flat list of all elements, or nested lists according to the shape. `depth` is below the rank, which is
  /// bounded.
  template <typename T, typename ParseOne>
  void gather_list(const TensorType& type, std::size_t depth, std::vector<T>& elements, const ParseOne& parse_one) {
    const Token at = token_;
    const bool nested = depth + 1 < type.shape.size() && peek().is("[");
    const bool flat = depth == 0 && !nested;
    const std::int64_t expected = flat ? element_count(type.shape) : type.shape[depth];
    if (!flat && !nested && depth + 1 < type.shape.size())
      fail(at.where, fmt::format("lists are nested {} deep, but the constant is {}", depth + 1, to_string(type)));
    std::int64_t found = 0;
    parse_list("[", "]", [&] {
      if (++found > expected)
        fail(token_.where, fmt::format("more than {} elements for a constant of type {}", expected, to_string(type)));
      if (nested)
        gather_list(type, depth + 1, elements, parse_one);
      else
        elements.push_back(parse_one());
    });
    if (found < expected)
      fail(at.where, fmt::format("{} elements are needed here for a constant of type {}, found {}", expected,
                                 to_string(type), found));
  }

  float parse_float_element(DType dtype) {
    if (token_.kind != TokenKind::number && token_.kind != TokenKind::identifier) fail_expecting("a number");
    const Token token = advance();
    const auto value = parse_float(std::string(token.text));
    if (!value) fail(token.where, fmt::format("'{}' is not a {} number", token.text, name(dtype)));
    if (dtype == DType::fp32) return *value;
    const float rounded = math::to_float(math::to_half(*value));
    if (std::isinf(rounded) && !std::isinf(*value))
      fail(token.where, fmt::format("{} does not fit fp16, whose largest number is 65504", token.text));
    return rounded;
  }

  std::int64_t parse_integer_element(DType dtype) {
    const Token token = expect(TokenKind::number, "an integer");
    const auto value = parse_integer(token.text);
    const IntegerRange range = range_of(dtype);
    if (!value || *value < range.low || *value > range.high)
      fail(token.where,
           fmt::format("'{}' is not a {} number, expected {} to {}", token.text, name(dtype), range.low, range.high));
    return *value;
  }

  std::int64_t parse_bool_element() {
    if (token_.kind == TokenKind::identifier && (token_.text == "true" || token_.text == "false"))
      return advance().text == "true" ? 1 : 0;
    fail_expecting("true or false");
  }

  Lexer lexer_;
  Token token_;  ///< the next token
  std::optional<std::string_view> only_;
  std::unordered_set<std::string_view> known_functions_;
  std::vector<std::string> function_names_;
  Program program_;
  Function* function_ = nullptr;
  std::unordered_map<std::string_view, ValueId> values_;
};

}  // namespace

ParseError::ParseError(SourceLocation where, const std::string& message)
    : Error(fmt::format("line {}, column {}: {}", where.line, where.column, message)), where_(where) {}

Program parse(std::string_view text) { return Parser(text).parse(); }

Program parse_function(std::string_view text, std::string_view name) { return Parser(text, name).parse(); }

std::vector<std::string> function_names(std::string_view text) {
  Parser parser(text, "");  // no function has an empty name
  static_cast<void>(parser.parse());
  return parser.function_names();
}

}  // namespace ane::mil
