#include "ane/mil/blob.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <string>
#include <utility>

#include "support/catch.h"
#include "support/temporary_directory.h"

namespace ane::mil {
namespace {

using Bytes = std::vector<std::byte>;

/// `size` zero bytes, except those given by position.
Bytes bytes_with(std::size_t size, std::initializer_list<std::pair<std::size_t, int>> given) {
  Bytes bytes(size);
  for (const auto& [at, value] : given) bytes.at(at) = static_cast<std::byte>(value);
  return bytes;
}

/// fp16 {1, -2, 0.5} in a file of one tensor, as in the format's description.
Bytes three_halves() {
  return bytes_with(134, {{0, 1},
                          {4, 2},  // header
                          {64, 0xEF},
                          {65, 0xBE},
                          {66, 0xAD},
                          {67, 0xDE},  // sentinel
                          {68, 1},
                          {72, 6},
                          {80, 128},  // fp16, bytes, offset
                          {129, 0x3C},
                          {131, 0xC0},
                          {133, 0x38}});
}
const TensorType kThreeHalves{DType::fp16, {1, 3}};

Bytes changed(Bytes file, std::initializer_list<std::pair<std::size_t, int>> given) {
  for (const auto& [at, value] : given) file.at(at) = static_cast<std::byte>(value);
  return file;
}

bool same(std::span<const std::byte> a, std::span<const std::byte> b) { return std::ranges::equal(a, b); }

/// A program whose constants name these blob paths.
Program program_with(std::initializer_list<std::string> paths) {
  Program program;
  program.functions.emplace_back().name = "main";
  for (const std::string& path : paths) {
    Operation constant;
    constant.attributes.push_back({"val", {Constant{kThreeHalves, BlobRef{path, 64}}}});
    program.functions[0].operations.push_back(constant);
  }
  return program;
}

/// A directory for weights.
class BlobDirectory {
 public:
  BlobDirectory() { std::filesystem::create_directory(path() / "weights"); }
  [[nodiscard]] const std::filesystem::path& path() const { return directory_.path(); }
  void write(const std::string& name, const Bytes& bytes) const {
    static_cast<void>(directory_.write(name, {reinterpret_cast<const char*>(bytes.data()), bytes.size()}));
  }

