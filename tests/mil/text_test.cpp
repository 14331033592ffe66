#include "ane/mil/text.h"

#include <cmath>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "ane/mil/op_view.h"
#include "ane/mil/verify.h"

#include "samples.h"
#include "support/catch.h"

namespace ane::mil {
namespace {

/// Gate and projection, in the layout of the printer.
constexpr std::string_view kGatedProjection = R"mil(program(1.3)
[buildInfo = dict<string, string>({{"coremlc-component-MIL", "3510.2.1"}, {"coremlc-version", "3505.4.1"}, {"coremltools-component-milinternal", ""}, {"coremltools-version", "9.0"}})]
{
    func main<ios18>(tensor<fp16, [1, 128, 1, 64]> pack) {
        tensor<int32, [4]> from_u = const()[name = string("from_u"), val = tensor<int32, [4]>([0, 0, 0, 0])];
        tensor<int32, [4]> from_g = const()[name = string("from_g"), val = tensor<int32, [4]>([0, 64, 0, 0])];
        tensor<int32, [4]> half = const()[name = string("half"), val = tensor<int32, [4]>([1, 64, 1, 64])];
        tensor<fp16, [1, 64, 1, 64]> u = slice_by_size(x = pack, begin = from_u, size = half)[name = string("u")];
        tensor<fp16, [1, 64, 1, 64]> g = slice_by_size(x = pack, begin = from_g, size = half)[name = string("g")];
        tensor<fp16, [1, 64, 1, 64]> su = sigmoid(x = u)[name = string("su")];
        tensor<fp16, [1, 64, 1, 64]> act = mul(x = u, y = su)[name = string("act")];
        tensor<fp16, [1, 64, 1, 64]> gate = mul(x = act, y = g)[name = string("gate")];
        tensor<fp16, [32, 64, 1, 1]> w = const()[name = string("w"), val = tensor<fp16, [32, 64, 1, 1]>(BLOBFILE(path = string("@model_path/weights/w.bin"), offset = uint64(64)))];
        string kind = const()[name = string("kind"), val = string("valid")];
        tensor<int32, [2]> one2 = const()[name = string("one2"), val = tensor<int32, [2]>([1, 1])];
        tensor<int32, [4]> none4 = const()[name = string("none4"), val = tensor<int32, [4]>([0, 0, 0, 0])];
        int32 solo = const()[name = string("solo"), val = int32(1)];
        tensor<fp16, [1, 32, 1, 64]> proj = conv(dilations = one2, groups = solo, pad = none4, pad_type = kind, strides = one2, weight = w, x = gate)[name = string("proj")];
        int32 chan = const()[name = string("chan"), val = int32(1)];
        bool plain = const()[name = string("plain"), val = bool(false)];
        tensor<fp16, [1, 96, 1, 64]> out = concat(axis = chan, interleave = plain, values = (proj, gate))[name = string("out")];
    } -> (out);
}
)mil";

/// Causal attention for two heads, in the older dialect, without spaces where none are needed; a blob mask, constants
/// both named and inline.
constexpr std::string_view kAttention = R"mil(program(1.0)
[buildInfo=dict<tensor<string,[]>,tensor<string,[]>>({{"coremlc-version","3505.4.1"}})]
{
  func main<ios16>(tensor<fp16,[1,48,1,32]> x){
    tensor<int32,[4]> sz=const()[name=tensor<string,[]>("sz"),val=tensor<int32,[4]>([1,16,1,32])];
    tensor<fp16,[1,16,1,32]> q=slice_by_size(x=x,begin=tensor<int32,[4]>([0,0,0,0]),size=sz)[name=tensor<string,[]>("q")];
    tensor<fp16,[1,16,1,32]> k=slice_by_size(x=x,begin=tensor<int32,[4]>([0,16,0,0]),size=sz)[name=tensor<string,[]>("k")];
    tensor<fp16,[1,16,1,32]> v=slice_by_size(x=x,begin=tensor<int32,[4]>([0,32,0,0]),size=sz)[name=tensor<string,[]>("v")];
    tensor<int32,[4]> heads=const()[name=tensor<string,[]>("heads"),val=tensor<int32,[4]>([1,2,8,32])];
    tensor<int32,[4]> pm=const()[name=tensor<string,[]>("pm"),val=tensor<int32,[4]>([0,1,3,2])];
    tensor<fp16,[1,2,8,32]> qh=reshape(x=q,shape=heads)[name=tensor<string,[]>("qh")];
    tensor<fp16,[1,2,8,32]> kh=reshape(x=k,shape=heads)[name=tensor<string,[]>("kh")];
    tensor<fp16,[1,2,8,32]> vh=reshape(x=v,shape=heads)[name=tensor<string,[]>("vh")];
    tensor<fp16,[1,2,32,8]> qt=transpose(x=qh,perm=pm)[name=tensor<string,[]>("qt")];
    tensor<fp16,[1,2,32,8]> kt=transpose(x=kh,perm=pm)[name=tensor<string,[]>("kt")];
    tensor<fp16,[1,2,32,8]> vt=transpose(x=vh,perm=pm)[name=tensor<string,[]>("vt")];
    tensor<bool,[]> yes=const()[name=tensor<string,[]>("yes"),val=tensor<bool,[]>(true)];
    tensor<bool,[]> no=const()[name=tensor<string,[]>("no"),val=tensor<bool,[]>(false)];
    tensor<fp16,[1,2,32,32]> sc=matmul(transpose_x=no,transpose_y=yes,x=qt,y=kt)[name=tensor<string,[]>("sc")];
    tensor<fp16,[]> c=const()[name=tensor<string,[]>("c"),val=tensor<fp16,[]>(0x1.6ap-2)];
    tensor<fp16,[1,2,32,32]> ss=mul(x=sc,y=c)[name=tensor<string,[]>("ss")];
    tensor<fp16,[1,1,32,32]> mask=const()[name=tensor<string,[]>("mask"),val=tensor<fp16,[1,1,32,32]>(BLOBFILE(offset=tensor<uint64,[]>(64),path=tensor<string,[]>("@model_path/masks/m.bin")))];
    tensor<fp16,[1,2,32,32]> ms=add(x=ss,y=mask)[name=tensor<string,[]>("ms")];
    tensor<fp16,[1,2,32,32]> pr=softmax(axis=tensor<int32,[]>(-1),x=ms)[name=tensor<string,[]>("pr")];
    tensor<fp16,[1,2,32,8]> ao=matmul(transpose_x=no,transpose_y=no,x=pr,y=vt)[name=tensor<string,[]>("ao")];
    tensor<fp16,[1,2,8,32]> at=transpose(x=ao,perm=pm)[name=tensor<string,[]>("at")];
    tensor<fp16,[1,16,1,32]> out=reshape(x=at,shape=sz)[name=tensor<string,[]>("out")];
  }->(out);
})mil";

