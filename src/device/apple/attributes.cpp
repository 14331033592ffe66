#include "attributes.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <string_view>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ane::device::apple {

using objc::Id;

std::vector<std::size_t> binding_order(std::span<const Port> ports) {
  std::vector<std::size_t> order(ports.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return ports[a].name < ports[b].name; });
  return order;
}

namespace {

/// One side of a program: its inputs or its outputs.
struct Side {
  std::string word;
  std::string symbols_key;
  std::string live_key;
  std::span<const Port> ports;
};

/// Output symbols are written "name@output".
std::string without_suffix(std::string symbol) {
  const std::size_t at = symbol.rfind("@output");
  if (at != std::string::npos) symbol.resize(at);
  return symbol;
}

std::vector<std::string> sorted_names(std::span<const Port> ports) {
  std::vector<std::string> names;
  for (const std::size_t port : binding_order(ports)) names.push_back(ports[port].name);
  return names;
}

class Comparison {
 public:
  Comparison(const Foundation& foundation, Id attributes) : foundation_(&foundation), attributes_(attributes) {}

  void compare(const Side& side) {
    compare_symbols(side);
    const auto networks = foundation_->items(foundation_->find(attributes_, "NetworkStatusList"));
    if (!networks || networks->empty()) return;
    const auto entries = foundation_->items(foundation_->find(networks->front(), side.live_key));
    if (!entries) return;
    for (const Id entry : *entries) compare_layout(side, entry);
  }

  [[nodiscard]] std::vector<std::string> found() && { return std::move(found_); }

 private:
  void compare_symbols(const Side& side) {
    const Id description = foundation_->find(attributes_, "ANEFModelDescription");
    const auto symbols = foundation_->items(foundation_->find(description, side.symbols_key));
    if (!symbols) return;
    std::vector<std::string> names;
    for (const Id symbol : *symbols) names.push_back(without_suffix(foundation_->text(symbol).value_or("")));
    const std::vector<std::string> expected = sorted_names(side.ports);
    if (names == expected) return;
    found_.push_back(fmt::format("{}s: expected [{}] in this order, the program has [{}]", side.word,
                                 fmt::join(expected, ", "), fmt::join(names, ", ")));
  }

  void compare_layout(const Side& side, Id entry) {
    const std::string name = without_suffix(foundation_->text(foundation_->find(entry, "Name")).value_or(""));
    const auto port = std::find_if(side.ports.begin(), side.ports.end(), [&](const Port& p) { return p.name == name; });
    if (port == side.ports.end()) {
      found_.push_back(fmt::format("{} '{}': unknown name", side.word, name));
      return;
    }
    const std::string where = fmt::format("{} '{}' ({})", side.word, name, to_string(port->type));
    const auto batches = number(entry, "Batches");
    const auto stride = number(entry, "BatchStride");
    if (batches && stride && *batches * *stride != port->size_bytes) {
      found_.push_back(
          fmt::format("{}: expected {} bytes, the program uses {}", where, port->size_bytes, *batches * *stride));
    }
    const mil::SurfaceLayout layout = mil::surface_layout(port->type);
    const auto expect = [&](const char* key, std::string_view what, std::uint64_t expected, std::string_view unit) {
      const auto found = number(entry, key);
      if (!found || *found == expected) return;
      found_.push_back(fmt::format("{}: expected {} {}{}, the program has {}", where, what, expected, unit, *found));
    };
    expect("RowStride", "rows", layout.row_bytes, " bytes apart");
    // The division of tensors of other ranks into planes is unknown.
    if (const mil::Shape& shape = port->type.shape; shape.size() == 4)
      expect("PlaneStride", "planes", layout.row_bytes * static_cast<std::uint64_t>(shape[2]), " bytes apart");
    expect("Interleave", "interleave", 1, "");
    const auto type = foundation_->text(foundation_->find(entry, "Type"));
    const std::string_view expected = type_name(port->type.dtype);
    if (type && !expected.empty() && *type != expected) {
      found_.push_back(fmt::format("{}: expected elements of type {}, the program has {}", where, expected, *type));
    }
  }

  [[nodiscard]] std::optional<std::uint64_t> number(Id entry, const char* key) const {
    return foundation_->integer(foundation_->find(entry, key));
  }

  /// The framework's spelling, if known.
  static std::string_view type_name(mil::DType dtype) {
    if (dtype == mil::DType::fp16) return "Float16";
    if (dtype == mil::DType::fp32) return "Float32";
    return "";
  }

  const Foundation* foundation_;
  Id attributes_;
  std::vector<std::string> found_;
};

}  // namespace

std::vector<std::string> differences(const Foundation& foundation, Id attributes, std::span<const Port> inputs,
                                     std::span<const Port> outputs) {
  Comparison comparison(foundation, attributes);
  comparison.compare({"input", "kANEFModelInputSymbolsArrayKey", "LiveInputList", inputs});
  comparison.compare({"output", "kANEFModelOutputSymbolsArrayKey", "LiveOutputList", outputs});
  return std::move(comparison).found();
}

}  // namespace ane::device::apple
