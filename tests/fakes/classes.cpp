#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <span>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <objc/runtime.h>

#include "export.h"
#include "program.h"
#include "state.h"
#include "surfaces.h"

// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming): the leak detector's names
extern "C" __attribute__((weak)) void __lsan_disable();
extern "C" __attribute__((weak)) void __lsan_enable();
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)

// The private framework's classes, registered with the Objective-C runtime when the library is loaded.

namespace ane::fakes {

State& state() {
  static State state;
  return state;
}

namespace {

using objc::Flag;
using objc::Id;

const device::apple::Foundation& foundation() { return state().gnustep().foundation; }
const objc::Runtime& runtime() { return state().gnustep().runtime; }

// ---- Objects with a C++ body.

struct Body {
  Body() { state().add(&Counts::objects, 1); }
  virtual ~Body() { state().add(&Counts::objects, -1); }
  Body(const Body&) = delete;
  Body& operator=(const Body&) = delete;
};

constexpr const char* kBodyVariable = "body";

template <class T>
T& body(Id object) {
  void* found = nullptr;
  object_getInstanceVariable(reinterpret_cast<id>(object), kBodyVariable, &found);
  if (found == nullptr) std::abort();  // not one of our objects: Apple's framework would crash as well
  return dynamic_cast<T&>(*static_cast<Body*>(found));
}

/// An autoreleased object of the class `type`.
Id make(Id type, std::unique_ptr<Body> body) {
  const Id object = objc::Message<Id>(runtime(), runtime().selector("new"))(type);
  object_setInstanceVariable(reinterpret_cast<id>(object), kBodyVariable, body.release());
  return objc::Message<Id>(runtime(), runtime().selector("autorelease"))(object);
}

void dealloc(Id self, SEL selector) {
  void* found = nullptr;
  object_getInstanceVariable(reinterpret_cast<id>(self), kBodyVariable, &found);
  delete static_cast<Body*>(found);
  Class parent = class_getSuperclass(object_getClass(reinterpret_cast<id>(self)));
  class_getMethodImplementation(parent, selector)(reinterpret_cast<id>(self), selector);
}

bool is_a(Id object, const char* type) {
  return object != nullptr && objc::Message<Flag, Id>(runtime(), runtime().selector("isKindOfClass:"))(
                                  object, runtime().find_class(type)) != 0;
}

/// Like Apple's runtime: the preprocessor sees the exception first.
[[noreturn]] void raise(const std::string& text) {
  Id exception = objc::Message<Id, Id, Id, Id>(runtime(), runtime().selector("exceptionWithName:reason:userInfo:"))(
      runtime().find_class("NSException"), foundation().string("NSInvalidArgumentException"), foundation().string(text),
      nullptr);
  if (const auto preprocessor = state().exception_preprocessor(); preprocessor != nullptr)
    exception = preprocessor(exception);
  objc::Message<void>(runtime(), runtime().selector("raise"))(exception);
  std::abort();
}

void expect(Id object, const char* type, const char* what) {
  if (!is_a(object, type)) raise(fmt::format("{} must be {}", what, type));
}

std::span<const std::byte> data_bytes(Id data) {
  const auto* const bytes = objc::Message<const void*>(runtime(), runtime().selector("bytes"))(data);
  const auto size = objc::Message<unsigned long>(runtime(), runtime().selector("length"))(data);
  return {static_cast<const std::byte*>(bytes), size};
}

std::string data_text(Id data) {
  const std::span<const std::byte> bytes = data_bytes(data);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

Flag refuse(Id* error, int code, const std::string& text, const char* domain = kEngineDomain) {
  if (error == nullptr) return 0;
  const Id key = *static_cast<Id*>(state().gnustep().library.find("NSLocalizedDescriptionKey"));
  const std::array<std::pair<Id, Id>, 1> info{{{key, foundation().string(text)}}};
  const Id type = runtime().find_class("NSError");
  *error = objc::Message<Id, Id, long, Id>(runtime(), runtime().selector("errorWithDomain:code:userInfo:"))(
      type, foundation().string(domain), code, foundation().dictionary(info));
  return 0;
}

/// Runs `call` and turns a refusal into NO and an NSError.
template <class Call>
Flag answer(const char* name, Id* error, Call&& call) {
  if (state().fails(name)) {
    if (state().raises()) raise(fmt::format("the stand-in was told to raise in {}", name));
    return refuse(error, 99, fmt::format("the stand-in was told to fail {}", name));
  }
  if (state().is_virtual() && !State::has_virtual_client()) {
    return refuse(error, kHostTooOld, fmt::format("{}: host too old for a virtual machine", name));
  }
  try {
    call();
    return 1;
  } catch (const Refusal& refusal) {
    return refuse(error, refusal.code, refusal.what(), refusal.domain);
  }
}

// ---- _ANEInMemoryModelDescriptor

struct Descriptor : Body {
  std::shared_ptr<const Source> source;
};

Id make_descriptor(Id self, SEL, Id text, Id weights, Id options) {
  if (state().fails("modelWithMILText")) return nullptr;
  expect(text, "NSData", "MIL text");
  if (weights == nullptr) return nullptr;
  expect(weights, "NSDictionary", "weights");
  auto source = std::make_shared<Source>();
  source->mil_text = data_text(text);
  if (options != nullptr) source->options = data_text(options);
  const std::vector<Id> keys =
      foundation().items(objc::Message<Id>(runtime(), runtime().selector("allKeys"))(weights)).value();
  for (const Id key : keys) {
    const std::string path = foundation().text(key).value();
    const Id entry = foundation().find(weights, path);
    const auto names = foundation().items(objc::Message<Id>(runtime(), runtime().selector("allKeys"))(entry)).value();
    if (names.empty()) return nullptr;
    // The framework uses the first value that it encounters; with several it is unspecified which.
    if (names.size() > 1) raise(fmt::format("the weight {} has {} entries; only one is safe", path, names.size()));
    const Id data = foundation().find(entry, foundation().text(names.front()).value());
    expect(data, "NSData", "data of a weight");
    const std::span<const std::byte> bytes = data_bytes(data);
    source->weights.emplace(path, std::vector<std::byte>(bytes.begin(), bytes.end()));
  }
  auto descriptor = std::make_unique<Descriptor>();
  descriptor->source = std::move(source);
  return make(self, std::move(descriptor));
}

// ---- _ANEInMemoryModel

struct Model : Body {
  ~Model() override {
    if (has_slot) state().add(&Counts::loaded, -1);
  }
  [[nodiscard]] std::string directory() const { return state().temporary_directory() + identifier; }

  std::shared_ptr<const Source> source;
  std::string identifier;
  std::unique_ptr<Program> program;
  bool is_loaded = false;
  bool has_slot = false;  ///< kept after unloading, until released
};

Id make_model(Id self, SEL, Id descriptor) {
  if (state().fails("inMemoryModelWithDescriptor")) return nullptr;
  auto model = std::make_unique<Model>();
  model->source = body<Descriptor>(descriptor).source;
  model->identifier = model->source->identifier();
  return make(self, std::move(model));
}

Id identifier(Id self, SEL) {
  if (state().fails("hexStringIdentifier")) return nullptr;
  return foundation().string(body<Model>(self).identifier);
}

/// The framework's own file writer: the text as net.plist, each weight as "data", the only key of its entry.
void write_own_files(const Model& model) {
  const std::filesystem::path directory = model.directory();
  std::ofstream(directory / "net.plist", std::ios::binary) << model.source->mil_text;
  if (model.source->weights.empty()) return;
  const std::span<const std::byte> last = std::prev(model.source->weights.end())->second.bytes();
  std::ofstream(directory / "data", std::ios::binary)
      .write(reinterpret_cast<const char*>(last.data()), static_cast<std::streamsize>(last.size()));
}

/// Compiles even if the daemon has the program. Throws Refusal.
void compile_anew(Model& model) {
  std::this_thread::sleep_for(state().compile_delay());
  auto program = std::make_unique<Program>(*model.source, model.directory());
  if (!state().try_add(&Counts::compiles, state().persona().compile_limit)) {
    throw Refusal(kCompileFailed, "_ANECompiler : ANECCompile() FAILED", kCompilerDomain);
  }
  write_own_files(model);
  model.program = std::move(program);
  state().cache(model.identifier);
}

Flag compile(Id self, SEL, unsigned, Id options, Id* error) {
  return answer("compile", error, [&] {
    expect(options, "NSDictionary", "options");
    auto& model = body<Model>(self);
    verify_files(*model.source, model.directory());
    compile_anew(model);
  });
}

Flag load(Id self, SEL, unsigned, Id options, Id* error) {
  return answer("load", error, [&] {
    expect(options, "NSDictionary", "options");
    auto& model = body<Model>(self);
    verify_files(*model.source, model.directory());
    // From the daemon's cache, whatever the directory contains by now; compiled if it is not there.
    if (!state().is_cached(model.identifier)) {
      if (!std::filesystem::exists(model.directory())) throw Refusal(kFileNotFound, model.directory() + " is gone");
      compile_anew(model);
    }
    if (model.program == nullptr) model.program = std::make_unique<Program>(*model.source);
    if (!model.has_slot && !state().try_add(&Counts::loaded, state().persona().resident_limit)) {
      throw Refusal(kLoadFailed, "Program load failure (0x50004)");
    }
    model.has_slot = true;
    model.is_loaded = true;
  });
}

Flag unload(Id self, SEL, unsigned, Id* error) {
  auto& model = body<Model>(self);
  std::error_code ignored;
  std::filesystem::remove_all(model.directory(), ignored);  // even if the unload then fails
  return answer("unload", error, [&] {
    if (!model.is_loaded) throw Refusal(kProgramNotFound, "Program not found");
    model.is_loaded = false;
  });
}

// ---- _ANEIOSurfaceObject

struct SurfaceObject : Body {
  explicit SurfaceObject(FakeSurface* shared) : surface(retain(shared)) {}
  ~SurfaceObject() override { release(surface); }
  FakeSurface* surface;
};

Id wrap_surface(Id self, SEL, FakeSurface* surface) {
  if (state().fails("objectWithIOSurface")) return nullptr;
  return make(self, std::make_unique<SurfaceObject>(surface));
}

// ---- _ANERequest

/// Surfaces by symbol index.
using Binding = std::vector<std::pair<std::uint64_t, objc::Owned>>;

struct Request : Body {
  Binding inputs;
  Binding outputs;
};

Binding make_binding(Id surfaces, Id indices) {
  expect(surfaces, "NSArray", "surfaces");
  expect(indices, "NSArray", "indices");
  const std::vector<Id> objects = foundation().items(surfaces).value();
  const std::vector<Id> numbers = foundation().items(indices).value();
  if (objects.size() != numbers.size()) raise("as many indices as surfaces are needed");
  Binding binding;
  for (std::size_t i = 0; i < objects.size(); ++i) {
    expect(objects[i], "_ANEIOSurfaceObject", "a surface");
    expect(numbers[i], "NSNumber", "an index");
    binding.emplace_back(foundation().integer(numbers[i]).value(), objc::retained(runtime(), objects[i]));
  }
  return binding;
}

Id make_request(Id self, Id inputs, Id input_indices, Id outputs, Id output_indices, Id procedure) {
  if (state().fails("requestWithInputs")) return nullptr;
  expect(procedure, "NSNumber", "procedureIndex");
  auto request = std::make_unique<Request>();
  request->inputs = make_binding(inputs, input_indices);
  request->outputs = make_binding(outputs, output_indices);
  state().add(&Counts::requests, 1);
  return make(self, std::move(request));
}

// weightsBuffer and perfStats are ignored, as by the ANE.
Id make_full_request(Id self, SEL, Id inputs, Id input_indices, Id outputs, Id output_indices, Id /*weights_buffer*/,
                     Id /*perf_stats*/, Id procedure) {
  return make_request(self, inputs, input_indices, outputs, output_indices, procedure);
}

Id make_six_part_request(Id self, SEL, Id inputs, Id input_indices, Id outputs, Id output_indices, Id /*ignored*/,
                         Id procedure) {
  return make_request(self, inputs, input_indices, outputs, output_indices, procedure);
}

Id make_short_request(Id self, SEL, Id inputs, Id input_indices, Id outputs, Id output_indices, Id procedure) {
  return make_request(self, inputs, input_indices, outputs, output_indices, procedure);
}

/// The buffers of `binding` in order of their symbol indices 0..n-1.
std::vector<std::span<std::byte>> buffers(const Binding& binding) {
  std::vector<std::span<std::byte>> buffers(binding.size());
  for (const auto& [index, object] : binding) {
    if (index >= buffers.size() || !buffers[index].empty())
      throw Refusal(kInferenceFailed, "status=0x2: wrong symbol index");
    FakeSurface* const surface = body<SurfaceObject>(object.get()).surface;
    if (is_locked(surface)) throw Refusal(kInferenceFailed, "status=0x1: a surface is locked");
    buffers[index] = bytes(surface);
  }
  return buffers;
}

Flag evaluate(Id self, SEL, unsigned, Id options, Id request, Id* error) {
  return answer("evaluate", error, [&] {
    expect(options, "NSDictionary", "options");
    auto& model = body<Model>(self);
    if (!model.is_loaded) throw Refusal(kInferenceFailed, "status=0x1: the program is not loaded");
    if (state().cancels()) throw Refusal(kInferenceFailed, "status=0x12: Request cancelled");
    const auto& bound = body<Request>(request);
    model.program->run(buffers(bound.inputs), buffers(bound.outputs));
    state().add(&Counts::evaluations, 1);
  });
}

// ---- modelAttributes

Id strings(std::span<const std::string> texts) {
  std::vector<Id> items;
  for (const std::string& text : texts) items.push_back(foundation().string(text));
  return foundation().array(items);
}

Id dictionary(std::initializer_list<std::pair<const char*, Id>> entries) {
  std::vector<std::pair<Id, Id>> objects;
  for (const auto& [key, value] : entries) objects.emplace_back(foundation().string(key), value);
  return foundation().dictionary(objects);
}

Id live_entry(const device::Port& port) {
  mil::Shape shape = port.type.shape;
  while (shape.size() < 4) shape.insert(shape.begin(), 1);
  const auto number = [](std::uint64_t value) { return foundation().number(value); };
  const std::uint64_t row =
      mil::surface_layout(port.type).row_bytes + static_cast<std::uint64_t>(state().extra_row_bytes());
  const std::uint64_t plane =
      row * static_cast<std::uint64_t>(shape[2]) + static_cast<std::uint64_t>(state().extra_plane_bytes());
  return dictionary({{"Name", foundation().string(port.name)},
                     {"Symbol", foundation().string(port.name)},
                     {"Type", foundation().string(port.type.dtype == mil::DType::fp16 ? "Float16" : "Float32")},
                     {"Batches", number(static_cast<std::uint64_t>(shape[0]))},
                     {"Channels", number(static_cast<std::uint64_t>(shape[1]))},
                     {"Depth", number(1)},
                     {"Height", number(static_cast<std::uint64_t>(shape[2]))},
                     {"Width", number(static_cast<std::uint64_t>(shape[3]))},
                     {"Interleave", number(static_cast<std::uint64_t>(state().interleave()))},
                     {"BatchStride", number(plane * static_cast<std::uint64_t>(shape[1]))},
                     {"PlaneStride", number(plane)},
                     {"RowStride", number(row)}});
}

Id live_list(std::span<const device::Port> ports) {
  std::vector<Id> entries;
  for (const device::Port& port : ports) entries.push_back(live_entry(port));
  return foundation().array(entries);
}

Id symbols(std::span<const device::Port> ports, const std::string& suffix) {
  std::vector<std::string> names;
  for (const device::Port& port : ports) names.push_back(port.name + suffix);
  return strings(names);
}

Id attributes(Id self, SEL) {
  const auto& model = body<Model>(self);
  if (state().fails("modelAttributes") || !model.is_loaded) return nullptr;
  const Program& program = *model.program;
  const std::array<Id, 1> networks{
      dictionary({{"LiveInputList", live_list(program.inputs())}, {"LiveOutputList", live_list(program.outputs())}})};
  const Id description = dictionary({{"kANEFModelInputSymbolsArrayKey", symbols(program.inputs(), "")},
                                     {"kANEFModelOutputSymbolsArrayKey", symbols(program.outputs(), "@output")}});
  return dictionary({{"ANEFModelDescription", description}, {"NetworkStatusList", foundation().array(networks)}});
}

Flag is_compiled(Id self, SEL) {
  return !state().fails("compiledModelExists") && state().is_cached(body<Model>(self).identifier) ? 1 : 0;
}

void purge(Id self, SEL) {
  if (state().fails("purgeCompiledModel") && state().raises()) raise("the stand-in was told to raise in purge");
  state().purge(body<Model>(self).identifier);
}

// ---- _ANEClient

Id shared_client(Id self, SEL) {
  return state().fails("sharedConnection") ? nullptr : make(self, std::make_unique<Body>());
}
void purge_by_identifier(Id, SEL, Id hash) {
  if (state().fails("purgeCompiledModelMatchingHash") && state().raises())
    raise("the stand-in was told to raise in purge");
  expect(hash, "NSString", "a program's hash");
  state().purge(foundation().text(hash).value());
}

// ---- _ANEDeviceInfo

Flag has_ane(Id, SEL) { return std::getenv("STANDIN_NO_ANE") == nullptr ? 1 : 0; }
Flag is_virtual_machine(Id, SEL) { return state().is_virtual() ? 1 : 0; }
unsigned core_count(Id, SEL) { return state().persona().cores; }
Id architecture(Id, SEL) { return foundation().string(std::string(state().persona().architecture)); }

// ---- Registration

/// A class pair under construction.
class NewClass {
 public:
  explicit NewClass(const char* name)
      : class_(objc_allocateClassPair(reinterpret_cast<Class>(runtime().find_class("NSObject")), name, 0)) {
    class_addIvar(class_, kBodyVariable, sizeof(void*), 3, "^v");
    method("dealloc", "v@:", dealloc);
  }
  template <class Function>
  NewClass& method(const char* selector, const char* types, Function* function) {
    return add(class_, selector, types, function);
  }
  template <class Function>
  NewClass& class_method(const char* selector, const char* types, Function* function) {
    return add(object_getClass(reinterpret_cast<id>(class_)), selector, types, function);
  }
  void done() { objc_registerClassPair(class_); }

 private:
  template <class Function>
  NewClass& add(Class type, const char* selector, const char* types, Function* function) {
    using Anything = void (*)();
    const auto untyped = reinterpret_cast<Anything>(function);
    class_addMethod(type, sel_registerTypedName(selector, types), reinterpret_cast<IMP>(untyped), types);
    return *this;
  }
  Class class_;
};

/// Makes GNUstep perform its one-time allocations, hidden from LeakSanitizer.
void warm_up() {
  if (__lsan_disable != nullptr) __lsan_disable();
  static_cast<void>(foundation().dictionary({}));
  if (__lsan_enable != nullptr) __lsan_enable();
}

struct Registration {
  Registration() {
    const objc::AutoreleasePool pool(runtime());
    warm_up();
    NewClass("_ANEInMemoryModelDescriptor")
        .class_method("modelWithMILText:weights:optionsPlist:", "@@:@@@", make_descriptor)
        .done();
    NewClass("_ANEInMemoryModel")
        .class_method("inMemoryModelWithDescriptor:", "@@:@", make_model)
        .method("hexStringIdentifier", "@@:", identifier)
        .method("compileWithQoS:options:error:", "C@:I@^@", compile)
        .method("loadWithQoS:options:error:", "C@:I@^@", load)
        .method("evaluateWithQoS:options:request:error:", "C@:I@@^@", evaluate)
        .method("unloadWithQoS:error:", "C@:I^@", unload)
        .method("modelAttributes", "@@:", attributes)
        .method("compiledModelExists", "C@:", is_compiled)
        .method("purgeCompiledModel", "v@:", purge)
        .done();
    NewClass("_ANEClient")
        .class_method("sharedConnection", "@@:", shared_client)
        .method("purgeCompiledModelMatchingHash:", "v@:@", purge_by_identifier)
        .done();
    NewClass("_ANEIOSurfaceObject").class_method("objectWithIOSurface:", "@@:^{__IOSurface=}", wrap_surface).done();
    NewClass("_ANERequest")
        .class_method("requestWithInputs:inputIndices:outputs:outputIndices:weightsBuffer:perfStats:procedureIndex:",
                      "@@:@@@@@@@", make_full_request)
        .class_method("requestWithInputs:inputIndices:outputs:outputIndices:weightsBuffer:procedureIndex:", "@@:@@@@@@",
                      make_six_part_request)
        .class_method("requestWithInputs:inputIndices:outputs:outputIndices:perfStats:procedureIndex:", "@@:@@@@@@",
                      make_six_part_request)
        .class_method("requestWithInputs:inputIndices:outputs:outputIndices:procedureIndex:", "@@:@@@@@",
                      make_short_request)
        .done();
    NewClass("_ANEDeviceInfo")
        .class_method("hasANE", "C@:", has_ane)
        .class_method("isVirtualMachine", "C@:", is_virtual_machine)
        .class_method("numANECores", "I@:", core_count)
        .class_method("aneArchitectureType", "@@:", architecture)
        .done();
  }
};

const Registration kRegistration;

}  // namespace

}  // namespace ane::fakes

ANE_STANDIN_EXPORT ane::fakes::Control* ane_standin_control() { return &ane::fakes::state(); }

// NOLINTNEXTLINE(readability-identifier-naming): Apple's name
ANE_STANDIN_EXPORT ane::fakes::objc::ExceptionPreprocessor objc_setExceptionPreprocessor(
    ane::fakes::objc::ExceptionPreprocessor preprocessor) {
  return ane::fakes::state().set_exception_preprocessor(preprocessor);
}
