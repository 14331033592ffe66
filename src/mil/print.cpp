#include <string>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "ane/mil/text.h"

#include "literals.h"

namespace ane::mil {
namespace {

/// Appends "{0}{1}..." with ", " in between.
template <typename Range, typename Print>
void print_list(std::string& out, const Range& range, const Print& print_one) {
  bool first = true;
  for (const auto& element : range) {
    if (!first) out += ", ";
    first = false;
    print_one(element);
  }
}

class Printer {
 public:
  explicit Printer(const Program& program) : program_(&program) {}

  std::string print() {
    out_ += fmt::format("program({})\n", name(program_->version));
    print_build_info();
    out_ += "{\n";
    for (const Function& function : program_->functions) {
      function_ = &function;
      print_function();
    }
    out_ += "}\n";
    return std::move(out_);
  }

 private:
  void print_build_info() {
    if (program_->build_info.empty()) return;
    const std::string text = type_name({DType::string, {}});
    out_ += fmt::format("[buildInfo = dict<{}, {}>({{", text, text);
    print_list(out_, program_->build_info,
               [&](const auto& entry) { out_ += fmt::format("{{{}, {}}}", quote(entry.first), quote(entry.second)); });
    out_ += "})]\n";
  }

  void print_function() {
    out_ += fmt::format("    func {}<{}>(", function_->name, name(function_->opset));
    print_values(function_->inputs);
    out_ += ") {\n";
    for (const Operation& operation : function_->operations) print_operation(operation);
    out_ += "    } -> (";
    print_list(out_, function_->outputs, [&](ValueId id) { out_ += function_->value(id).name; });
    out_ += ");\n";
  }

  void print_operation(const Operation& operation) {
    out_ += "        ";
    print_values(operation.results);
    out_ += fmt::format(" = {}(", name(operation.kind));
    print_list(out_, operation.arguments, [&](const Argument& argument) { print_argument(argument); });
    out_ += ')';
    if (!operation.name.empty() || !operation.attributes.empty()) print_attributes(operation);
    out_ += ";\n";
  }

  void print_attributes(const Operation& operation) {
    out_ += '[';
    if (!operation.name.empty()) {
      out_ += fmt::format("name = {}({})", type_name({DType::string, {}}), quote(operation.name));
      if (!operation.attributes.empty()) out_ += ", ";
    }
    print_list(out_, operation.attributes, [&](const Argument& attribute) { print_argument(attribute); });
    out_ += ']';
  }

  void print_values(const std::vector<ValueId>& ids) {
    print_list(out_, ids, [&](ValueId id) {
      const Value& value = function_->value(id);
      out_ += fmt::format("{} {}", type_name(value.type), value.name);
    });
  }

  void print_argument(const Argument& argument) {
    out_ += argument.name;
    out_ += " = ";
    if (argument.is_tuple) out_ += '(';
    print_list(out_, argument.operands, [&](const Operand& operand) { print_operand(operand); });
    if (argument.is_tuple) out_ += ')';
  }

  void print_operand(const Operand& operand) {
    if (const auto* id = std::get_if<ValueId>(&operand))
      out_ += function_->value(*id).name;
    else
      print_constant(std::get<Constant>(operand));
  }

  void print_constant(const Constant& constant) {
    out_ += type_name(constant.type);
    out_ += '(';
    if (const auto* blob = std::get_if<BlobRef>(&constant.data)) {
      out_ += fmt::format("BLOBFILE(path = {}({}), offset = {}({}))", type_name({DType::string, {}}), quote(blob->path),
                          type_name({DType::uint64, {}}), blob->offset);
    } else if (const auto* floats = std::get_if<std::vector<float>>(&constant.data)) {
      print_elements(constant.type.shape, *floats, [](float value) { return format_float(value); });
    } else if (const auto* integers = std::get_if<std::vector<std::int64_t>>(&constant.data)) {
      const bool boolean = constant.type.dtype == DType::boolean;
      print_elements(constant.type.shape, *integers, [boolean](std::int64_t value) {
        if (boolean) return std::string(value != 0 ? "true" : "false");
        return fmt::format("{}", value);
      });
    } else {
      print_elements(constant.type.shape, std::get<std::vector<std::string>>(constant.data),
                     [](const std::string& value) { return quote(value); });
    }
    out_ += ')';
  }

  /// Prints nested lists, like Apple's compiler; a scalar is printed bare.
  template <typename T, typename Format>
  void print_elements(const Shape& shape, const std::vector<T>& elements, const Format& format) {
    std::size_t next = 0;
    print_nested(shape, 0, elements, next, format);
  }

  template <typename T, typename Format>
  void print_nested(const Shape& shape, std::size_t depth, const std::vector<T>& elements, std::size_t& next,
                    const Format& format) {
    if (depth == shape.size()) {
      out_ += format(elements[next++]);
      return;
    }
    out_ += '[';
    for (std::int64_t i = 0; i < shape[depth]; ++i) {
      if (i > 0) out_ += ", ";
      print_nested(shape, depth + 1, elements, next, format);
    }
    out_ += ']';
  }

  std::string type_name(const TensorType& type) const {
    if (type.is_scalar() && program_->version != Version::v1_0) return std::string(name(type.dtype));
    return fmt::format("tensor<{}, {}>", name(type.dtype), to_string(type.shape));
  }

  const Program* program_;
  const Function* function_ = nullptr;
  std::string out_;
};

}  // namespace

std::string print(const Program& program) { return Printer(program).print(); }

}  // namespace ane::mil
