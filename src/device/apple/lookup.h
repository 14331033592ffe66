#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ane/device/apple/probe.h"

#include "objc.h"

namespace ane::device::apple {

enum class Need : bool { optional, required };

/// Looks up libraries, functions, classes and methods, and records a finding for each. Members of something that is
/// missing are skipped, so that the findings name causes and not consequences.
class Lookup {
 public:
  explicit Lookup(const LibraryPaths& paths) : hidden_(paths.hidden) {}

  [[nodiscard]] objc::Library library(const std::string& path);

  template <class Function>
  void function(Function*& into, const objc::Library& library, const char* name, Need need = Need::required) {
    into = reinterpret_cast<Function*>(symbol(library, name, need));
  }
  /// The object that a constant of `library` refers to (a CFString such as kIOSurfaceWidth).
  void constant(objc::Id& into, const objc::Library& library, const char* name);

  [[nodiscard]] objc::Runtime runtime(const objc::Library& library);
  /// Classes and methods can only be looked up after the runtime is complete and the library's classes are loaded.
  [[nodiscard]] objc::Id type(const objc::Runtime& runtime, const objc::Library& library, const char* name,
                              Need need = Need::required);
  template <class Ret, class... Args>
  void class_method(objc::Message<Ret, Args...>& into, const objc::Runtime& runtime, objc::Id type,
                    const char* selector, Need need = Need::required) {
    if (method(runtime, type, selector, true, into.passing(), need)) into = {runtime, runtime.selector(selector)};
  }
  template <class Ret, class... Args>
  void method(objc::Message<Ret, Args...>& into, const objc::Runtime& runtime, objc::Id type, const char* selector,
              Need need = Need::required) {
    if (method(runtime, type, selector, false, into.passing(), need)) into = {runtime, runtime.selector(selector)};
  }

  [[nodiscard]] std::vector<Finding>& findings() noexcept { return findings_; }

 private:
  struct NamedClass {
    objc::Id type;
    std::string name;
  };

  [[nodiscard]] bool is_hidden(std::string_view name) const;
  void* symbol(const objc::Library& library, const char* name, Need need);
  bool method(const objc::Runtime& runtime, objc::Id type, const char* selector, bool of_class,
              const std::string& passing, Need need);
  bool note(Finding::Kind kind, std::string name, Need need, bool found, std::string text = {});

  std::vector<std::string> hidden_;
  std::vector<Finding> findings_;
  std::vector<NamedClass> types_;
};

}  // namespace ane::device::apple