 private:
  TemporaryDirectory directory_;
};

}  // namespace

TEST_CASE("one tensor is written according to the format, byte for byte", "[mil][blob]") {
  const Bytes file = three_halves();
  const auto data = std::span(file).subspan(128);

  BlobWriter writer;
  CHECK(writer.add(DType::fp16, data) == 64);
  const Bytes written = std::move(writer).finish();
  CHECK(written == file);

  BlobFile reused(Bytes(500, std::byte{0xFF}));
  const std::span<std::byte> place = single_blob(DType::fp16, 6, reused);
  REQUIRE(place.size() == 6);
  std::ranges::copy(data, place.begin());
  CHECK(reused == BlobFile(file));
}

TEST_CASE("single_blob writes again without moving its memory", "[mil][blob]") {
  BlobFile file;
  const std::byte* first = single_blob(DType::fp32, 4000, file).data();
  CHECK(single_blob(DType::fp32, 4000, file).data() == first);
}

TEST_CASE("several tensors get a record each, with absolute offsets at multiples of 64", "[mil][blob]") {
  const Bytes one = bytes_with(3, {{0, 7}, {2, 9}});
  const Bytes two = bytes_with(4, {{3, 0x40}});
  BlobWriter writer;
  CHECK(writer.add(DType::int8, one) == 64);
  CHECK(writer.add(DType::fp32, two) == 192);
  const Bytes file = std::move(writer).finish();

  CHECK(file == bytes_with(260, {{0, 2},
                                 {4, 2},  //
                                 {64, 0xEF},
                                 {65, 0xBE},
                                 {66, 0xAD},
                                 {67, 0xDE},
                                 {68, 4},
                                 {72, 3},
                                 {80, 128},
                                 {128, 7},
                                 {130, 9},  //
                                 {192, 0xEF},
                                 {193, 0xBE},
                                 {194, 0xAD},
                                 {195, 0xDE},
                                 {196, 2},
                                 {200, 4},
                                 {209, 1},
                                 {259, 0x40}}));
  CHECK(same(read_blob(file, 64, {DType::int8, {3}}), one));
  CHECK(same(read_blob(file, 192, {DType::fp32, {}}), two));
}

TEST_CASE("every supported type is written with its code and read back", "[mil][blob]") {
  const auto [dtype, code] = GENERATE(table<DType, int>({{DType::fp16, 1},
                                                         {DType::fp32, 2},
                                                         {DType::uint8, 3},
                                                         {DType::int8, 4},
                                                         {DType::int16, 6},
                                                         {DType::uint16, 7},
                                                         {DType::int32, 14},
                                                         {DType::uint32, 15}}));
  CAPTURE(code);
  const Bytes data(2 * element_bytes(dtype), std::byte{0x5A});
  BlobWriter writer;
  writer.add(dtype, data);
  const Bytes file = std::move(writer).finish();
  CHECK(std::to_integer<int>(file[68]) == code);
  CHECK(same(read_blob(file, 64, {dtype, {2}}), data));
}

TEST_CASE("unsupported types are refused", "[mil][blob]") {
  const DType dtype = GENERATE(DType::boolean, DType::string, DType::int64, DType::uint64);
  BlobWriter writer;
  CHECK_THROWS_AS(writer.add(dtype, {}), BlobError);
  CHECK_THROWS_WITH(read_blob(three_halves(), 64, {dtype, {1}}), ANE_CONTAINS("cannot hold elements of type"));
}

TEST_CASE("a file with no tensor is its header", "[mil][blob]") {
  const Bytes file = std::move(BlobWriter()).finish();
  CHECK(file == bytes_with(64, {{4, 2}}));
  CHECK_THROWS_WITH(read_blob(file, 64, kThreeHalves), ANE_CONTAINS("but the file ends at 64"));
}

TEST_CASE("damage is reported with position, expected and found value", "[mil][blob]") {
  struct Case {
    const char* what;
    Bytes file;
    std::uint64_t offset;
    const char* message;
  };
  const Bytes good = three_halves();
  const Case c = GENERATE_COPY(values<Case>({
      {"empty", {}, 64, "expected a file header of 64 bytes, but the file has 0"},
      {"half a header", Bytes(good.begin(), good.begin() + 63), 64, "but the file has 63"},
      {"old version", changed(good, {{4, 1}}), 64, "offset 4: expected version 2, found 1"},
      {"offset of the header", good, 0, "offset 0: the offset of a BLOBFILE names the record before the data"},
      {"offset of the header, advice", good, 0, "the first record is at 64"},
      {"offset of the data", good, 128, "the data of the record at 64 may begin there; name the record"},
      {"offset between", good, 72,
       "offset 72: the offset of a BLOBFILE names the record before the data; expected a "
       "multiple of 64"},
      {"offset past the end", good, 192, "expected 64 bytes there, but the file ends at 134"},
      {"offset near 2^64", good, ~std::uint64_t{63}, "but the file ends at 134"},
      {"no record at a good offset", changed(Bytes(256), {{4, 2}}), 192, "found 0x00000000"},
      {"sentinel", changed(good, {{64, 0xEE}}), 64, "expected its sentinel 0xdeadbeef there, found 0xdeadbeee"},
      {"type", changed(good, {{68, 2}}), 64, "record at 64: expected elements of type fp16, found fp32"},
      {"unknown type", changed(good, {{68, 99}}), 64, "found type code 99"},
      {"size", changed(good, {{72, 8}}), 64, "record at 64: expected 6 bytes for fp16 [1, 3], found 8"},
      {"size, high byte", changed(good, {{79, 1}}), 64, "found 72057594037927942"},
      {"data offset lost", changed(good, {{80, 0}}), 64, "from offset 128 on, found data offset 0"},
      {"data offset of the record", changed(good, {{80, 64}}), 64, "found data offset 64"},
      {"data offset between", changed(good, {{80, 129}}), 64, "found data offset 129"},
      {"data offset far away", changed(good, {{87, 255}}), 64, "but the file ends at 134; is it truncated?"},
      {"data cut", Bytes(good.begin(), good.end() - 1), 64,
       "expected 6 bytes of data from offset 128, but the file "
       "ends at 133"},
      {"unused bits", changed(good, {{88, 4}}), 64, "expected no unused bits in fp16, found 4"},
  }));
  CAPTURE(c.what);
  CHECK_THROWS_AS(read_blob(c.file, c.offset, kThreeHalves), BlobError);
  CHECK_THROWS_WITH(read_blob(c.file, c.offset, kThreeHalves), ANE_CONTAINS(c.message));
}

TEST_CASE("a record that is not at a multiple of 64 is refused", "[mil][blob]") {
  Bytes file = three_halves();
  file.insert(file.begin() + 64, 8, std::byte{0});
  file = changed(file, {{88, 136}});
  CHECK_THROWS_WITH(read_blob(file, 72, kThreeHalves), ANE_CONTAINS("expected a multiple of 64"));
}

TEST_CASE("a second record that repeats the first one's data offset is refused", "[mil][blob]") {
  BlobWriter writer;
  writer.add(DType::fp16, Bytes(64));
  writer.add(DType::fp16, Bytes(64));
  const Bytes file = changed(std::move(writer).finish(), {{208, 128}, {209, 0}});
  CHECK_THROWS_WITH(
      read_blob(file, 192, {DType::fp16, {32}}),
      ANE_CONTAINS("from offset 256 on, found data offset 128; it counts from the beginning of the file"));
}

TEST_CASE("a shape that does not fit is refused, not read", "[mil][blob]") {
  CHECK_THROWS_WITH(read_blob(three_halves(), 64, {DType::fp16, {4}}), ANE_CONTAINS("expected 8 bytes for fp16 [4]"));
  CHECK_THROWS_AS(read_blob(three_halves(), 64, {DType::fp16, {std::int64_t{1} << 40, 1 << 30}}), Error);
}

TEST_CASE("marker records, without size and offset, are followed by their data", "[mil][blob]") {
  const int marker = GENERATE(8, 16);
  const Bytes file = changed(three_halves(), {{72, 0}, {80, 0}, {74, marker}});
  CHECK(same(read_blob(file, 64, kThreeHalves), std::span(file).subspan(128)));
  CHECK(same(read_blob(file, 64, {DType::int8, {6}}), std::span(file).subspan(128)));  // byte 4 is 1 for int8 too
  CHECK_THROWS_WITH(read_blob(file, 64, {DType::fp16, {4}}),
                    ANE_CONTAINS("expected 8 bytes of data from offset 128, but the file ends at 134"));
}

TEST_CASE("a damaged standard record is not mistaken for a marker record", "[mil][blob]") {
  const Bytes good = three_halves();
  const Bytes file = GENERATE_COPY(values<Bytes>({
      changed(good, {{72, 0}, {80, 0}}),                     // size and offset lost, no marker
      changed(good, {{72, 0}, {80, 0}, {74, 4}}),            // not the marker's values
      changed(good, {{74, 8}}),                              // a marker in addition to size and offset
      changed(good, {{72, 0}, {74, 8}}),                     // a marker in addition to an offset
      changed(good, {{72, 0}, {80, 0}, {74, 8}, {68, 2}}),   // another type
      changed(good, {{72, 0}, {80, 0}, {74, 8}, {127, 1}}),  // a nonzero reserved byte
  }));
  CHECK_THROWS_AS(read_blob(file, 64, kThreeHalves), BlobError);
}

TEST_CASE("every truncation is refused", "[mil][blob]") {
  const Bytes good = three_halves();
  for (std::size_t size = 0; size < good.size(); ++size) {
    CAPTURE(size);
    const Bytes cut(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size));
    CHECK_THROWS_AS(read_blob(cut, 64, kThreeHalves), BlobError);
  }
}