/// RMSNorm by pow -0.5 and SwiGLU with weights in the input, sliced along the width. Scalars in both forms.
constexpr std::string_view kDynamic = R"mil(
program ( 1.3 )
[ buildInfo = dict < string , string > ( { { "coremlc-version" , "3505.4.1" } } ) , note = string("kept [nowhere]") ]
{ func main < ios18 > ( tensor < fp16 , [ 1 , 64 , 1 , 160 ] > in ) [ hint = dict<string, int32>({{"a", 1}}) ] {
  tensor<int32, [4]> b0 = const()[name = string("b0"), val = tensor<int32, [4]>([0, 0, 0, 0])];
  tensor<int32, [4]> s0 = const()[name = string("s0"), val = tensor<int32, [4]>([1, 64, 1, 32])];
  tensor<fp16, [1, 64, 1, 32]> x = slice_by_size(begin = b0, size = s0, x = in)[name = string("x")];
  tensor<fp16, [1, 64, 1, 128]> w = slice_by_size(x = in, begin = tensor<int32, [4]>([0, 0, 0, 32]), size = tensor<int32, [4]>([1, 64, 1, -1]))[name = string("w")];
  tensor<fp16, [1, 64, 1, 32]> sq = mul(x = x, y = x)[name = string("sq")];
  tensor<int32, [1]> ax = const()[name = string("ax"), val = tensor<int32, [1]>([1])];
  bool kd = const()[name = string("kd"), val = bool(true)];
  tensor<fp16, [1, 1, 1, 32]> ss = reduce_sum(x = sq, axes = ax, keep_dims = kd)[name = string("ss")];
  fp16 invd = const()[name = string("invd"), val = fp16(0.015625)];
  tensor<fp16, [1, 1, 1, 32]> ms = mul(x = ss, y = invd)[name = string("ms")];
  tensor<fp16, []> eps = const()[name = string("eps"), val = fp16(1e-5)];
  tensor<fp16, [1, 1, 1, 32]> me = add(x = ms, y = eps)[name = string("me")];
  tensor<fp16, [1, 1, 1, 32]> r = pow(x = me, y = fp16(-0.5))[name = string("r")];
  tensor<fp16, [1, 64, 1, 32]> xn = mul(x = x, y = r)[name = string("xn")];
  tensor<fp16, [1, 1, 64, 32]> xr = reshape(x = xn, shape = tensor<int32, [4]>([1, 1, 64, 32]))[name = string("xr")];
  tensor<fp16, [1, 1, 64, 128]> wr = reshape(x = w, shape = tensor<int32, [4]>([1, 1, 64, 128]))[name = string("wr")];
  tensor<fp16, [1, 1, 32, 128]> h = matmul(transpose_x = bool(true), transpose_y = bool(false), x = xr, y = wr)[name = string("h")];
  tensor<fp16, [1, 1, 32, 64]> h1, tensor<fp16, [1, 1, 32, 64]> h3 = split(axis = int32(3), num_splits = int32(2), x = h)[name = string("h")];
  tensor<fp16, [1, 1, 32, 64]> sg = sigmoid(x = h1);
  tensor<fp16, [1, 1, 32, 64]> act = mul(x = h1, y = sg);
  tensor<fp16, [1, 1, 32, 64]> out = mul(x = act, y = h3)[name = string("out")];
} -> ( out ) ; }
)mil";

