#include <array>
#include <memory>
#include <utility>

#include "attributes.h"
#include "direct.h"

// Uses the stand-in incorrectly, to show that it catches what the bridge must not do (ane.md 1.10).

namespace ane::device::apple {
namespace {

using objc::Id;

TEST_CASE("MIL text must be NSData, weights a dictionary", "[apple][standin]") {
  const Direct direct;
  const auto make = [&](Id text, Id weights) {
    return objc::guarded("making a descriptor", [&] {
      return direct.engine.make_descriptor(direct.engine.descriptor_type, text, weights, nullptr);
    });
  };
  const Sample sample = projection();
  const Id data = direct.foundation.data(std::as_bytes(std::span(sample.text)));
  CHECK(make(data, nullptr) == nullptr);
  CHECK(make(data, direct.weights({})) != nullptr);
  CHECK_THROWS_WITH(make(direct.foundation.string("program"), direct.weights({})),
                    "making a descriptor: the framework raised an Objective-C exception: NSInvalidArgumentException: "
                    "MIL text must be NSData");
}

TEST_CASE("an entry of the weights dictionary contains only the file", "[apple][standin]") {
  const Direct direct;
  const Foundation& foundation = direct.foundation;
  const Sample sample = projection();
  const auto& [key, bytes] = *sample.weights.begin();
  const auto make = [&, key = key](std::span<const std::pair<Id, Id>> entry) {
    const std::array<std::pair<Id, Id>, 1> weights{{{foundation.string(key), foundation.dictionary(entry)}}};
    return objc::guarded("making a descriptor", [&] {
      return direct.engine.make_descriptor(direct.engine.descriptor_type,
                                           foundation.data(std::as_bytes(std::span(sample.text))),
                                           foundation.dictionary(weights), nullptr);
    });
  };
  const std::pair<Id, Id> data{foundation.string("data"), foundation.data(bytes)};
  const std::array one{data};
  const std::array two{std::pair<Id, Id>{foundation.string("offset"), foundation.number(0)}, data};
  CHECK(make({}) == nullptr);
  CHECK(make(one) != nullptr);
  CHECK_THROWS_WITH(make(two), ANE_CONTAINS("2 entries; only one is safe"));
}

TEST_CASE("the identifier covers text and bytes of weights, and not their keys", "[apple][standin]") {
  const Direct direct;
  const auto identifier = [&](const Sample& sample) { return direct.identifier(direct.model(sample)); };
  Sample renamed = projection();
  renamed.weights = {{"@model_path/weights/other.bin", renamed.weights.begin()->second}};
  CHECK(identifier(projection(1)) == identifier(renamed));
  CHECK(identifier(projection(1)) != identifier(projection(2)));
  Sample longer = projection();
  longer.text += "\n";
  CHECK(identifier(projection(1)) != identifier(longer));
  CHECK(identifier(projection(1)).size() == 3 * 64 + 2);
}

TEST_CASE("a program stays in the cache until it is purged, and loads from there", "[apple][standin]") {
  Direct direct;
  const Sample sample = projection();
  const Id first = direct.loaded(sample);
  const std::filesystem::path directory = direct.directories.back()->path();
  CHECK(std::filesystem::exists(directory / "net.plist"));
  CHECK(std::filesystem::file_size(directory / "data") == sample.weights.begin()->second.bytes().size());
  direct.standin.fail("unload", 1);
  CHECK_FALSE(direct.unload(first).empty());
  CHECK_FALSE(std::filesystem::exists(directory));  // even though the unload failed
  CHECK(direct.unload(first).empty());
  CHECK(direct.standin.counts().cached == 1);

  const int compiles = direct.standin.counts().compiles;
  CHECK(direct.load(direct.model(sample)).empty());
  CHECK(direct.standin.counts().compiles == compiles);
  direct.engine.purge(first);
  CHECK(direct.standin.counts().cached == 0);
  const Id gone = direct.model(sample);
  CHECK_THAT(direct.load(gone), ANE_CONTAINS("is gone") && ANE_CONTAINS("code 16"));
  const auto written = direct.directory(gone, sample);
  CHECK(direct.load(gone).empty());  // the load compiles it
  CHECK(direct.standin.counts().compiles == compiles + 1);
}

TEST_CASE("errors have the framework's domains and codes", "[apple][standin]") {
  const Direct direct;
  const Id model = direct.model(projection());
  CHECK_THAT(direct.compile(model), ANE_CONTAINS("_ANECompiler : ANECCompile() FAILED") &&
                                        ANE_CONTAINS("domain com.apple.appleneuralengine.compiler, code 1"));
  CHECK_THAT(direct.unload(model), ANE_CONTAINS("domain com.apple.appleneuralengine, code 23"));
}

TEST_CASE("the compiler requires its directory to match the dictionary", "[apple][standin]") {
  const Direct direct;
  const Sample sample = projection();
  const Id model = direct.model(sample);
  CHECK_THAT(direct.compile(model), ANE_CONTAINS("there is no model.mil"));
  const auto directory = direct.directory(model, sample);
  const std::filesystem::path blob = directory->path() / "weights" / "w.bin";

  std::filesystem::resize_file(blob, 100);
  CHECK_THAT(direct.compile(model), ANE_CONTAINS("differs from the weights dictionary"));
  std::filesystem::remove(blob);
  CHECK_THAT(direct.compile(model), ANE_CONTAINS("cannot open " + blob.string()));
  std::filesystem::resize_file(directory->path() / "model.mil", 10);
  CHECK_THAT(direct.compile(model), ANE_CONTAINS("model.mil is not the descriptor's text"));
}

TEST_CASE("a broken blob record is refused", "[apple][standin]") {
  const Direct direct;
  Sample sample = projection();
  sample.weights.begin()->second.own()[64] = std::byte{0};
  const Id model = direct.model(sample);
  const auto directory = direct.directory(model, sample);
  CHECK_THAT(direct.compile(model), ANE_CONTAINS("InvalidMILProgram"));
}

TEST_CASE("models of equal content share a directory", "[apple][standin]") {
  Direct direct;
  const Sample sample = projection();
  CHECK(direct.identifier(direct.model(sample)) == direct.identifier(direct.model(sample)));
}

TEST_CASE("program 128 does not load until one is unloaded and released", "[apple][standin]") {
  Direct direct;
  const Sample sample = projection();
  const auto directory = direct.directory(direct.model(sample), sample);
  std::vector<objc::Owned> models;
  const auto load_one = [&] {
    const objc::AutoreleasePool pool(direct.frameworks.runtime);
    direct.standin.reset();                                              // the number of compilations is another limit
    static_cast<void>(directory->restore(sample.text, sample.weights));  // an unload deletes it
    models.push_back(objc::retained(direct.frameworks.runtime, direct.model(sample)));
    REQUIRE(direct.compile(models.back().get()).empty());
    return direct.load(models.back().get());
  };
  for (int i = 0; i < 127; ++i) REQUIRE(load_one().empty());
  CHECK_THAT(load_one(), ANE_CONTAINS("0x50004"));
  models.pop_back();
  CHECK(direct.unload(models.back().get()).empty());
  CHECK_THAT(load_one(), ANE_CONTAINS("0x50004"));
  models.pop_back();
  models.pop_back();
  CHECK(load_one().empty());
}

TEST_CASE("surfaces bind by sorted names, and a small one is an error that leaves the outputs", "[apple][standin]") {
  Direct direct;
  const Id model = direct.loaded(unsorted());  // inputs bias, tall; outputs scaled, whole
  const std::vector<IoSurfaceRef> in{direct.raw_surface(64), direct.raw_surface(4096)};
  const std::vector<IoSurfaceRef> out{direct.raw_surface(2048), direct.raw_surface(4096)};
  const auto& io = direct.frameworks.io_surface;
  static_cast<std::byte*>(io.base_address(out[0]))[0] = std::byte{77};

  CHECK_THAT(direct.evaluate(model, direct.request({in[1], in[0]}, out)), ANE_CONTAINS("status=0x1d"));
  CHECK_THAT(direct.evaluate(model, direct.request(in, {out[1], out[0]})), ANE_CONTAINS("status=0x1d"));
  CHECK_THAT(direct.evaluate(model, direct.request({in[0]}, out)), ANE_CONTAINS("status=0x2"));
  CHECK(static_cast<std::byte*>(io.base_address(out[0]))[0] == std::byte{77});

  REQUIRE(io.lock(in[0], 0, nullptr) == 0);
  CHECK_THAT(direct.evaluate(model, direct.request(in, out)), ANE_CONTAINS("a surface is locked"));
  CHECK(io.unlock(in[0], 1, nullptr) != 0);  // locked for writing, unlocked for reading
  REQUIRE(io.unlock(in[0], 0, nullptr) == 0);

  CHECK(direct.evaluate(model, direct.request(in, out)).empty());
  CHECK(static_cast<std::byte*>(io.base_address(out[0]))[0] == std::byte{0});
  CHECK(direct.unload(model).empty());
  CHECK_THAT(direct.evaluate(model, direct.request(in, out)), ANE_CONTAINS("not loaded"));
  direct.release(in);
  direct.release(out);
}

TEST_CASE("the mask of scaled_dot_product_attention is ignored", "[apple][standin]") {
  fresh_standin();
  Direct direct;
  mil::Builder b(mil::DType::fp16);
  const mil::Var q = b.input("q", {1, 2, 32, 32});
  const mil::Var mask = b.input("mask", {1, 1, 32, 32});
  const auto argument = [](std::string_view name, mil::Var value) {
    return mil::Argument{std::string(name), {value.id}, false};
  };
  const mil::Var out =
      b.operation(mil::OpKind::scaled_dot_product_attention, "attended",
                  {argument("query", q), argument("key", q), argument("value", q), argument("attn_mask", mask)})[0];
  const Sample sample{mil::print(std::move(b).finish(std::vector{out})), {}};
  const Id model = direct.loaded(sample);
  const std::vector<IoSurfaceRef> in{direct.raw_surface(32 * 64), direct.raw_surface(2 * 32 * 64)};
  const std::vector<IoSurfaceRef> outputs{direct.raw_surface(2 * 32 * 64)};
  const auto& io = direct.frameworks.io_surface;
  const Buffer queries = random_halves(2 * 32 * 32, 1);
  const auto attended = [&](std::uint32_t mask_seed) {
    const Buffer mask_values = random_halves(32 * 32, mask_seed);
    std::memcpy(io.base_address(in[0]), mask_values.data(), mask_values.size());
    std::memcpy(io.base_address(in[1]), queries.data(), queries.size());
    REQUIRE(direct.evaluate(model, direct.request(in, outputs)).empty());
    const auto* const bytes = static_cast<const std::byte*>(io.base_address(outputs[0]));
    return Buffer(bytes, bytes + 2 * 32 * 64);
  };
  CHECK(attended(2) == attended(3));
  direct.release(in);
  direct.release(outputs);
}

}  // namespace
}  // namespace ane::device::apple
