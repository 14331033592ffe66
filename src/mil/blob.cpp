#include "ane/mil/blob.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <optional>
#include <set>
#include <system_error>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include "ane/core/checked.h"
#include "ane/core/file.h"
#include "ane/core/mapped_memory.h"
#include "ane/mil/constants.h"

namespace ane::mil {
namespace {

constexpr std::uint64_t kAlignment = 64;
constexpr std::uint64_t kRecordBytes = 64;
constexpr std::uint32_t kVersion = 2;
constexpr std::uint32_t kSentinel = 0xDEADBEEF;

template <typename T>
void put(std::span<std::byte> at, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) at[i] = static_cast<std::byte>(value >> (8 * i) & 0xFF);
}

template <typename T>
T get(std::span<const std::byte> at) {
  T value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) value |= static_cast<T>(std::to_integer<T>(at[i]) << (8 * i));
  return value;
}

/// Codes of BlobDataType in coremltools' MILBlob/Blob/BlobDataType.hpp.
constexpr auto kTypeCodes = std::to_array<std::pair<DType, std::uint32_t>>({
    {DType::fp16, 1},
    {DType::fp32, 2},
    {DType::uint8, 3},
    {DType::int8, 4},
    {DType::int16, 6},
    {DType::uint16, 7},
    {DType::int32, 14},
    {DType::uint32, 15},
});

std::uint32_t type_code(DType dtype) {
  const auto* found = std::ranges::find(kTypeCodes, dtype, &std::pair<DType, std::uint32_t>::first);
  if (found == kTypeCodes.end())
    throw BlobError(
        fmt::format("a blob file cannot hold elements of type {}; write the constant in the text", name(dtype)));
  return found->second;
}

std::string describe_code(std::uint32_t code) {
  const auto* found = std::ranges::find(kTypeCodes, code, &std::pair<DType, std::uint32_t>::second);
  return found == kTypeCodes.end() ? fmt::format("type code {}", code) : std::string(name(found->first));
}

void write_header(std::span<std::byte> file, std::uint32_t count) {
  put(file, count);
  put(file.subspan(4), kVersion);
}

void write_record(std::span<std::byte> record, DType dtype, std::uint64_t data_bytes, std::uint64_t data_offset) {
  put(record, kSentinel);
  put(record.subspan(4), type_code(dtype));
  put(record.subspan(8), data_bytes);
  put(record.subspan(16), data_offset);
}

bool fits(std::span<const std::byte> file, std::uint64_t offset, std::uint64_t bytes) {
  const std::optional<std::uint64_t> end = checked_add(offset, bytes);
  return end && *end <= file.size();
}

bool is_record(std::span<const std::byte> file, std::uint64_t offset) {
  return offset % kAlignment == 0 && fits(file, offset, kRecordBytes) &&
         get<std::uint32_t>(file.subspan(offset)) == kSentinel;
}

void check_header(std::span<const std::byte> file) {
  if (file.size() < kFirstRecord)
    throw BlobError(fmt::format("expected a file header of {} bytes, but the file has {}", kFirstRecord, file.size()));
  if (const auto version = get<std::uint32_t>(file.subspan(4)); version != kVersion)
    throw BlobError(
        fmt::format("offset 4: expected version {}, found {}; is this a weight blob file?", kVersion, version));
}

/// The likely cause of an offset that names no record.
std::string offset_hint(std::span<const std::byte> file, std::uint64_t offset) {
  if (offset < kFirstRecord) return fmt::format("the file header is there, the first record is at {}", kFirstRecord);
  if (is_record(file, offset - kRecordBytes))
    return fmt::format("the data of the record at {} may begin there; name the record", offset - kRecordBytes);
  return fmt::format("the first record is at {}", kFirstRecord);
}