Program declared(Program program, Version version, OpSet opset) {
  program.version = version;
  for (Function& function : program.functions) function.opset = opset;
  return program;
}

struct Malformed {
  std::string text;
  std::string message;
};

std::string in_main(const std::string& statement) {
  return "program(1.3)\n{\n    func main<ios18>(tensor<fp16, [2, 4]> x) {\n        " + statement +
         "\n    } -> (y);\n}\n";
}

std::vector<Malformed> malformed() {
  return {
      {"", "line 1, column 1: expected 'program', found the end of the text"},
      {"\n  model(1.3)", "line 2, column 3: expected 'program', found 'model'"},
      {"program(2.0) {}", "line 1, column 9: program version 2.0 is not supported, expected 1.0, 1.3 or 1.5"},
      {"program(1.3) {}", "line 1, column 15: expected 'func', found '}'"},
      {"program(1.0)\n{ func main<ios18>() {",
       "line 2, column 13: function 'main' is for ios18, but program(1.0) allows ios13 to ios17: the dialects must "
       "not be mixed"},
      {"program(1.3)\n{ func main<ios19>() {",
       "line 2, column 13: unknown operation set 'ios19', expected ios13 to ios18 or ios26"},
      {"program(1.3){func main<ios18>(tensor<fp16, [1]> x, state<tensor<fp16, [1, 4]>> kv) {",
       "line 1, column 52: state inputs are not supported: make 'kv' an input, and the value written to it an output"},
      {"program(1.3){func main<ios18>(tensor<fp16, [1, ?]> x) {",
       "line 1, column 48: flexible dimension '?': give a fixed shape to 'x'"},
      {"program(1.3){func main<ios18>(tensor<fp16, [1, ?",
       "line 1, column 48: flexible dimension '?': give a fixed shape"},
      {"program(1.3)[buildInfo = dict<string, int32>({})]", "line 1, column 39: expected string or tensor<string, []>"},
      {"program(1.3)[a = [(]", "line 1, column 21: expected ']', found the end of the text"},
      {"program(1.3)[a = >]", "line 1, column 18: expected a value, found '>'"},
      {"program(1.3){func main<ios18>(string s) {", "line 1, column 31: an input cannot be a string"},
      {"program(1.3){func main<ios18>(tensor<fp16, [1]> x) {} -> (x);} x",
       "line 1, column 64: expected the end of the text, found 'x'"},
      {"program(1.3){func main<ios18>(tensor<fp16, [1]> x) {} -> ();}",
       "line 1, column 55: function 'main' returns nothing"},
      {"program(1.3){func main<ios18>(tensor<fp16, [1]> x) {} -> (x); func main<ios18>",
       "line 1, column 68: function 'main' is defined twice"},
      {in_main("tensor<fp16, [2, 4]> y = frobnicate(x = x);"),
       "line 4, column 34: operation 'frobnicate' is not supported; supported: const, conv, matmul,"},
      {in_main("tensor<fp16, [2, 4]> y = exp(x = z);"), "line 4, column 42: 'z' is not defined"},
      {in_main("tensor<fp16, [2, 4]> y = exp(x = y);"), "line 4, column 42: 'y' is not defined"},
      {in_main("tensor<fp16, [2, 4]> x = exp(x = x);"), "line 4, column 30: 'x' is already defined"},
      {in_main("tensor<fp16, [2, 4]> z = exp(x = x);"), "line 5, column 11: 'y' is not defined"},
      {in_main("tensor<fp16, [2, 5]> y = exp(x = x);"),
       "line 4, column 9: op 'y' (exp): 'y' is declared as fp16 [2, 5], but the operation gives fp16 [2, 4]"},
      {in_main("tensor<fp16, [2, 4]> y = exp(x = x)"), "line 5, column 5: expected ';', found '}'"},
      {in_main("tensor<fp16, [2, 4]> y = exp(x = x;"), "line 4, column 43: expected ',' or ')', found ';'"},
      {in_main("tensor<fp16, [2, 4]> y = exp(x x);"), "line 4, column 40: expected '=', found 'x'"},
      {in_main("tensor<fp16, [2, 4]> y = exp(x = 0.5);"),
       "line 4, column 42: expected a value's name or a constant such as int32(1), found '0.5'"},
      {in_main("tensor<fp16, [2, 4]> y = exp(x = x)[name = x];"),
       "line 4, column 45: an operation's name must be written as a string"},
      {in_main("tensor<fp17, [2, 4]> y = exp(x = x);"), "line 4, column 16: 'fp17' is not a supported element type"},
      {in_main("tensor<fp16, [2, ?]> y = exp(x = x);"),
       "line 4, column 26: flexible dimension '?': give a fixed shape to 'y'"},
      {in_main("tensor<fp16, [2, 4]> y = exp(x = true);"), "line 4, column 9: op 'y' (exp): argument 'x' must be"},
      {in_main("tensor<fp16, [2, 4]> y = lstm(x = x);"), "line 4, column 34: operation 'lstm' is not supported"},
      {in_main("tensor<fp16, [2, 4.5]> y = exp(x = x);"), "line 4, column 26: '4.5' is not a dimension"},
      {in_main("tensor<fp16, [2, -4]> y = exp(x = x);"),
       "line 4, column 22: shape [2, -4] has dimension -4, expected 1 to 2147483647"},
      {in_main("tensor<fp16, [2147483647, 2147483647]> y = exp(x = x);"),
       "line 4, column 22: shape [2147483647, 2147483647] has more than 2^40 elements"},
      {in_main("tensor<fp16, [1, 1, 1, 1, 1, 1, 1, 1, 1]> y = exp(x = x);"),
       "line 4, column 47: a tensor has at most 8 dimensions"},
      {in_main("dict<string, string> y = exp(x = x);"), "line 4, column 9: 'dict' is not a supported element type"},
      {in_main("fp16 y = const()[val = fp16(1.0.0)];"), "line 4, column 37: '1.0.0' is not a fp16 number"},
      {in_main("fp16 y = const()[val = fp16(70000)];"),
       "line 4, column 37: 70000 does not fit fp16, whose largest number is 65504"},
      {in_main("fp32 y = const()[val = fp32(1e39)];"), "line 4, column 37: '1e39' is not a fp32 number"},
      {in_main("fp16 y = const()[val = fp16([1])];"), "line 4, column 37: expected a number, found '['"},
      {in_main("int8 y = const()[val = int8(200)];"),
       "line 4, column 37: '200' is not a int8 number, expected -128 to 127"},
      {in_main("int32 y = const()[val = int32(1.5)];"), "line 4, column 39: '1.5' is not a int32 number"},
      {in_main("bool y = const()[val = bool(1)];"), "line 4, column 37: expected true or false, found '1'"},
      {in_main("string y = const()[val = string(a)];"), "line 4, column 41: expected a string, found 'a'"},
      {in_main("string y = const()[val = string(\"a)];"),
       "line 4, column 41: this string has no closing quote on its line"},
      {in_main(R"(string y = const()[val = string("\q")];)"), "line 4, column 41: this string has an unknown escape"},
      {in_main("tensor<int32, [3]> y = const()[val = tensor<int32, [3]>([1, 2])];"),
       "line 4, column 65: 3 elements are needed here for a constant of type int32 [3], found 2"},
      {in_main("tensor<int32, [1]> y = const()[val = tensor<int32, [1]>([1, 2])];"),
       "line 4, column 69: more than 1 elements for a constant of type int32 [1]"},
      {in_main("tensor<int32, [2, 2, 1]> y = const()[val = tensor<int32, [2, 2, 1]>([[1, 2], [3, 4]])];"),
       "line 4, column 78: lists are nested 2 deep, but the constant is int32 [2, 2, 1]"},
      {in_main("tensor<int32, [2, 2]> y = const()[val = tensor<int32, [2, 2]>([[1, 2], 3])];"),
       "line 4, column 80: expected '[', found '3'"},
      {in_main("tensor<fp16, [4]> y = const()[val = tensor<fp16, [4]>(BLOBFILE(path = string(\"w\")))];"),
       "line 4, column 63: BLOBFILE needs a path and an offset"},
      {in_main("tensor<fp16, [4]> y = const()[val = tensor<fp16, [4]>(BLOBFILE(file = string(\"w\")))];"),
       "line 4, column 72: BLOBFILE takes path and offset, found 'file'"},
      {in_main("tensor<fp16, [4]> y = const()[val = tensor<fp16, [4]>(BLOBFILE(path = string(\"w\"), offset = "
               "int32(64)))];"),
       "line 4, column 101: the offset must be uint64(...)"},
      {in_main("tensor<fp16, [4]> y = const()[val = tensor<fp16, [4]>(BLOBFILE(path = string(\"w\"), offset = "
               "uint64(-1)))];"),
       "line 4, column 108: '-1' is not a uint64 number"},
      {in_main("string y = const()[val = string(\"valid\")];"),
       "line 5, column 7: function 'main' returns 'y', which is a string"},
      {in_main("tensor<fp16, [2, 4]> y = exp(x = x)[name = string(\"\x01\")];\x02"),
       "line 4, column 65: unexpected byte 0x02"},
      {in_main("tensor<fp16, [2, 4]> y = exp(x = \xC3\xA9);"), "line 4, column 42: unexpected byte 0xc3"},
  };
}

