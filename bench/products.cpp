#include "products.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "ane/core/error.h"
#include "ane/mil/geometry.h"
#include "ane/mil/op_view.h"
#include "ane/model/adapter.h"
#include "ane/model/frozen_parameters.h"

namespace ane::bench {
namespace {

using math::Transpose;
using mil::OpKind;
using mil::OpView;

constexpr const char* kEmbedding = "model.embed_tokens.weight";
constexpr const char* kOwnClassifier = "lm_head.weight";

std::size_t size(std::int64_t value) { return static_cast<std::size_t>(value); }

Transpose transposed(bool yes) { return yes ? Transpose::yes : Transpose::no; }

std::string weight_name(const OpView& op, const std::string& prefix) {
  const mil::Constant* const weight = mil::constant_of(op.function(), op.operand("weight"));
  const auto* const blob = weight == nullptr ? nullptr : std::get_if<mil::BlobRef>(&weight->data);
  return blob == nullptr ? std::string() : prefix + blob->path;
}

Product convolution(const OpView& op, const std::string& prefix) {
  const mil::ConvGeometry geometry = mil::conv_geometry(op);
  Product product{.name = op.operation().name};
  product.m = size(geometry.out_channels / geometry.groups);
  product.n = 1;
  product.k = size(geometry.in_channels / geometry.groups);
  product.batches = size(geometry.batch * geometry.groups);
  for (const mil::ConvDimension& dimension : geometry.dimensions) {
    product.n *= size(dimension.out);
    product.k *= size(dimension.kernel);
  }
  product.a_memory = weight_name(op, prefix);
  return product;
}

Product linear(const OpView& op, const std::string& prefix) {
  const mil::Shape& weight = op.type("weight").shape;
  Product product{.name = op.operation().name};
  product.n = size(weight.at(0));
  product.k = size(weight.at(1));
  product.m = size(mil::element_count(op.type("x").shape)) / product.k;
  product.b = Transpose::yes;
  product.b_memory = weight_name(op, prefix);
  return product;
}

bool has_constant(const OpView& op) {
  return mil::constant_of(op.function(), op.operand("x")) != nullptr ||
         mil::constant_of(op.function(), op.operand("y")) != nullptr;
}

Product matmul(const OpView& op) {
  const mil::Shape& x = op.type("x").shape;
  const mil::Shape& y = op.type("y").shape;
  const mil::Shape& result = op.result_type().shape;
  if (x.size() < 2 || y.size() < 2)
    throw Error(fmt::format("the matmul '{}' of a vector is not supported here", op.operation().name));
  const bool turn_x = op.flag("transpose_x", false);
  Product product{.name = op.operation().name};
  product.m = size(result[result.size() - 2]);
  product.n = size(result[result.size() - 1]);
  product.k = size(turn_x ? x[x.size() - 2] : x[x.size() - 1]);
  product.a = transposed(turn_x);
  product.b = transposed(op.flag("transpose_y", false));
  product.batches = size(mil::element_count(result)) / (product.m * product.n);
  product.shared_b = size(mil::element_count(y)) == product.k * product.n;
  product.avoidable = has_constant(op);
  return product;
}

std::string text_of(const Product& product) {
  return fmt::format("{} [{}, {}] x [{}, {}]{}{}", product.name, product.m, product.k, product.k, product.n,
                     product.a == Transpose::yes ? ", A transposed" : "",
                     product.b == Transpose::yes ? ", B transposed" : "");
}

Product gradient_of(const model::Parameter& parameter, std::size_t seq_len) {
  return {.name = parameter.name + " dW",
          .m = size(parameter.shape[0]),
          .n = size(parameter.shape[1]),
          .k = seq_len,
          .b = Transpose::yes,
          .accumulate = true,
          .c_memory = "gradient of " + parameter.name};
}

/// A frozen classifier is multiplied in pieces, as it is read.
void add_classifier(const model::Parameter& weight, bool is_trained, std::size_t seq_len,
                    std::vector<Product>& products) {
  const std::size_t vocab = size(weight.shape[0]);
  const std::size_t dim = size(weight.shape[1]);
  const std::size_t most = is_trained ? vocab : model::kFrozenRows;
  for (std::size_t first = 0; first < vocab; first += most) {
    const std::size_t rows = std::min(most, vocab - first);
    const std::string name = fmt::format("{} from row {}", weight.name, first);
    products.push_back(
        {.name = name, .m = seq_len, .n = rows, .k = dim, .a = Transpose::yes, .b = Transpose::yes, .b_memory = name});
    products.push_back(
        {.name = name + " dx", .m = seq_len, .n = dim, .k = rows, .accumulate = first > 0, .b_memory = name});
  }
  if (!is_trained) return;
  Product gradient = gradient_of(weight, seq_len);
  gradient.a = Transpose::yes;
  products.push_back(std::move(gradient));
}

/// A x, B^T dy, and the gradients of both factors.
void add_adapter(const model::Parameter& a, const model::Parameter& b, std::size_t seq_len,
                 std::vector<Product>& products) {
  const std::size_t rank = size(a.shape[0]);
  products.push_back({.name = a.name + " x", .m = rank, .n = seq_len, .k = size(a.shape[1])});
  products.push_back({.name = b.name + " dy", .m = rank, .n = seq_len, .k = size(b.shape[0]), .a = Transpose::yes});
  products.push_back(gradient_of(b, seq_len));
  products.push_back(gradient_of(a, seq_len));
}

/// Calls with equal arguments.
struct Way {
  Product product;
  std::size_t calls = 0;