std::span<const std::byte> record_at(std::span<const std::byte> file, std::uint64_t offset) {
  if (is_record(file, offset)) return file.subspan(offset, kRecordBytes);
  std::string fault;
  if (offset % kAlignment != 0)
    fault = fmt::format("expected a multiple of {}", kAlignment);
  else if (!fits(file, offset, kRecordBytes))
    fault = fmt::format("expected {} bytes there, but the file ends at {}", kRecordBytes, file.size());
  else
    fault = fmt::format("expected its sentinel {:#010x} there, found {:#010x}", kSentinel,
                        get<std::uint32_t>(file.subspan(offset)));
  throw BlobError(fmt::format("offset {}: the offset of a BLOBFILE names the record before the data; {}; {}", offset,
                              fault, offset_hint(file, offset)));
}

/// The variant without size and offset: see the header.
bool is_marker_record(std::span<const std::byte> record) {
  if (get<std::uint32_t>(record.subspan(4)) != 1) return false;
  if (const auto marker = std::to_integer<int>(record[10]); marker != 8 && marker != 16) return false;
  for (std::size_t i = 8; i < kRecordBytes; ++i)
    if (i != 10 && record[i] != std::byte{0}) return false;
  return true;
}

std::span<const std::byte> data_in_bounds(std::span<const std::byte> file, std::uint64_t record, std::uint64_t data,
                                          std::uint64_t bytes) {
  if (!fits(file, data, bytes))
    throw BlobError(
        fmt::format("record at {}: expected {} bytes of data from offset {}, but the file ends at {}; is it truncated?",
                    record, bytes, data, file.size()));
  return file.subspan(data, bytes);
}

std::uint64_t bytes_of(const TensorType& type) {
  const std::optional<std::uint64_t> bytes =
      checked_mul<std::uint64_t>(static_cast<std::uint64_t>(element_count(type.shape)), element_bytes(type.dtype));
  if (!bytes) throw BlobError(fmt::format("{} is too large", to_string(type)));
  return *bytes;
}

/// Loads the parts of the file that `constants` name. The rest is zero and takes no memory.
BlobFile load_blob(const RegularFile& file, std::span<const Constant* const> constants) {
  if (file.size_bytes() == 0) return {};
  MappedMemory memory = [&] {
    try {
      return MappedMemory::sparse(static_cast<std::size_t>(file.size_bytes()));
    } catch (const std::system_error& error) {
      throw FileError(fmt::format("{}: there is no address space for its {} bytes ({})", file.path().string(),
                                  file.size_bytes(), error.code().message()));
    }
  }();
  const std::span<std::byte> bytes = memory.bytes();
  const auto load = [&](std::uint64_t begin, std::uint64_t size) {
    begin = std::min<std::uint64_t>(begin, bytes.size());
    const auto part = bytes.subspan(begin, std::min<std::uint64_t>(size, bytes.size() - begin));
    file.read(begin, part);
  };
  load(0, kFirstRecord);
  std::set<std::pair<std::uint64_t, std::uint64_t>> seen;  // many constants may share one record
  for (const Constant* constant : constants) {
    const std::uint64_t offset = std::get<BlobRef>(constant->data).offset;
    try {
      if (!seen.emplace(offset, bytes_of(constant->type)).second) continue;
      // Includes the previous record, which the message about a wrong offset inspects.
      const std::uint64_t before = std::min(offset, kRecordBytes);
      load(offset - before, before + kRecordBytes);
      const std::span<const std::byte> data = read_blob(bytes, offset, constant->type);
      load(static_cast<std::uint64_t>(data.data() - bytes.data()), data.size());
    } catch (const BlobError&) {
      // The compiler of the program finds the same fault and reports its position.
    }
  }
  return BlobFile(std::move(memory));
}

}  // namespace

std::filesystem::path blob_place(std::string_view path) {
  constexpr std::string_view kModelPath = "@model_path/";
  std::filesystem::path inside = path.starts_with(kModelPath) ? path.substr(kModelPath.size()) : "";
  if (!inside.has_filename())
    throw BlobError(fmt::format("blob path '{}': expected '{}' and a file name, such as {}weights/w.bin", path,
                                kModelPath, kModelPath));
  if (inside.is_absolute() || std::ranges::find(inside, "..") != inside.end())
    throw BlobError(
        fmt::format("blob path '{}': expected a file below '{}', found a path that leads out of it", path, kModelPath));
  return inside;
}

