#include <bit>
#include <limits>
#include <random>
#include <string>

#include "foreign.h"
#include "support/catch.h"

namespace ane::device::host {
namespace {

using mil::DType;
using Numbers = std::vector<double>;

TEST_CASE("quantize and dequantize, by tensor and by axis", "[device][host]") {
  const std::string dtype = GENERATE("fp16", "fp32");
  const std::string small = GENERATE("int8", "uint8");
  const bool with_zero_point = GENERATE(true, false);
  const std::string scalar =
      ", scale = " + dtype + "(0x1p-5)" + (with_zero_point ? ", zero_point = " + small + "(7)" : "");
  const std::string vector = ", axis = int32(-2), scale = tensor<" + dtype + ", [3]>([0.03, 0.5, 0x1p-4])" +
                             (with_zero_point ? ", zero_point = tensor<" + small + ", [3]>([0, 100, 3])" : "");
  for (const std::string& scales : {scalar, vector}) {
    CAPTURE(dtype, small, scales);
    check_against_reference(
        program_of("tensor<" + dtype + ", [2, 3, 65]> x",
                   "tensor<" + small + ", [2, 3, 65]> q = quantize(input = x, output_dtype = string(\"" + small +
                       "\")" + scales + ");" + "tensor<" + dtype + ", [2, 3, 65]> y = dequantize(input = q" + scales +
                       ");",
                   "q, y"),
        1, tolerance_of(dtype == "fp16" ? DType::fp16 : DType::fp32));
  }
}

TEST_CASE("quantized values are the nearest, ties to even, and stay in range", "[device][host]") {
  const double inf = std::numeric_limits<double>::infinity();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto quantized = [&](const std::string& type) {
    return results_of(program_of("tensor<fp32, [8]> x", "tensor<" + type +
                                                            ", [8]> y = quantize(input = x, scale = fp32(2), "
                                                            "zero_point = " +
                                                            type + "(1), output_dtype = string(\"" + type + "\"));"),
                      {{{DType::fp32, {8}}, {1, 3, -1, 5.0625, 1e9, -1e9, inf, nan}}})[0];
  };
  CHECK(quantized("int8") == Numbers{1, 3, 1, 4, 127, -128, 127, 0});
  CHECK(quantized("uint8") == Numbers{1, 3, 1, 4, 255, 0, 255, 0});
}

/// Constants of constexpr_* are in the text or in blob files; both must give the same result.
struct Stored {
  mil::Blobs blobs;
  bool in_blobs = false;