  [[nodiscard]] bool is(const Product& call) const {
    return product.m == call.m && product.n == call.n && product.k == call.k && product.a == call.a &&
           product.b == call.b && product.accumulate == call.accumulate;
  }
  /// Whether this computes `other`, possibly as C^T = B^T A^T.
  [[nodiscard]] bool makes(const Product& other) const {
    const bool straight = product.m == other.m && product.n == other.n;
    const bool turned = product.m == other.n && product.n == other.m;
    return (straight || turned) && product.k == other.k && product.accumulate == other.accumulate;
  }
};

std::vector<Way> ways_of(const std::vector<Product>& calls) {
  std::vector<Way> ways;
  for (const Product& call : calls) {
    auto known = std::ranges::find_if(ways, [&](const Way& way) { return way.is(call); });
    if (known == ways.end()) known = ways.insert(known, {call});
    known->calls += call.batches;
  }
  return ways;
}

/// The host device divides the rows of some products into parts, one for each group of heads. Returns `product` divided
/// like that, or unchanged if none of `ways` has enough calls.
Product in_parts(Product product, const std::vector<Way>& ways) {
  for (const auto& [way, calls] : ways) {
    const bool fits = product.batches == 1 && way.n == product.n && way.k == product.k &&
                      way.accumulate == product.accumulate && product.m % way.m == 0;
    const std::size_t parts = product.m / way.m;
    if (!fits || parts < 2 || calls < parts) continue;
    product.batches = parts;
    product.m = way.m;
    product.shared_b = true;
    return product;
  }
  return product;
}

/// Rearranges `product` accordingly.
void turn(Product& product, const Way& way) {
  if (product.m != way.product.m) {
    std::swap(product.m, product.n);
    std::swap(product.a_memory, product.b_memory);
  }
  product.a = way.product.a;
  product.b = way.product.b;
}

}  // namespace

double Product::flops() const noexcept {
  return 2.0 * static_cast<double>(batches) * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
}

std::vector<Product> products_of(const mil::Program& program, const std::string& prefix) {
  std::vector<Product> products;
  const mil::Function& function = program.main();
  for (const mil::Operation& operation : function.operations) {
    const OpView op(function, operation);
    if (op.kind() == OpKind::conv) products.push_back(convolution(op, prefix));
    if (op.kind() == OpKind::linear) products.push_back(linear(op, prefix));
    if (op.kind() == OpKind::matmul) products.push_back(matmul(op));
  }
  return products;
}

CpuProducts cpu_products(const model::ParameterLayout& all, const model::ParameterLayout& trained,
                         std::size_t seq_len) {
  CpuProducts result;
  const model::Parameter* const own = all.find(kOwnClassifier);
  const model::Parameter& classifier = own != nullptr ? *own : *all.find(kEmbedding);
  const bool is_trained = trained.find(classifier.name) != nullptr;
  add_classifier(classifier, is_trained, seq_len, result.classifier);
  for (const model::Parameter& parameter : trained.parameters()) {
    if (parameter.shape.size() != 2 || parameter.role == model::Role::embedding) continue;
    if (parameter.name.ends_with(model::kLoraA)) {
      const std::string module = parameter.name.substr(0, parameter.name.rfind(model::kLoraA));
      add_adapter(parameter, *trained.find(module + model::kLoraB), seq_len, result.weight_gradients);
    } else if (parameter.role == model::Role::matrix) {
      result.weight_gradients.push_back(gradient_of(parameter, seq_len));
    }
  }
  return result;
}

std::vector<Product> as_called(std::vector<Product> products, const std::vector<Product>& calls) {
  std::vector<Way> ways = ways_of(calls);
  const auto claim = [&](Product& product) {
    const auto way = std::ranges::find_if(
        ways, [&](const Way& each) { return each.makes(product) && each.calls >= product.batches; });
    if (way == ways.end()) return false;
    turn(product, *way);
    way->calls -= product.batches;
    return true;
  };
  std::vector<Product*> others;
  for (Product& product : products)  // required products claim their calls first
    if (!product.avoidable && !claim(product)) others.push_back(&product);
  for (Product* product : others) {
    *product = in_parts(std::move(*product), ways);
    if (!claim(*product)) throw Error(fmt::format("a step does not compute the bound's product {}", text_of(*product)));
  }
  for (Product& product : products)
    if (product.avoidable) static_cast<void>(claim(product));
  for (const Way& way : ways)
    if (way.calls > 0)
      throw Error(fmt::format("a step computes {} products that the bound lacks: {}", way.calls, text_of(way.product)));
  return products;
}

}  // namespace ane::bench