std::uint64_t BlobWriter::add(DType dtype, std::span<const std::byte> data) {
  assert(element_bytes(dtype) == 0 || data.size() % element_bytes(dtype) == 0);
  const auto record = round_up<std::uint64_t>(file_.size(), kAlignment);
  const std::uint64_t data_offset = record + kRecordBytes;
  std::array<std::byte, kRecordBytes> bytes{};
  write_record(bytes, dtype, data.size(), data_offset);
  file_.resize(record);
  file_.insert(file_.end(), bytes.begin(), bytes.end());
  file_.insert(file_.end(), data.begin(), data.end());
  ++count_;
  return record;
}

std::vector<std::byte> BlobWriter::finish() && {
  write_header(file_, count_);
  return std::move(file_);
}

std::span<std::byte> single_blob(DType dtype, std::size_t data_bytes, BlobFile& file) {
  file.own().resize(kFirstData + data_bytes);
  const std::span<std::byte> bytes = file.own();
  std::ranges::fill(bytes.first(kFirstData), std::byte{0});
  write_header(bytes, 1);
  write_record(bytes.subspan(kFirstRecord, kRecordBytes), dtype, data_bytes, kFirstData);
  return bytes.subspan(kFirstData);
}

std::span<const std::byte> read_blob(std::span<const std::byte> file, std::uint64_t offset, const TensorType& type) {
  const std::uint32_t expected_code = type_code(type.dtype);
  const std::uint64_t expected_bytes = bytes_of(type);
  check_header(file);
  const std::span<const std::byte> record = record_at(file, offset);
  if (is_marker_record(record)) return data_in_bounds(file, offset, offset + kRecordBytes, expected_bytes);

  if (const auto code = get<std::uint32_t>(record.subspan(4)); code != expected_code)
    throw BlobError(fmt::format("record at {}: expected elements of type {}, found {}", offset, name(type.dtype),
                                describe_code(code)));
  if (const auto bytes = get<std::uint64_t>(record.subspan(8)); bytes != expected_bytes)
    throw BlobError(fmt::format("record at {}: expected {} bytes for {}, found {}", offset, expected_bytes,
                                to_string(type), bytes));
  const auto data = get<std::uint64_t>(record.subspan(16));
  if (data < offset + kRecordBytes || data % kAlignment != 0)
    throw BlobError(
        fmt::format("record at {}: expected its data at a multiple of {} from offset {} on, found data "
                    "offset {}; it counts from the beginning of the file",
                    offset, kAlignment, offset + kRecordBytes, data));
  if (const auto unused_bits = get<std::uint64_t>(record.subspan(24)); unused_bits != 0)
    throw BlobError(
        fmt::format("record at {}: expected no unused bits in {}, found {}", offset, name(type.dtype), unused_bits));
  return data_in_bounds(file, offset, data, expected_bytes);
}

std::span<const std::byte> read_blob(const Blobs& blobs, const BlobRef& ref, const TensorType& type) {
  const auto found = blobs.find(ref.path);
  if (found == blobs.end())
    throw BlobError(fmt::format("blob file '{}' is missing; {} others were given", ref.path, blobs.size()));
  try {
    return read_blob(found->second, ref.offset, type);
  } catch (const Error& error) {
    throw BlobError(fmt::format("blob file '{}': {}", ref.path, error.what()));
  }
}

Blobs load_blobs(const Program& program, const std::filesystem::path& directory, Blobs given) {
  std::map<std::string, std::vector<const Constant*>, std::less<>> constants;  // by path
  for_each_blob(program, [&](const OpView&, const Constant& constant, const BlobRef& ref, const std::string&) {
    constants[ref.path].push_back(&constant);
  });
  for (const auto& [path, named] : constants)
    if (!given.contains(path))
      given.emplace(path, load_blob(RegularFile(directory / blob_place(path), "weight blob file"), named));
  return given;
}

std::vector<std::string> blob_paths(const Program& program) {
  std::set<std::string> paths;
  for_each_blob(
      program, [&](const OpView&, const Constant&, const BlobRef& ref, const std::string&) { paths.insert(ref.path); });
  return {paths.begin(), paths.end()};
}

}  // namespace ane::mil