/// Any text must give a program or a ParseError.
bool reads(std::string_view text) {
  try {
    const Program program = parse(text);
    verify(program);
    REQUIRE(parse(print(program)) == program);
    return true;
  } catch (const ParseError&) {
    return false;
  }
}

}  // namespace

TEST_CASE("text in our own layout prints unchanged", "[mil]") {
  const Program program = parse(kGatedProjection);
  CHECK(print(program) == kGatedProjection);
  CHECK(program.version == Version::v1_3);
  CHECK(program.main().opset == OpSet::ios18);
  CHECK(program.build_info == default_build_info(Dialect::ios18));
  CHECK(program.main().operations[3].where.line == 8);
  CHECK(program.main().operations[3].where.column == 9);
  CHECK(program.main().operations[8].name == "w");
}

TEST_CASE("attention in the older dialect is parsed with any spacing", "[mil]") {
  const Program program = parse(kAttention);
  CHECK(program.version == Version::v1_0);
  CHECK(program.main().opset == OpSet::ios16);
  CHECK(program.build_info == default_build_info(Dialect::ios16));
  const Function& main = program.main();
  REQUIRE(main.outputs.size() == 1);
  CHECK(main.value(main.outputs[0]) == Value{"out", {DType::fp16, {1, 16, 1, 32}}});
  const std::string printed = print(program);
  CHECK_THAT(printed, ANE_CONTAINS("        tensor<bool, []> yes = const()[name = tensor<string, []>(\"yes\"), val = "
                                   "tensor<bool, []>(true)];\n"));
  CHECK_THAT(printed, ANE_CONTAINS("softmax(axis = tensor<int32, []>(-1), x = ms)"));
  CHECK_THAT(printed,
             ANE_CONTAINS(
                 "BLOBFILE(path = tensor<string, []>(\"@model_path/masks/m.bin\"), offset = tensor<uint64, []>(64))"));
  CHECK(parse(printed) == program);
}

