#include "ane/model/safetensors.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <sys/stat.h>

#include "ane/core/error.h"
#include "ane/model/models.h"
#include "ane/model/weight_files.h"

#include "model/files.h"
#include "support/catch.h"

namespace ane::model {
namespace {

using test::bytes_of;
using test::read_file;
using test::TemporaryFolder;
using test::write_file;

std::string file_of(const std::string& header, const std::string& data) {
  return bytes_of(std::uint64_t{header.size()}) + header + data;
}

std::string entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
  return "\"" + name + R"(":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
}

ParameterLayout two_tensors() {
  ParameterLayout layout;
  layout.add({"a", {2, 3}, Role::matrix});
  layout.add({"b", {5}, Role::norm});
  return layout;
}

TEST_CASE("written values are read back, and padding is left alone", "[model][safetensors]") {
  const TemporaryFolder folder;
  const ParameterLayout layout = two_tensors();
  std::vector<float> values(layout.size(), 0.0F);
  for (std::size_t i = 0; i < 6; ++i) values[i] = 0.25F * static_cast<float>(i) - 0.1F;
  for (std::size_t i = 0; i < 5; ++i) values[16 + i] = static_cast<float>(i) * 1e-30F;
  write_safetensors(folder / "w.safetensors", layout, values, {{"step", "12"}, {"note", "a \"quoted\" word"}});

  std::vector<float> read(layout.size(), 0.0F);
  read_safetensors(folder / "w.safetensors", layout, read);
  CHECK(read == values);
  CHECK(read_safetensors_metadata(folder / "w.safetensors") == Metadata{{"step", "12"}, {"note", "a \"quoted\" word"}});
  CHECK(folder.file_count() == 1);
}

TEST_CASE("tensors with Meta's names are read in the program's order of rows", "[model][safetensors]") {
  const TemporaryFolder folder;
  ParameterLayout layout;
  layout.add({.name = "model.norm.weight", .shape = {2}, .role = Role::norm, .meta_name = "norm.weight"});
  layout.add({.name = "q_proj.weight", .shape = {4, 1}, .meta_name = "wq.weight", .rotated_rows = 4});
  const std::array norm = {5.0F, 6.0F};
  const std::array rows = {0.0F, 1.0F, 2.0F, 3.0F};
  std::vector<float> values(layout.size());

  write_safetensors(folder / "w", std::vector<NamedTensor>{{"norm.weight", {2}, norm}, {"wq.weight", {4, 1}, rows}},
                    {});
  read_safetensors(folder / "w", layout, values);
  CHECK(std::vector(values.begin(), values.begin() + 2) == std::vector{5.0F, 6.0F});
  CHECK(std::vector(values.begin() + 16, values.begin() + 20) == std::vector{0.0F, 2.0F, 1.0F, 3.0F});

  write_safetensors(folder / "w", layout, values, {});
  std::vector<float> again(layout.size());
  read_safetensors(folder / "w", layout, again);
  CHECK(again == values);

  write_safetensors(folder / "w", std::vector<NamedTensor>{{"norm.weight", {2}, norm}, {"q_proj.weight", {4, 1}, rows}},
                    {});
  CHECK_THROWS_WITH(read_safetensors(folder / "w", layout, values), ANE_CONTAINS("there is no tensor 'wq.weight'"));
}

TEST_CASE("a written file follows the format", "[model][safetensors]") {
  const TemporaryFolder folder;
  const std::array values = {1.0F, 2.0F};
  write_safetensors(folder / "w", std::vector<NamedTensor>{{"t", {1, 2}, values}}, {});
  const std::string header = R"({"t":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}})";
  const std::string padded = header + std::string((8 - header.size() % 8) % 8, ' ');
  CHECK(test::read_file(folder / "w") == file_of(padded, bytes_of(1.0F) + bytes_of(2.0F)));
}

TEST_CASE("half and bfloat tensors are read at any address", "[model][safetensors]") {
  const TemporaryFolder folder;
  std::string header = "{" + entry("h", "F16", "[2]", "[0,4]") + "," + entry("b", "BF16", "[2]", "[4,8]") + "}";
  if (header.size() % 2 == 0) header += " ";  // odd addresses
  const std::array<std::uint16_t, 2> halves = {0x3C00, 0xC100};
  const std::array<std::uint16_t, 2> bfloats = {0x3F80, 0xC020};
  write_file(folder / "w", file_of(header, bytes_of(halves) + bytes_of(bfloats)));

  const SafetensorsFile file(folder / "w");
  std::vector<float> values(2);
  file.read("h", {2}, values);
  CHECK(values == std::vector<float>{1.0F, -2.5F});
  file.read("b", {2}, values);
  CHECK(values == std::vector<float>{1.0F, -2.5F});
}

TEST_CASE("long half tensors are converted whole", "[model][safetensors]") {
  const TemporaryFolder folder;
  constexpr std::size_t kCount = 10'001;
  std::string data;
  for (std::size_t i = 0; i < kCount; ++i) data += bytes_of(static_cast<std::uint16_t>(i));  // subnormals and small
  write_file(folder / "w", file_of("{" + entry("h", "F16", "[10001]", "[0,20002]") + "}", data));
  std::vector<float> values(kCount);
  SafetensorsFile(folder / "w").read("h", {kCount}, values);
  CHECK(values[1] == 0x1p-24F);
  CHECK(values[1024] == 0x1p-14F);
  CHECK(values[10'000] == 0x1p-6F * (1 + 0x310p-10F));  // 0x2710: exponent 9 - 15, mantissa 0x310
}

TEST_CASE("rows are read like those of the whole tensor, whatever its dtype", "[model][safetensors]") {
  const std::string dtype = GENERATE(as<std::string>(), "F32", "F16", "BF16");
  constexpr std::size_t kRows = 70;
  constexpr std::size_t kColumns = 501;  // several blocks of a 16-bit tensor
  const mil::Shape shape = {kRows, kColumns};
  std::vector<float> values(kRows * kColumns);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 127) - 7.5F;
  const TemporaryFolder folder;
  TemporaryFile file(folder / "w.safetensors");
  SafetensorsWriter writer(file, {{"before", {3}, "F32"}, {"w", shape, dtype}}, {});
  writer.add(std::vector<float>{1, 2, 3});
  writer.add(values);
  file.commit();

  const SafetensorsFile opened(folder / "w.safetensors");
  std::vector<float> whole(values.size());
  opened.read("w", shape, whole);
  CHECK(whole == values);  // exact in every dtype
  for (const auto& [first, count] :
       std::vector<std::pair<std::size_t, std::size_t>>{{0, 1}, {3, 40}, {69, 1}, {0, 70}}) {
    CAPTURE(dtype, first, count);
    std::vector<float> rows(count * kColumns);
    opened.read_rows("w", shape, first, rows);
    CHECK(std::ranges::equal(rows, std::span(values).subspan(first * kColumns, rows.size())));
  }
}

TEST_CASE("an empty tensor and no tensors at all are fine", "[model][safetensors]") {
  const TemporaryFolder folder;
  write_safetensors(folder / "none", std::vector<NamedTensor>{}, {{"k", "v"}});
  CHECK(SafetensorsFile(folder / "none").tensors().empty());
  write_safetensors(folder / "empty", std::vector<NamedTensor>{{"t", {0}, {}}}, {});
  CHECK(SafetensorsFile(folder / "empty").tensors().at("t").shape == mil::Shape{0});
}

TEST_CASE("every malformed file names its fault", "[model][safetensors][malformed]") {
  const std::string eight(8, '\0');
  struct Case {
    const char* fault;
    std::string bytes;
  };
  const std::string nested(10'000, '[');
  const std::vector<Case> cases = {
      {"too few", "1234567"},
      {"claim a header of 100 bytes, but 2 follow", bytes_of(std::uint64_t{100}) + "{}"},
      {"claim a header of 18446744073709551615", bytes_of(UINT64_MAX) + "{}"},
      {"header is not JSON", file_of("{", "")},
      {"header is not JSON", file_of("{\"\xff\":1}", "")},
      {"header is not JSON: line 1, column 2: syntax error", file_of("{", "")},
      {"not an object", file_of("[]", "")},
      {"'t': shape has 9 numbers, but at most 8 are accepted",
       file_of("{" + entry("t", "F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]") + "}", "1234")},
      {"nested", file_of(R"({"a":)" + nested + "}", "")},
      {"names 't' twice",
       file_of("{" + entry("t", "F32", "[1]", "[0,4]") + "," + entry("t", "F32", "[1]", "[4,8]") + "}", eight)},
      {"__metadata__ is not an object", file_of(R"({"__metadata__":3})", "")},
      {"'k' is not a string", file_of(R"({"__metadata__":{"k":3}})", "")},
      {"'t': its entry is not an object", file_of(R"({"t":3})", "")},
      {"'t': dtype is missing", file_of(R"({"t":{"shape":[1],"data_offsets":[0,4]}})", "1234")},
      {"'t' has dtype I64", file_of("{" + entry("t", "I64", "[1]", "[0,8]") + "}", eight)},
      {"'t': shape is missing", file_of(R"({"t":{"dtype":"F32","data_offsets":[0,4]}})", "1234")},
      {"'t': shape is missing or not a list", file_of("{" + entry("t", "F32", "[-1]", "[0,4]") + "}", "1234")},
      {"'t': shape is missing or not a list", file_of("{" + entry("t", "F32", "[1.5]", "[0,4]") + "}", "1234")},
      {"'t': data_offsets is missing", file_of(R"({"t":{"dtype":"F32","shape":[1]}})", "1234")},
      {"data_offsets has 1 numbers", file_of("{" + entry("t", "F32", "[1]", "[0]") + "}", "1234")},
      {"lies at bytes 4 to 0", file_of("{" + entry("t", "F32", "[1]", "[4,0]") + "}", "1234")},
      {"lies at bytes 0 to 8 of the data, but there are 4",
       file_of("{" + entry("t", "F32", "[2]", "[0,8]") + "}", "1234")},
      {"spans 8 bytes, but shape [1] in F32 needs 4", file_of("{" + entry("t", "F32", "[1]", "[0,8]") + "}", eight)},
      {"needs more than 2^64", file_of("{" + entry("t", "F32", "[4294967296,4294967296,4]", "[0,8]") + "}", eight)},
      {"begins at byte 0, inside",
       file_of("{" + entry("a", "F32", "[1]", "[0,4]") + "," + entry("b", "F32", "[2]", "[0,8]") + "}", eight)},
      {"4 bytes before tensor 'b'", file_of("{" + entry("b", "F32", "[1]", "[4,8]") + "}", eight)},
      {"4 bytes after the last", file_of("{" + entry("a", "F32", "[1]", "[0,4]") + "}", eight)},
  };
  for (const Case& wrong : cases) {
    const TemporaryFolder folder;
    write_file(folder / "w", wrong.bytes);
    INFO(wrong.fault);
    CHECK_THROWS_AS(SafetensorsFile(folder / "w"), FileError);
    CHECK_THROWS_WITH(SafetensorsFile(folder / "w"), ANE_CONTAINS(wrong.fault) && ANE_CONTAINS("w"));
  }
}

TEST_CASE("a file of another model is refused with the tensor's name", "[model][safetensors][malformed]") {
  const TemporaryFolder folder;
  const ParameterLayout layout = two_tensors();
  std::vector<float> values(layout.size());
  const std::vector<float> six(6);
  const std::vector<float> five(5);
  const auto check_fault = [&](const std::vector<NamedTensor>& tensors, const char* fault) {
    write_safetensors(folder / "w", tensors, {});
    CHECK_THROWS_AS(read_safetensors(folder / "w", layout, values), FileError);
    CHECK_THROWS_WITH(read_safetensors(folder / "w", layout, values), ANE_CONTAINS(fault));
  };
  check_fault({{"a", {2, 3}, six}}, "no tensor 'b'");
  check_fault({{"a", {3, 2}, six}, {"b", {5}, five}}, "'a' has shape [3, 2], expected [2, 3]");
  check_fault({{"a", {2, 3}, six}, {"b", {5}, five}, {"c", {5}, five}}, "'c' [5] is not part of this model");

  write_safetensors(folder / "w", std::vector<NamedTensor>{{"a", {2, 3}, six}, {"b", {5}, five}}, {});
  std::string bytes = read_file(folder / "w");
  bytes.replace(bytes.size() - 8, 4, bytes_of(std::numeric_limits<float>::quiet_NaN()));
  write_file(folder / "w", bytes);
  CHECK_THROWS_WITH(read_safetensors(folder / "w", layout, values), ANE_CONTAINS("'b' contains a non-finite value"));
}

TEST_CASE("a non-finite value does not replace an existing file", "[model][safetensors]") {
  const TemporaryFolder folder;
  const float bad = GENERATE(std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity());
  const std::size_t place = GENERATE(0U, 300'000U, 600'000U);  // pieces have 262,144 elements
  std::vector<float> values(600'001, 1);
  const std::vector<NamedTensor> tensors = {{"t", {600'001}, values}};
  write_safetensors(folder / "w", tensors, {});
  const std::string before = read_file(folder / "w");
  values[place] = bad;
  CHECK_THROWS_AS(write_safetensors(folder / "w", tensors, {}), FileError);
  CHECK_THROWS_WITH(write_safetensors(folder / "w", tensors, {}), ANE_CONTAINS("'t' contains a non-finite value"));
  CHECK((read_file(folder / "w") == before));
  CHECK(folder.file_count() == 1);
}

TEST_CASE("two tensors of one name are not written", "[model][safetensors]") {
  const TemporaryFolder folder;
  const std::vector<NamedTensor> tensors = {{"t", {0}, {}}, {"t", {0}, {}}};
  CHECK_THROWS_WITH(write_safetensors(folder / "w", tensors, {}), ANE_CONTAINS("two tensors are named 't'"));
  CHECK(folder.file_count() == 0);
}

TEST_CASE("an unwritable path is an error with the system's message", "[model][safetensors]") {
  const TemporaryFolder folder;
  CHECK_THROWS_AS(write_safetensors(folder / "absent/w", std::vector<NamedTensor>{}, {}), FileError);
  CHECK_THROWS_WITH(write_safetensors(folder / "absent/w", std::vector<NamedTensor>{}, {}),
                    ANE_CONTAINS("No such file"));
  std::filesystem::create_directory(folder / "taken");
  CHECK_THROWS_AS(write_safetensors(folder / "taken", std::vector<NamedTensor>{}, {}), FileError);
  CHECK(folder.file_count() == 1);  // no temporary file is left
}

TEST_CASE("values are rounded to the dtype of their tensor", "[model][safetensors]") {
  const TemporaryFolder folder;
  struct Case {
    float value;
    std::uint16_t half;
    std::uint16_t bfloat;
  };
  const std::vector<Case> cases = {{1, 0x3C00, 0x3F80},
                                   {-0.0F, 0x8000, 0x8000},
                                   {1 + 0x1p-8F, 0x3C04, 0x3F80},    // a tie in bf16: to even
                                   {1 + 0x3p-8F, 0x3C0C, 0x3F82},    // a tie in bf16: to even
                                   {1 + 0x1.8p-8F, 0x3C06, 0x3F81},  // above half
                                   {1 + 0x1p-11F, 0x3C00, 0x3F80},   // a tie in fp16: to even
                                   {0x1p-24F, 0x0001, 0x3380},       // the smallest fp16
                                   {0x1p-149F, 0x0000, 0x0000},      // the smallest fp32
                                   {65504, 0x7BFF, 0x4780}};
  std::vector<float> values;
  std::string halves;
  std::string bfloats;
  for (const Case& each : cases) {
    values.push_back(each.value);
    halves += bytes_of(each.half);
    bfloats += bytes_of(each.bfloat);
  }
  const auto count = static_cast<std::int64_t>(cases.size());
  {
    TemporaryFile file(folder / "w");
    SafetensorsWriter writer(file, {{"half", {count}, "F16"}, {"bfloat", {count}, "BF16"}, {"full", {count}}}, {});
    for (int i = 0; i < 3; ++i) writer.add(values);
    file.commit();
  }
  const std::string bytes = read_file(folder / "w");
  const SafetensorsFile file(folder / "w");
  const auto data = [&](const char* name) {
    const SafetensorsFile::Tensor& tensor = file.tensors().at(name);
    return bytes.substr(static_cast<std::size_t>(tensor.offset), static_cast<std::size_t>(tensor.size_bytes));
  };
  CHECK(data("half") == halves);
  CHECK(data("bfloat") == bfloats);
  std::vector<float> again(values.size());
  file.read("full", {count}, again);
  CHECK(again == values);
}

TEST_CASE("a value that becomes infinite in its dtype is not written", "[model][safetensors]") {
  const TemporaryFolder folder;
  const auto [dtype, largest, too_large] =
      GENERATE(table<std::string, float, float>({{"F16", 65519.996F, 65520}, {"BF16", 0x1.fefffep127F, 0x1.ffp127F}}));
  const float sign = GENERATE(1.0F, -1.0F);
  CAPTURE(dtype, sign);
  const auto write = [&, &dtype = dtype](float value) {
    std::vector<float> values(300'000, 1);  // more than a piece
    values.back() = sign * value;
    TemporaryFile file(folder / "w");
    SafetensorsWriter writer(file, {{"t", {300'000}, dtype}}, {});
    writer.add(values);
  };
  CHECK_NOTHROW(write(largest));
  CHECK_THROWS_AS(write(too_large), FileError);
  CHECK_THROWS_WITH(write(too_large), ANE_CONTAINS("tensor 't'") && ANE_CONTAINS("too large for " + dtype));
  CHECK(folder.file_count() == 0);
}

}  // namespace
}  // namespace ane::model
