#include "ane/model/safetensors.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cmath>
#include <cstdint>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "ane/core/checked.h"
#include "ane/core/error.h"
#include "ane/core/json_fault.h"
#include "ane/core/memory_reserve.h"
#include "ane/math/half.h"

namespace ane::model {

namespace {

static_assert(std::endian::native == std::endian::little, "tensors are read and written in native byte order");

using nlohmann::json;

constexpr std::size_t kLengthBytes = 8;
constexpr std::uint64_t kMaxHeaderBytes = std::uint64_t{16} << 20U;  // a thousand layers need 1 MiB
constexpr int kMaxHeaderDepth = 4;                                   // {tensor: {shape: [n]}} plus one
constexpr std::string_view kMetadataKey = "__metadata__";

/// Throws FileError with the file's name prefixed.
class Fault {
 public:
  explicit Fault(const std::filesystem::path& path) : path_(path.string()) {}
  template <class... Arguments>
  [[noreturn]] void operator()(fmt::format_string<Arguments...> format, Arguments&&... arguments) const {
    throw FileError(fmt::format("{}: {}", path_, fmt::format(format, std::forward<Arguments>(arguments)...)));
  }

 private:
  std::string path_;
};

std::size_t dtype_bytes(std::string_view dtype) {
  if (dtype == "F32") return 4;
  return dtype == "F16" || dtype == "BF16" ? 2 : 0;
}

/// Parses the header. Rejects repeated names, which a DOM would hide, and deep nesting.
json parse_header(std::span<const std::byte> text, const Fault& fault) {
  ensure_memory_reserve();  // for JSON's destructors
  std::set<std::string> names;
  const auto guard = [&](int depth, json::parse_event_t event, json& parsed) {
    if (depth > kMaxHeaderDepth) fault("its header is nested more than {} deep", kMaxHeaderDepth);
    if (event == json::parse_event_t::key && depth == 1 && !names.insert(parsed.get<std::string>()).second)
      fault("its header names '{}' twice", parsed.get<std::string>());
    return true;
  };
  const auto* begin = reinterpret_cast<const char*>(text.data());
  try {
    json header = json::parse(begin, begin + text.size(), guard);
    if (!header.is_object()) fault("its header is JSON, but not an object");
    return header;
  } catch (const json::exception& error) {
    fault("its header is not JSON: {}", json_fault(error.what()));
  }
}

Metadata parse_metadata(const json& object, const Fault& fault) {
  if (!object.is_object()) fault("{} is not an object", kMetadataKey);
  Metadata metadata;
  for (const auto& [key, value] : object.items()) {
    if (!value.is_string()) fault("{}: the value of '{}' is not a string", kMetadataKey, key);
    metadata.emplace(key, value.get<std::string>());
  }
  return metadata;
}

std::vector<std::uint64_t> unsigned_list(const json& object, const char* key, const std::string& name,
                                         const Fault& fault) {
  const auto found = object.find(key);
  constexpr std::size_t kMostDimensions = 8;
  if (found != object.end() && found->is_array() && found->size() > kMostDimensions)
    fault("tensor '{}': {} has {} numbers, but at most {} are accepted", name, key, found->size(), kMostDimensions);
  const bool is_list =
      found != object.end() && found->is_array() &&
      std::all_of(found->begin(), found->end(), [](const json& item) { return item.is_number_unsigned(); });
  if (!is_list) fault("tensor '{}': {} is missing or not a list of non-negative integers", name, key);
  return found->get<std::vector<std::uint64_t>>();
}

/// Size of the shape in bytes, or nullopt on overflow.
std::optional<std::uint64_t> size_of(const std::vector<std::uint64_t>& shape, std::uint64_t element_bytes) {
  std::optional<std::uint64_t> size = element_bytes;
  for (const std::uint64_t extent : shape) {
    if (extent > INT64_MAX) return std::nullopt;
    size = checked_mul(*size, extent);
    if (!size) return std::nullopt;
  }
  return size;
}

/// The part of the file that follows the header.
struct DataPart {
  std::uint64_t offset = 0;
  std::uint64_t size_bytes = 0;
};

SafetensorsFile::Tensor parse_tensor(const std::string& name, const json& entry, const DataPart& data,
                                     const Fault& fault) {
  if (!entry.is_object()) fault("tensor '{}': its entry is not an object", name);
  const auto dtype = entry.find("dtype");
  if (dtype == entry.end() || !dtype->is_string()) fault("tensor '{}': dtype is missing or not a string", name);
  const auto dtype_name = dtype->get<std::string>();
  const std::size_t element_bytes = dtype_bytes(dtype_name);
  if (element_bytes == 0) fault("tensor '{}' has dtype {}, but F32, F16 and BF16 can be read", name, dtype_name);

  const auto shape = unsigned_list(entry, "shape", name, fault);
  const auto offsets = unsigned_list(entry, "data_offsets", name, fault);
  if (offsets.size() != 2) fault("tensor '{}': data_offsets has {} numbers, expected 2", name, offsets.size());
  const std::uint64_t begin = offsets[0];
  const std::uint64_t end = offsets[1];
  if (begin > end || end > data.size_bytes)
    fault("tensor '{}' lies at bytes {} to {} of the data, but there are {}; is the file truncated?", name, begin, end,
          data.size_bytes);
  const auto size = size_of(shape, element_bytes);
  if (!size || *size != end - begin)
    fault("tensor '{}' spans {} bytes, but shape [{}] in {} needs {}", name, end - begin, fmt::join(shape, ", "),
          dtype_name, size ? std::to_string(*size) : "more than 2^64");

  return {dtype_name, mil::Shape(shape.begin(), shape.end()), data.offset + begin, end - begin};
}

/// The tensors must cover the data, each byte once.
void check_coverage(const std::map<std::string, SafetensorsFile::Tensor, std::less<>>& tensors, const DataPart& data,
                    const Fault& fault) {
  std::vector<std::pair<std::uint64_t, const std::string*>> order;  // by offset
  for (const auto& [name, tensor] : tensors)
    if (tensor.size_bytes != 0) order.emplace_back(tensor.offset - data.offset, &name);
  std::sort(order.begin(), order.end());

  std::uint64_t covered = 0;
  for (const auto& [begin, name] : order) {
    if (begin < covered) fault("tensor '{}' begins at byte {}, inside the one before it", *name, begin);
    if (begin > covered) fault("{} bytes before tensor '{}' belong to no tensor", begin - covered, *name);
    covered = begin + tensors.find(*name)->second.size_bytes;
  }
  if (covered != data.size_bytes) fault("{} bytes after the last tensor belong to none", data.size_bytes - covered);
}

/// Reads elements of `tensor` from `first` on, and returns the largest magnitude.
float read_elements(const RegularFile& file, const SafetensorsFile::Tensor& tensor, std::size_t first,
                    std::span<float> values) {
  const std::uint64_t offset = tensor.offset + first * dtype_bytes(tensor.dtype);
  if (tensor.dtype == "F32") {
    file.read(offset, std::as_writable_bytes(values));
    return math::max_magnitude(std::span<const float>(values));
  }
  std::array<std::uint16_t, 16384> block;  // NOLINT(cppcoreguidelines-pro-type-member-init): read() fills it
  float largest = 0;
  for (std::size_t done = 0; done < values.size();) {
    const std::size_t count = std::min(block.size(), values.size() - done);
    const std::span<std::uint16_t> from = std::span(block).first(count);
    file.read(offset + 2 * done, std::as_writable_bytes(from));
    const std::span<float> to = values.subspan(done, count);
    const std::span<const std::uint16_t> read = from;
    const float magnitude = tensor.dtype == "F16" ? math::transfer(read, to) : math::transfer_bfloat(read, to);
    if (!(magnitude <= largest)) largest = magnitude;
    if (!std::isfinite(largest)) return largest;
    done += count;
  }
  return largest;
}

std::uint16_t bfloat_of(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return static_cast<std::uint16_t>((bits + 0x7FFFU + ((bits >> 16U) & 1U)) >> 16U);
}

[[noreturn]] void refuse_value(const TensorEntry& tensor, float magnitude) {
  if (!std::isfinite(magnitude))
    throw FileError(fmt::format("tensor '{}' contains a non-finite value and is not written", tensor.name));
  throw FileError(
      fmt::format("tensor '{}' contains a value of magnitude {}, too large for {}; write it in another dtype",
                  tensor.name, magnitude, tensor.dtype));
}

/// Writes finite values in 16 bits.
void write_halves(TemporaryFile& file, const TensorEntry& tensor, std::span<const float> values) {
  std::vector<std::uint16_t> converted(values.size());
  bool fits = true;
  if (tensor.dtype == "F16") {
    math::to_half(values, converted);
    fits = std::isfinite(math::max_magnitude(std::span<const math::Half>(converted)));
  } else {
    std::ranges::transform(values, converted.begin(), bfloat_of);
    fits = std::ranges::all_of(converted, [](std::uint16_t bits) { return (bits & 0x7F80U) != 0x7F80U; });
  }
  if (!fits) refuse_value(tensor, math::max_magnitude(values));
  file.write(std::as_bytes(std::span(converted)));
}

std::string header_text(std::span<const TensorEntry> tensors, const Metadata& metadata) {
  ensure_memory_reserve();  // for JSON's destructors
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header[std::string(kMetadataKey)] = metadata;
  std::set<std::string_view> names = {kMetadataKey};
  std::size_t offset = 0;
  for (const TensorEntry& tensor : tensors) {
    if (!names.insert(tensor.name).second) throw Error(fmt::format("two tensors are named '{}'", tensor.name));
    const std::size_t end =
        offset + static_cast<std::size_t>(mil::element_count(tensor.shape)) * dtype_bytes(tensor.dtype);
    header[tensor.name] = {{"dtype", tensor.dtype}, {"shape", tensor.shape}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  text.resize(round_up(text.size(), kLengthBytes), ' ');  // aligns the data
  return text;
}

}  // namespace

void write_safetensors(const std::filesystem::path& path, std::span<const NamedTensor> tensors,
                       const Metadata& metadata) {
  TemporaryFile file(path);
  write_safetensors(file, tensors, metadata);
  file.commit();
  sync_directory(path.parent_path());
}

void write_safetensors(TemporaryFile& file, std::span<const NamedTensor> tensors, const Metadata& metadata) {
  std::vector<TensorEntry> entries;
  entries.reserve(tensors.size());
  for (const NamedTensor& tensor : tensors) entries.push_back({tensor.name, tensor.shape});
  SafetensorsWriter writer(file, std::move(entries), metadata);
  for (const NamedTensor& tensor : tensors) writer.add(tensor.values);
}

SafetensorsWriter::SafetensorsWriter(TemporaryFile& file, std::vector<TensorEntry> tensors, const Metadata& metadata)
    : file_(&file), tensors_(std::move(tensors)) {
  const std::string header = header_text(tensors_, metadata);
  const std::uint64_t length = header.size();
  file_->write(std::as_bytes(std::span(&length, 1)));
  file_->write(std::as_bytes(std::span(header)));
}

// Writes in pieces, each checked and written while it is in cache.
void SafetensorsWriter::add(std::span<const float> values) {
  constexpr std::size_t kPiece = std::size_t{1} << 18U;  // a megabyte
  const TensorEntry& tensor = tensors_.at(written_++);
  assert(std::cmp_equal(values.size(), mil::element_count(tensor.shape)));
  for (std::span<const float> rest = values; !rest.empty();) {
    const std::span<const float> piece = rest.first(std::min(rest.size(), kPiece));
    if (const float magnitude = math::max_magnitude(piece); !std::isfinite(magnitude)) refuse_value(tensor, magnitude);
    if (tensor.dtype == "F32") {
      file_->write(std::as_bytes(piece));
    } else {
      write_halves(*file_, tensor, piece);
    }
    rest = rest.subspan(piece.size());
  }
}

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path)
    : SafetensorsFile(RegularFile(path, "safetensors file")) {}

SafetensorsFile::SafetensorsFile(RegularFile file) : file_(std::move(file)) {
  const Fault fault(file_.path());
  if (file_.size_bytes() < kLengthBytes)
    fault("{} bytes are too few for a safetensors file, which begins with {} of header length", file_.size_bytes(),
          kLengthBytes);
  std::uint64_t header_bytes = 0;
  file_.read(0, std::as_writable_bytes(std::span(&header_bytes, 1)));
  const std::uint64_t rest = file_.size_bytes() - kLengthBytes;
  if (header_bytes > std::min(rest, kMaxHeaderBytes))
    fault(
        "its first 8 bytes claim a header of {} bytes, but {} follow and at most {} are accepted; is it a "
        "safetensors file?",
        header_bytes, rest, kMaxHeaderBytes);

  const DataPart data{kLengthBytes + header_bytes, rest - header_bytes};
  std::vector<std::byte> text(static_cast<std::size_t>(header_bytes));
  file_.read(kLengthBytes, text);
  const json header = parse_header(text, fault);
  for (const auto& [name, entry] : header.items()) {
    if (name == kMetadataKey) {
      metadata_ = parse_metadata(entry, fault);
    } else {
      tensors_.emplace(name, parse_tensor(name, entry, data, fault));
    }
  }
  check_coverage(tensors_, data, fault);
}

const SafetensorsFile::Tensor& SafetensorsFile::expect(std::string_view name, const mil::Shape& shape) const {
  const Fault fault(file_.path());
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) fault("there is no tensor '{}'", name);
  const Tensor& tensor = found->second;
  if (tensor.shape != shape)
    fault("tensor '{}' has shape {}, expected {}", name, mil::to_string(tensor.shape), mil::to_string(shape));
  return tensor;
}

void SafetensorsFile::read(std::string_view name, const mil::Shape& shape, std::span<float> values) const {
  const Fault fault(file_.path());
  const Tensor& tensor = expect(name, shape);
  if (tensor.size_bytes != values.size() * dtype_bytes(tensor.dtype))
    fault("tensor '{}' has {} bytes, too few or too many for {} values", name, tensor.size_bytes, values.size());
  read(name, tensor, 0, values);
}

void SafetensorsFile::read_rows(std::string_view name, const mil::Shape& shape, std::size_t first,
                                std::span<float> values) const {
  const Tensor& tensor = expect(name, shape);
  const auto columns = static_cast<std::size_t>(shape.at(1));
  assert(shape.size() == 2 && first * columns + values.size() <= static_cast<std::size_t>(mil::element_count(shape)));
  read(name, tensor, first * columns, values);
}

void SafetensorsFile::read(std::string_view name, const Tensor& tensor, std::size_t first,
                           std::span<float> values) const {
  if (!std::isfinite(read_elements(file_, tensor, first, values)))
    Fault(file_.path())("tensor '{}' contains a non-finite value", name);
}

}  // namespace ane::model