TEST_CASE("dynamic weights, mixed scalar forms and unknown attributes are parsed", "[mil]") {
  const Program program = parse(kDynamic);
  const Function& main = program.main();
  const auto find = [&](std::string_view result) -> const Operation& {
    for (const Operation& operation : main.operations)
      if (main.value(operation.results.front()).name == result) return operation;
    throw Error("no such result");
  };
  // 1e-5 is rounded to the nearest fp16, a subnormal.
  CHECK(OpView(main, find("eps")).real("val", 0) == 0x1.5p-17F);
  CHECK(OpView(main, find("r")).real("y", 0) == -0.5F);
  CHECK(OpView(main, find("w")).integers("size") == std::vector<std::int64_t>{1, 64, 1, -1});
  CHECK(find("h1").results.size() == 2);
  CHECK(find("sg").name.empty());
  CHECK_THAT(print(program), ANE_CONTAINS("fp16 eps = const()[name = string(\"eps\"), val = fp16(0x1.5p-17)];"));
  CHECK(parse(print(program)) == program);
}

TEST_CASE("every operation survives printing and parsing in every declared version", "[mil]") {
  for (const auto& sample : samples::all()) {
    const Program program = parse(samples::text(sample.inputs, sample.body));
    for (const auto& [version, opset] : std::vector<std::pair<Version, OpSet>>{
             {Version::v1_0, OpSet::ios16}, {Version::v1_3, OpSet::ios18}, {Version::v1_5, OpSet::ios26}}) {
      const Program expected = declared(program, version, opset);
      const std::string text = print(expected);
      CAPTURE(text);
      CHECK(parse(text) == expected);
      CHECK(print(parse(text)) == text);
    }
  }
}

