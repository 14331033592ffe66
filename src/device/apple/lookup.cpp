#include "lookup.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace ane::device::apple {

namespace {

using Kind = Finding::Kind;

constexpr std::string_view word(Kind kind) {
  switch (kind) {
    case Kind::library:
      return "library";
    case Kind::function:
      return "function";
    case Kind::type:
      return "class";
    case Kind::method:
      return "method";
  }
  return "";
}

}  // namespace

std::string to_string(const Finding& finding) {
  const std::string_view state = finding.found ? "found" : finding.required ? "missing" : "missing (optional)";
  return fmt::format("{} {}: {}{}{}{}", word(finding.kind), finding.name, state, finding.note.empty() ? "" : " (",
                     finding.note, finding.note.empty() ? "" : ")");
}

bool Lookup::is_hidden(std::string_view name) const {
  return std::find(hidden_.begin(), hidden_.end(), name) != hidden_.end();
}

bool Lookup::note(Kind kind, std::string name, Need need, bool found, std::string text) {
  findings_.push_back({kind, std::move(name), need == Need::required, found, std::move(text)});
  return found;
}

objc::Library Lookup::library(const std::string& path) {
  const bool again = std::any_of(findings_.begin(), findings_.end(), [&](const Finding& finding) {
    return finding.kind == Kind::library && finding.name == path;
  });
  objc::Library opened(is_hidden(path) ? "/hidden" + path : path);
  if (!again) note(Kind::library, path, Need::required, static_cast<bool>(opened), opened.error());
  return opened;
}

void* Lookup::symbol(const objc::Library& library, const char* name, Need need) {
  if (!library) return nullptr;
  void* const found = is_hidden(name) ? nullptr : library.find(name);
  note(Kind::function, name, need, found != nullptr);
  return found;
}

void Lookup::constant(objc::Id& into, const objc::Library& library, const char* name) {
  const auto* const place = static_cast<objc::Id*>(symbol(library, name, Need::required));
  into = place == nullptr ? nullptr : *place;
}

objc::Runtime Lookup::runtime(const objc::Library& library) {
  objc::RuntimeFunctions functions;
  function(functions.look_up_class, library, "objc_lookUpClass");
  function(functions.register_selector, library, "sel_registerName");
  function(functions.class_method, library, "class_getClassMethod");
  function(functions.instance_method, library, "class_getInstanceMethod");
  function(functions.method_types, library, "method_getTypeEncoding");
  function(functions.look_up_method, library, "objc_msg_lookup", Need::optional);
  function(functions.send, library, "objc_msgSend",
           functions.look_up_method == nullptr ? Need::required : Need::optional);
  function(functions.push_pool, library, "objc_autoreleasePoolPush", Need::optional);
  function(functions.pop_pool, library, "objc_autoreleasePoolPop",
           functions.push_pool == nullptr ? Need::optional : Need::required);
  function(functions.set_exception_preprocessor, library, "objc_setExceptionPreprocessor", Need::optional);
  return objc::Runtime(functions);
}

objc::Id Lookup::type(const objc::Runtime& runtime, const objc::Library& library, const char* name, Need need) {
  if (!runtime || !library) return nullptr;
  const objc::Id found = is_hidden(name) ? nullptr : runtime.find_class(name);
  note(Kind::type, name, need, found != nullptr);
  if (found != nullptr) types_.push_back({found, name});
  return found;
}

bool Lookup::method(const objc::Runtime& runtime, objc::Id type, const char* selector, bool of_class,
                    const std::string& passing, Need need) {
  if (type == nullptr) return false;
  const auto named = std::find_if(types_.begin(), types_.end(), [&](const NamedClass& t) { return t.type == type; });
  std::string name = fmt::format("{}[{} {}]", of_class ? '+' : '-', named->name, selector);
  const char* const types =
      is_hidden(name) ? nullptr : runtime.method_types(type, runtime.selector(selector), of_class);
  if (types == nullptr) return note(Kind::method, std::move(name), need, false);
  const std::string found = objc::passed_as(types);
  if (found == passing) return note(Kind::method, std::move(name), need, true);
  return note(Kind::method, std::move(name), need, false,
              fmt::format("its signature differs: expected {}; found {} in \"{}\"", objc::describe_passing(passing),
                          objc::describe_passing(found), types));
}

}  // namespace ane::device::apple