TEST_CASE("no changed byte makes the reader access memory outside the file", "[mil][blob]") {
  BlobWriter writer;
  writer.add(DType::fp16, Bytes(6));
  writer.add(DType::fp16, Bytes(6));
  const Bytes good = std::move(writer).finish();
  std::size_t refused = 0;
  for (std::size_t at = 0; at < good.size(); ++at)
    for (const int value : {0, 1, 0x3F, 0x40, 0x80, 0xFE, 0xFF})
      for (const std::uint64_t offset : {std::uint64_t{64}, std::uint64_t{192}}) {
        const Bytes file = changed(good, {{at, value}});
        try {
          const std::span<const std::byte> data = read_blob(file, offset, kThreeHalves);
          CAPTURE(at, value, offset);
          REQUIRE(data.size() == 6);
          REQUIRE(data.data() >= file.data() + offset + 64);
          REQUIRE(data.data() + data.size() <= file.data() + file.size());
        } catch (const BlobError&) {
          ++refused;
        }
      }
  CHECK(refused > 100);  // two records of 32 meaningful bytes, several values each
}

TEST_CASE("a blob is found by its path, and errors name it", "[mil][blob]") {
  const Blobs blobs{{"@model_path/w.bin", three_halves()}};
  CHECK(read_blob(blobs, {"@model_path/w.bin", 64}, kThreeHalves).size() == 6);
  CHECK_THROWS_WITH(read_blob(blobs, {"@model_path/v.bin", 64}, kThreeHalves),
                    ANE_CONTAINS("blob file '@model_path/v.bin' is missing; 1 others were given"));
  CHECK_THROWS_WITH(read_blob(blobs, {"@model_path/w.bin", 128}, kThreeHalves),
                    ANE_CONTAINS("blob file '@model_path/w.bin': offset 128: "));
}