TEST_CASE("printing preserves the declared version and operation set", "[mil]") {
  for (const std::string version : {"1.0", "1.3", "1.5"}) {
    for (const std::string opset : {"ios13", "ios14", "ios15", "ios16", "ios17", "ios18", "ios26"}) {
      if (version == "1.0" && opset >= "ios18") continue;
      const std::string text = "program(" + version + ")\n{ func main<" + opset +
                               ">(tensor<fp16, [2]> x) { tensor<fp16, [2]> y = relu(x = x); } -> (y);" +
                               "func other<ios16>(tensor<fp16, [2]> x) { tensor<fp16, [2]> y = abs(x = x); } -> (y); }";
      const Program program = parse(text);
      const std::string printed = print(program);
      CAPTURE(printed);
      CHECK(printed.starts_with("program(" + version + ")\n"));
      CHECK_THAT(printed, ANE_CONTAINS("func main<" + opset + ">("));
      CHECK_THAT(printed, ANE_CONTAINS("func other<ios16>("));
      CHECK(parse(printed) == program);
    }
  }
}

TEST_CASE("bare true and false are constants, unless values have these names", "[mil]") {
  const Program bare = parse(in_main("tensor<fp16, [2, 2]> y = matmul(x = x, y = x, transpose_y = true);"));
  CHECK(bare == parse(in_main("tensor<fp16, [2, 2]> y = matmul(x = x, y = x, transpose_y = bool(true));")));
  const Program named = parse(
      in_main("bool true = const()[val = bool(false)]; tensor<fp16, [4, 4]> y = matmul(x = x, y = x, transpose_x = "
              "bool(true), transpose_y = true);"));
  CHECK_FALSE(OpView(named.main(), named.main().operations.back()).flag("transpose_y", true));
  CHECK(parse(print(bare)) == bare);
  CHECK(parse(print(named)) == named);
}

