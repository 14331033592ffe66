#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "ane/core/error.h"

/// The Objective-C runtime, loaded at run time: Apple's, or GNU's for the stand-in framework.
namespace ane::device::apple::objc {

struct Object;
using Id = Object*;  ///< also a class, which is an object
struct SelectorRecord;
using Selector = const SelectorRecord*;
using Flag =
    unsigned char;  ///< BOOL is one byte everywhere; not `bool`, because GNU's may have other values than 0 and 1
using AnyFunction = void (*)();
/// Called with an exception before it is thrown; returns the exception to throw.
using ExceptionPreprocessor = Id (*)(Id);

/// A library opened by dlopen; never closed, because registered classes cannot be removed.
class Library {
 public:
  explicit Library(const std::string& path);
  [[nodiscard]] explicit operator bool() const noexcept { return handle_ != nullptr; }
  [[nodiscard]] const std::string& error() const noexcept { return error_; }
  /// Address of a function or variable, null if there is none.
  [[nodiscard]] void* find(const char* name) const noexcept;

 private:
  void* handle_ = nullptr;
  std::string error_;
};

/// The runtime's C functions.
struct RuntimeFunctions {
  Id (*look_up_class)(const char*) = nullptr;
  Selector (*register_selector)(const char*) = nullptr;
  void* (*class_method)(Id, Selector) = nullptr;
  void* (*instance_method)(Id, Selector) = nullptr;
  const char* (*method_types)(void*) = nullptr;
  // Apple's runtime has the first, GNU's the second.
  AnyFunction send = nullptr;
  AnyFunction (*look_up_method)(Id, Selector) = nullptr;
  // Apple's only; otherwise NSAutoreleasePool is used.
  void* (*push_pool)() = nullptr;
  void (*pop_pool)(void*) = nullptr;
  ExceptionPreprocessor (*set_exception_preprocessor)(ExceptionPreprocessor) = nullptr;
};

class Runtime {
 public:
  /// Check `operator bool` before use: false if a function is missing.
  explicit Runtime(const RuntimeFunctions& functions) noexcept;
  [[nodiscard]] explicit operator bool() const noexcept;

  [[nodiscard]] Id find_class(const char* name) const noexcept { return functions_.look_up_class(name); }
  [[nodiscard]] Selector selector(const char* name) const noexcept { return functions_.register_selector(name); }
  /// Type encoding of a method, null if the class does not implement it.
  [[nodiscard]] const char* method_types(Id type, Selector selector, bool of_class) const noexcept;

  /// The function that sends `selector` to `receiver`: objc_msgSend, or with GNU's runtime the method itself.
  [[nodiscard]] AnyFunction implementation(Id receiver, Selector selector) const noexcept {
    return functions_.send != nullptr ? functions_.send : functions_.look_up_method(receiver, selector);
  }

  void retain(Id object) const noexcept;
  void release(Id object) const noexcept;
  [[nodiscard]] const RuntimeFunctions& functions() const noexcept { return functions_; }

 private:
  friend class AutoreleasePool;
  RuntimeFunctions functions_;
  Selector retain_ = nullptr;
  Selector release_ = nullptr;
};

/// Releases an object that we own through the runtime that was found at start.
struct Release {
  const Runtime* runtime = nullptr;
  void operator()(Object* object) const noexcept { runtime->release(object); }
};
using Owned = std::unique_ptr<Object, Release>;

/// Shares the ownership of an autoreleased object. `object` may be null.
[[nodiscard]] Owned retained(const Runtime& runtime, Id object) noexcept;

/// An autorelease pool; its destructor releases all objects autoreleased since its construction. Pools nest and must
/// stay on one thread.
class AutoreleasePool {
 public:
  explicit AutoreleasePool(const Runtime& runtime) noexcept;
  ~AutoreleasePool();
  AutoreleasePool(const AutoreleasePool&) = delete;
  AutoreleasePool& operator=(const AutoreleasePool&) = delete;

 private:
  const Runtime* runtime_;
  void* pool_;
};

/// How a value is passed: 'v'oid, 'p'ointer, or an integer by its size in bytes. Our prototype and the method's type
/// encoding must agree in this.
template <class T>
constexpr char passed_as() {
  if constexpr (std::is_void_v<T>) {
    return 'v';
  } else if constexpr (std::is_pointer_v<T>) {
    return 'p';
  } else {
    static_assert(std::is_integral_v<T>);
    return static_cast<char>('0' + sizeof(T));
  }
}

/// The same from a method's type encoding ("B36@0:8I16@20^@28"): result, receiver, selector, arguments. Unknown letters
/// become '?'.
[[nodiscard]] std::string passed_as(std::string_view encoding);

/// "BOOL (unsigned int, object)"-like words for a string of passed_as letters.
[[nodiscard]] std::string describe_passing(std::string_view letters);

/// A message with the C types that it is sent with. Looked up and checked once, then called like a function.
template <class Ret, class... Args>
class Message {
 public:
  Message() = default;
  Message(const Runtime& runtime, Selector selector) : runtime_(&runtime), selector_(selector) {}

  [[nodiscard]] explicit operator bool() const noexcept { return selector_ != nullptr; }
  Ret operator()(Id receiver, std::type_identity_t<Args>... args) const {
    using Function = Ret (*)(Id, Selector, Args...);
    return reinterpret_cast<Function>(runtime_->implementation(receiver, selector_))(receiver, selector_, args...);
  }
  [[nodiscard]] static std::string passing() {
    return {passed_as<Ret>(), passed_as<Id>(), passed_as<Selector>(), passed_as<Args>()...};
  }

 private:
  const Runtime* runtime_ = nullptr;
  Selector selector_ = nullptr;
};

/// Enables ExceptionReason if the runtime supports observing exceptions. Must be called before the first guarded();
/// later calls do nothing.
void observe_exceptions(const Runtime& runtime);

/// Records the reason of the last Objective-C exception thrown in this thread during its lifetime. A C++ handler cannot
/// read it from the exception itself.
class ExceptionReason {
 public:
  ExceptionReason() noexcept;
  ~ExceptionReason();
  ExceptionReason(const ExceptionReason&) = delete;
  ExceptionReason& operator=(const ExceptionReason&) = delete;

  /// "NSRangeException: index 5 beyond bounds", or that the reason is unknown.
  [[nodiscard]] std::string text() const;
  void note(std::string text) noexcept { text_ = std::move(text); }

 private:
  std::string text_;
  ExceptionReason* outer_;
};

/// Runs `body`; an Objective-C exception, which has no C++ type, becomes a DeviceError with the operation and the
/// exception's reason.
template <class Body>
auto guarded(std::string_view doing, Body&& body) {
  const ExceptionReason reason;
  try {
    return body();
  } catch (const std::exception&) {
    throw;
  } catch (...) {
    throw DeviceError(std::string(doing) + ": the framework raised an Objective-C exception: " + reason.text());
  }
}

}  // namespace ane::device::apple::objc