TEST_CASE("blob paths are listed once, sorted, from arguments and attributes alike", "[mil][blob]") {
  Program program = program_with({"@model_path/b.bin", "@model_path/a.bin", "@model_path/b.bin"});
  Operation inline_use;
  inline_use.kind = OpKind::add;
  inline_use.arguments.push_back({"x", {ValueId{0}}});
  inline_use.arguments.push_back({"y", {Constant{kThreeHalves, BlobRef{"@model_path/0.bin", 64}}}});
  program.functions[0].operations.push_back(inline_use);
  CHECK(blob_paths(program) == std::vector<std::string>{"@model_path/0.bin", "@model_path/a.bin", "@model_path/b.bin"});
  CHECK(blob_paths(Program{}).empty());
}

TEST_CASE("load_blobs reads the files that a program names below a directory", "[mil][blob]") {
  const BlobDirectory directory;
  directory.write("weights/w.bin", three_halves());
  directory.write("m.bin", Bytes(64));
  const Blobs blobs = load_blobs(program_with({"@model_path/weights/w.bin", "@model_path/m.bin"}), directory.path());
  CHECK(blobs == Blobs{{"@model_path/m.bin", Bytes(64)}, {"@model_path/weights/w.bin", three_halves()}});
}

TEST_CASE("load_blobs reads all of a record that several types name", "[mil][blob]") {
  const BlobDirectory directory;
  Bytes file = changed(three_halves(), {{72, 0}, {80, 0}, {74, 8}});  // a marker record does not state a size
  file.resize(140);
  for (std::size_t i = 0; i < 12; ++i) file[128 + i] = static_cast<std::byte>(i + 1);
  directory.write("w.bin", file);
  Program program = program_with({"@model_path/w.bin", "@model_path/w.bin"});
  const TensorType wide{DType::fp32, kThreeHalves.shape};
  auto& second = std::get<Constant>(program.functions[0].operations[1].attributes[0].operands[0]);
  second.type = wide;
  const Blobs blobs = load_blobs(program, directory.path());
  CHECK(same(read_blob(blobs, {"@model_path/w.bin", 64}, wide), std::span(file).subspan(128)));
  CHECK(same(read_blob(blobs, {"@model_path/w.bin", 64}, kThreeHalves), std::span(file).subspan(128, 6)));
}

TEST_CASE("load_blobs stays inside its directory and names missing files", "[mil][blob]") {
  const BlobDirectory directory;
  directory.write("w.bin", three_halves());
  const auto [path, message] = GENERATE(table<std::string, std::string>({
      {"w.bin", "blob path 'w.bin': expected '@model_path/' and a file name"},
      {"/etc/hostname", "blob path '/etc/hostname': expected '@model_path/'"},
      {"", "expected '@model_path/'"},
      {"@model_path/", "expected '@model_path/' and a file name"},
      {"@model_path//etc/hostname", "found a path that leads out of it"},
      {"@model_path/weights/", "expected '@model_path/' and a file name"},
      {"@model_path/../elsewhere/w.bin", "found a path that leads out of it"},
      {"@model_path/weights/../../x.bin", "found a path that leads out of it"},
      {"@model_path/absent.bin", "absent.bin"},
  }));
  CAPTURE(path);
  const Program program = program_with({path});
  CHECK_THROWS_AS(load_blobs(program, directory.path()), FileError);
  CHECK_THROWS_WITH(load_blobs(program, directory.path()), ANE_CONTAINS(message));
}

}  // namespace ane::mil