TEST_CASE("attributes that do not affect the computation are skipped, whatever their value", "[mil]") {
  const std::string remarks =
      R"(a = list<string, 2>({"x", "y]"}), b = dict<string, fp64>({{"k", fp64(0x1p-1074)}}), c = fp64(1e300), d = [1, [2]])";
  CHECK(parse(in_main("tensor<fp16, [2, 4]> y = exp(x = x)[" + remarks + ", name = string(\"y\"), e = q];")) ==
        parse(in_main("tensor<fp16, [2, 4]> y = exp(x = x)[name = string(\"y\")];")));
  CHECK(parse(in_main("fp16 y = const()[" + remarks + ", val = fp16(1), name = string(\"y\")];")) ==
        parse(in_main("fp16 y = const()[name = string(\"y\"), val = fp16(1)];")));
  CHECK_THROWS_WITH(parse(in_main("tensor<fp16, [2, 4]> y = exp(x = x)[a = (];")),
                    ANE_CONTAINS("expected a value, found '}'"));
}

TEST_CASE("several functions, names like types and other attributes are parsed", "[mil]") {
  const Program program = parse(R"(program(1.3) {
      func first<ios18>(tensor<fp16, [2]> fp16, tensor<bool, [2]> bool) {
        tensor<fp16, [2]> tensor = select(cond = bool, a = fp16, b = fp16(2))[name = string("a \"b\""), remark = int32(7)];
      } -> (tensor, fp16);
      func second<ios18>(tensor<fp16, [2]> x) { tensor<fp16, [2]> y = abs(x = x); } -> (y); })");
  REQUIRE(program.functions.size() == 2);
  CHECK(program.functions[0].operations[0].name == "a \"b\"");
  CHECK(program.functions[0].operations[0].attributes.empty());
  CHECK(program.functions[0].outputs == std::vector<ValueId>{2, 0});
  CHECK(parse(print(program)) == program);
}

TEST_CASE("flat and nested constants are equivalent", "[mil]") {
  const auto constant = [](const std::string& elements) {
    return parse(samples::text("", "tensor<fp32, [2, 3]> y = const()[val = tensor<fp32, [2, 3]>(" + elements + ")];"));
  };
  const Program nested = constant("[[1, -2.5, 0x1p-3], [inf, -inf, 1e-5]]");
  CHECK(constant("[1, -2.5, .125, inf, -inf, 0.00001]") == nested);
  CHECK_THAT(print(nested), ANE_CONTAINS("([[1.0, -2.5, 0.125], [inf, -inf, 1e-05]])"));
  const Program nan = constant("[nan, nan, nan, nan, nan, nan]");
  CHECK(parse(print(nan)) == nan);
}

TEST_CASE("malformed text is refused with position and reason", "[mil]") {
  for (const auto& [text, message] : malformed()) {
    CAPTURE(text);
    CHECK_THROWS_AS(parse(text), ParseError);
    CHECK_THROWS_WITH(parse(text), Catch::Matchers::StartsWith(message));
  }
}

TEST_CASE("the position of an error is available as data", "[mil]") {
  try {
    static_cast<void>(parse(in_main("tensor<fp16, [2, 4]> y = exp(x = z);")));
    FAIL("read a program with an unknown name");
  } catch (const ParseError& error) {
    CHECK(error.where().line == 4);
    CHECK(error.where().column == 42);
  }
}

TEST_CASE("text truncated anywhere is refused", "[mil]") {
  for (const std::string_view text : {kGatedProjection, kAttention, kDynamic}) {
    const std::size_t whole = text.find_last_not_of(" \n") + 1;
    for (std::size_t length = 0; length < whole; ++length) {
      CAPTURE(length);
      REQUIRE_THROWS_AS(parse(text.substr(0, length)), ParseError);
    }
    REQUIRE_NOTHROW(parse(text.substr(0, whole)));
  }
}