  std::string operator()(const std::string& name, const reference::Tensor& tensor) {
    const std::string type =
        "tensor<" + std::string(mil::name(tensor.type.dtype)) + ", " + mil::to_string(tensor.type.shape) + ">(";
    if (in_blobs) {
      blobs[name] = blob_file(tensor);
      return name + " = " + type + "BLOBFILE(path = string(\"" + name + "\"), offset = uint64(64)))";
    }
    std::string elements;
    for (const double element : tensor.data) elements += (elements.empty() ? "" : ", ") + std::to_string(element);
    if (!mil::is_float(tensor.type.dtype)) {
      elements.clear();
      for (const double element : tensor.data)
        elements += (elements.empty() ? "" : ", ") + std::to_string(static_cast<int>(element));
    }
    return name + " = " + type + "[" + elements + "])";
  }
};

/// Values that six decimals represent exactly.
reference::Tensor table_of(DType dtype, std::int64_t size) {
  reference::Tensor table{{dtype, {size}}, {}};
  for (std::int64_t i = 0; i < size; ++i) {
    const std::int64_t value = i * 7 % size;
    const std::int64_t half = value / 2;
    table.data.push_back(mil::is_float(dtype) ? static_cast<double>(value) / 64 - 1 : static_cast<double>(half));
  }
  return table;
}

reference::Tensor random_bytes(std::int64_t size, std::mt19937& random) {
  reference::Tensor bytes{{DType::uint8, {size}}, {}};
  std::uniform_int_distribution<int> byte(0, 255);
  for (std::int64_t i = 0; i < size; ++i) bytes.data.push_back(byte(random));
  return bytes;
}

TEST_CASE("tables of every size expand to weights", "[device][host]") {
  const DType dtype = GENERATE(DType::fp16, DType::fp32, DType::int8, DType::uint8);
  const auto [size, bits] = GENERATE(table<std::int64_t, std::int64_t>({{2, 1}, {4, 2}, {16, 4}, {64, 6}, {256, 8}}));
  const bool in_blobs = GENERATE(true, false);
  CAPTURE(mil::name(dtype), size, in_blobs);
  std::mt19937 random(11);
  Stored stored{{}, in_blobs};
  // 5 * 7 elements do not fill the last byte.
  const std::string operations =
      "tensor<" + std::string(mil::name(dtype)) + ", [5, 7]> w = constexpr_lut_to_dense()[" +
      stored("indices", random_bytes((35 * bits + 7) / 8, random)) + ", " + stored("lut", table_of(dtype, size)) +
      ", name = string(\"w\"), shape = tensor<uint32, [2]>([5, 7])];" +
      "tensor<fp32, [5, 7]> f = cast(x = w, dtype = string(\"fp32\")); tensor<fp32, [5, 7]> y = add(x = x, y = f);";
  check_against_reference(program_of("tensor<fp32, [5, 7]> x", operations, "y, w"), 2, tolerance_of(DType::fp32),
                          stored.blobs);
}

TEST_CASE("sparse weights, and weights of tables in a convolution", "[device][host]") {
  const bool in_blobs = GENERATE(true, false);
  std::mt19937 random(12);
  reference::Tensor mask = random_bytes(6, random);
  mask.data.back() = static_cast<double>(static_cast<int>(mask.data.back()) & 0x0F);  // 44 elements
  std::int64_t set = 0;
  for (const double byte : mask.data) set += std::popcount(static_cast<unsigned>(byte));
  Stored stored{{}, in_blobs};
  const std::string operations =
      "tensor<fp16, [4, 11, 1, 1]> w = constexpr_sparse_to_dense()[" +
      stored("nonzero_data", table_of(DType::fp16, set)) + ", " + stored("mask", mask) +
      ", name = string(\"w\"), shape = tensor<uint32, [4]>([4, 11, 1, 1])];" +
      "tensor<fp16, [3, 4, 1, 1]> v = constexpr_lut_to_dense()[" + stored("indices", random_bytes(6, random)) + ", " +
      stored("lut", table_of(DType::fp16, 16)) + ", shape = tensor<uint32, [4]>([3, 4, 1, 1])];" +
      "tensor<fp16, [1, 4, 1, 32]> c = conv(x = x, weight = w); tensor<fp16, [1, 3, 1, 32]> y = conv(x = c, weight = "
      "v);";
  check_against_reference(program_of("tensor<fp16, [1, 11, 1, 32]> x", operations, "y, c"), 3,
                          2 * tolerance_of(DType::fp16), stored.blobs);
}

TEST_CASE("bits are read from the lowest on, across bytes", "[device][host]") {
  // 6 bits each: 1, 2, 3 and 4 are 000001 000010 000011 000100 from the lowest on.
  std::string table = "[0";
  for (int i = 1; i < 64; ++i) table += ", " + std::to_string(i);
  const auto results = results_of(
      program_of(
          "tensor<fp16, [1]> x",
          "tensor<uint8, [4]> y = constexpr_lut_to_dense()[indices = tensor<uint8, [3]>([129, 48, 16]), lut = "
          "tensor<uint8, [64]>(" +
              table +
              "]), shape = tensor<uint32, [1]>([4])];"
              "tensor<fp16, [5]> z = constexpr_sparse_to_dense()[mask = tensor<uint8, [1]>([12]), nonzero_data = "
              "tensor<fp16, [2]>([5, 6]), shape = tensor<uint32, [1]>([5])];",
          "y, z"),
      {{{DType::fp16, {1}}, {0}}});
  CHECK(results[0] == Numbers{1, 2, 3, 4});
  CHECK(results[1] == Numbers{0, 0, 5, 6, 0});
}

TEST_CASE("a mask that does not match its values is refused when the kernel is created", "[device][host]") {
  for (const double last : {0x0D, 0x1C}) {  // one bit too many; one past the last of 12 elements
    const mil::Blobs blobs{{"mask", blob_file({{DType::uint8, {2}}, {1, last}})}};
    const mil::Program program =
        program_of("tensor<fp16, [12]> x",
                   "tensor<fp16, [12]> w = constexpr_sparse_to_dense()[name = string(\"w\"), mask = tensor<uint8, "
                   "[2]>(BLOBFILE(path = string(\"mask\"), offset = uint64(64))), nonzero_data = tensor<fp16, [3]>([1, "
                   "2, 3]), shape = "
                   "tensor<uint32, [1]>([12])]; tensor<fp16, [12]> y = add(x = x, y = w);");
    math::ThreadPool pool(1);
    HostDevice device(pool);
    CHECK_THROWS_AS(device.compile("kernel", mil::print(program), blobs), CompileError);
    CHECK_THROWS_WITH(device.compile("kernel", mil::print(program), blobs),
                      ANE_CONTAINS("op 'w': the mask sets 4 bits"));
  }
}

}  // namespace
}  // namespace ane::device::host
