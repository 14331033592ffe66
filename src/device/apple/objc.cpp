#include "objc.h"

#include <algorithm>
#include <cctype>
#include <mutex>
#include <utility>

#include <dlfcn.h>

namespace ane::device::apple::objc {

Library::Library(const std::string& path) : handle_(dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) {
  if (handle_ == nullptr) {
    const char* text = dlerror();
    error_ = text == nullptr ? "dlopen failed" : text;
  }
}

void* Library::find(const char* name) const noexcept { return handle_ == nullptr ? nullptr : dlsym(handle_, name); }

Runtime::Runtime(const RuntimeFunctions& functions) noexcept : functions_(functions) {
  if (!*this) return;
  retain_ = selector("retain");
  release_ = selector("release");
}

Runtime::operator bool() const noexcept {
  const RuntimeFunctions& f = functions_;
  return f.look_up_class != nullptr && f.register_selector != nullptr && f.class_method != nullptr &&
         f.instance_method != nullptr && f.method_types != nullptr &&
         (f.send != nullptr || f.look_up_method != nullptr);
}

const char* Runtime::method_types(Id type, Selector selector, bool of_class) const noexcept {
  void* const method = of_class ? functions_.class_method(type, selector) : functions_.instance_method(type, selector);
  return method == nullptr ? nullptr : functions_.method_types(method);
}

void Runtime::retain(Id object) const noexcept { Message<Id>(*this, retain_)(object); }

void Runtime::release(Id object) const noexcept { Message<void>(*this, release_)(object); }

Owned retained(const Runtime& runtime, Id object) noexcept {
  if (object != nullptr) runtime.retain(object);
  return Owned(object, Release{&runtime});
}

AutoreleasePool::AutoreleasePool(const Runtime& runtime) noexcept : runtime_(&runtime) {
  pool_ = runtime.functions_.push_pool != nullptr
              ? runtime.functions_.push_pool()
              : Message<Id>(runtime, runtime.selector("new"))(runtime.find_class("NSAutoreleasePool"));
}

AutoreleasePool::~AutoreleasePool() {
  if (runtime_->functions_.push_pool != nullptr) {
    runtime_->functions_.pop_pool(pool_);
  } else {
    Message<void>(*runtime_, runtime_->selector("drain"))(static_cast<Id>(pool_));
  }
}

namespace {

/// Data of the preprocessor. It is global because the runtime passes only the exception.
struct ExceptionObserver {
  Runtime runtime;  // copied: a table of functions of a library that stays loaded
  ExceptionPreprocessor next = nullptr;
};
ExceptionObserver* observer = nullptr;                     // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)
thread_local ExceptionReason* innermost_reason = nullptr;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)

std::string text_of(const Runtime& runtime, Id object, const char* selector) {
  const Id text = Message<Id>(runtime, runtime.selector(selector))(object);
  const char* const utf8 =
      text == nullptr ? nullptr : Message<const char*>(runtime, runtime.selector("UTF8String"))(text);
  return utf8 == nullptr ? "" : utf8;
}

Id preprocess(Id exception) {
  // Exceptions raised while reading this one are not recorded.
  ExceptionReason* const reason = std::exchange(innermost_reason, nullptr);
  if (reason != nullptr && exception != nullptr) try {
      const Runtime& runtime = observer->runtime;
      const bool is_named = Message<Flag, Id>(runtime, runtime.selector("isKindOfClass:"))(
                                exception, runtime.find_class("NSException")) != 0;
      const std::string name = is_named ? text_of(runtime, exception, "name") + ": " : "";
      reason->note(name + text_of(runtime, exception, is_named ? "reason" : "description"));
    } catch (...) {  // the reason stays unknown
    }
  innermost_reason = reason;
  return observer->next == nullptr ? exception : observer->next(exception);
}

}  // namespace

void observe_exceptions(const Runtime& runtime) {
  static std::once_flag once;
  std::call_once(once, [&] {
    const auto set = runtime.functions().set_exception_preprocessor;
    if (set == nullptr) return;
    static ExceptionObserver observing{runtime};
    observer = &observing;
    observing.next = set(preprocess);
  });
}

ExceptionReason::ExceptionReason() noexcept : outer_(std::exchange(innermost_reason, this)) {}

ExceptionReason::~ExceptionReason() { innermost_reason = outer_; }

std::string ExceptionReason::text() const { return text_.empty() ? "its reason is unknown" : text_; }

namespace {

constexpr std::string_view kQualifiers = "rnNoORVA";

/// Length of the type at the beginning of `encoding`; brackets nest.
std::size_t type_length(std::string_view encoding) {
  int depth = 0;
  for (std::size_t i = 0; i < encoding.size(); ++i) {
    const char letter = encoding[i];
    if (letter == '"') {
      i = std::min(encoding.find('"', i + 1), encoding.size() - 1);
    } else if (letter == '{' || letter == '(' || letter == '[') {
      ++depth;
    } else if (letter == '}' || letter == ')' || letter == ']') {
      --depth;
    }
    const bool goes_on = letter == '^' || kQualifiers.find(letter) != std::string_view::npos;
    if (depth == 0 && !goes_on) return i + 1;
  }
  return encoding.size();
}

char passing_of(char letter) {
  switch (letter) {
    case 'v':
      return 'v';
    case '@':
    case '#':
    case ':':
    case '^':
    case '*':
      return 'p';
    case 'c':
    case 'C':
    case 'B':
      return '1';
    case 's':
    case 'S':
      return '2';
    case 'i':
    case 'I':
    case 'l':
    case 'L':
      return '4';
    case 'q':
    case 'Q':
      return '8';
    default:
      return '?';
  }
}

}  // namespace

std::string passed_as(std::string_view encoding) {
  std::string letters;
  while (!encoding.empty()) {
    const char first = encoding.front();
    const bool is_offset = std::isdigit(static_cast<unsigned char>(first)) != 0 || first == '-' || first == '+';
    if (is_offset || kQualifiers.find(first) != std::string_view::npos) {
      encoding.remove_prefix(1);
      continue;
    }
    letters += passing_of(first);
    encoding.remove_prefix(type_length(encoding));
    // A class name or a block marker may follow an object.
    if (first == '@' && !encoding.empty() && encoding.front() == '?') encoding.remove_prefix(1);
    if (first == '@' && !encoding.empty() && encoding.front() == '"') encoding.remove_prefix(type_length(encoding));
  }
  return letters;
}

std::string describe_passing(std::string_view letters) {
  std::string words;
  for (const char letter : letters) {
    if (!words.empty()) words += ", ";
    if (letter == 'v') {
      words += "nothing";
    } else if (letter == 'p') {
      words += "pointer";
    } else if (letter == '?') {
      words += "unknown";
    } else {
      words += std::string(1, letter) + (letter == '1' ? " byte" : " bytes");
    }
  }
  return words;
}

}  // namespace ane::device::apple::objc