TEST_CASE("damaged text causes nothing worse than a ParseError", "[mil]") {
  std::mt19937 random(7);  // NOLINT(cert-msc32-c,cert-msc51-cpp): the same damage on every run
  int refused = 0;
  for (const std::string_view original : {kGatedProjection, kAttention, kDynamic}) {
    for (int i = 0; i < 1500; ++i) {
      std::string text(original);
      for (int flips = 0; flips < 1 + i % 3; ++flips) {
        const std::size_t at = random() % text.size();
        switch (random() % 4) {
          case 0:
            text[at] = static_cast<char>(random() % 256);
            break;
          case 1:
            text.erase(at, 1 + random() % 8);
            break;
          case 2:
            text.insert(at, text.substr(random() % text.size(), random() % 16));
            break;
          default:
            text[at] = "0123456789[](){}<>,;=-"[random() % 22];
            break;
        }
      }
      CAPTURE(text);
      if (!reads(text)) ++refused;
    }
  }
  CHECK(refused > 3000);
}

TEST_CASE("hostile text is refused without exhausting memory or stack", "[mil]") {
  const std::string deep(1 << 20, '[');
  CHECK_FALSE(reads("program(1.3)[a = " + deep));
  CHECK_FALSE(reads(samples::text("", "tensor<int32, [2, 2]> y = const()[val = tensor<int32, [2, 2]>(" + deep)));
  CHECK_FALSE(reads("program(1.3)[buildInfo = dict<" + std::string(1 << 20, '<')));
  CHECK_FALSE(reads(samples::text("tensor<fp16, [1024, 1024]> x",
                                  "fp16 y = split(x = x, axis = int32(0), num_splits = int32(2000000000));")));
  CHECK_FALSE(reads(std::string(1 << 20, '(')));
  std::string twice = "tensor<fp16, [2, 4]> a0 = concat(axis = int32(1), values = (x, x));";
  for (int i = 1; i < 100; ++i) twice += "tensor<fp16, [2, 4]> a" + std::to_string(i) + " = exp(x = x);";
  CHECK_FALSE(reads(in_main(twice)));
}

TEST_CASE("many functions are parsed in linear time", "[mil][text]") {
  constexpr int kFunctions = 20000;
  std::string text = "program(1.3){";
  for (int i = 0; i < kFunctions; ++i) text += fmt::format("func f{}<ios18>(tensor<fp16, [1]> x) {{}} -> (x);", i);
  const Program program = parse(text + "}");
  CHECK(program.functions.size() == kFunctions);
  CHECK(program.functions.back().name == fmt::format("f{}", kFunctions - 1));
  CHECK(function_names(text + "}").size() == kFunctions);
  CHECK_THROWS_WITH(parse(text + "func f0<ios18>(tensor<fp16, [1]> x) {} -> (x);}"),
                    ANE_CONTAINS("function 'f0' is defined twice"));
}

TEST_CASE("one function is parsed regardless of the contents of the others", "[mil][text]") {
  const std::string good = "func good<ios18>(tensor<fp16, [1]> x) { tensor<fp16, [1]> y = relu(x = x); } -> (y);";
  const std::string strange =
      "func strange<ios99>(state<tensor<fp16, [?]>> s)[a = {1}] { list<fp64> y = lstm(x = ((s), [s]))[name = "
      "string(\"}; func lost\")]; } -> (y);";
  const Program expected = parse("program(1.3){" + good + "}");
  for (const std::string& functions : {good + strange, strange + good}) {
    const std::string text = "program(1.3){" + functions + "}";
    CAPTURE(text);
    CHECK_THROWS_AS(parse(text), ParseError);
    CHECK(parse_function(text, "good") == expected);
    CHECK_THROWS_AS(parse_function(text, "strange"), ParseError);
    CHECK(parse_function(text, "other").functions.empty());
    CHECK(function_names(text).size() == 2);
  }
  for (const std::string unfinished :
       {"func a<ios18>(", "func a<ios18>() }", "func a<ios18>() {} -> (x)", "func a) ;"}) {
    CAPTURE(unfinished);
    CHECK_THROWS_AS(function_names("program(1.3){" + unfinished), ParseError);
    CHECK_THROWS_AS(function_names("program(1.3){" + unfinished + "}"), ParseError);
  }
  CHECK_THROWS_WITH(function_names("program(1.3){" + good + strange + good + "}"),
                    ANE_CONTAINS("function 'good' is defined twice"));
}

}  // namespace ane::mil
