#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ane/core/error.h"
#include "ane/device/device.h"
#include "ane/mil/blob.h"

namespace ane::fakes {

/// Error domains of the framework and of its compiler.
inline constexpr const char* kEngineDomain = "com.apple.appleneuralengine";
inline constexpr const char* kCompilerDomain = "com.apple.appleneuralengine.compiler";

/// The framework's codes (ane.md 8.1).
enum ErrorCode : int {
  kCompileFailed = 1,  ///< in the compiler's domain
  kLoadFailed = 6,
  kInferenceFailed = 8,
  kInvalidModel = 10,
  kFileNotFound = 16,
  kHostTooOld = 22,  ///< in a virtual machine without a client
  kProgramNotFound = 23,
};

/// Content of an NSError.
class Refusal : public Error {
 public:
  Refusal(int error_code, const std::string& text, const char* error_domain = kEngineDomain)
      : Error(text), code(error_code), domain(error_domain) {}
  int code;
  const char* domain;
};

/// Text and weights of a descriptor.
struct Source {
  std::string mil_text;
  mil::Blobs weights;
  std::string options;
  /// Derived from the text, the weights' bytes in the order of their keys, and the options (ane.md L1).
  [[nodiscard]] std::string identifier() const;
};

/// If the persona verifies files: throws Refusal if one in `directory` is a symbolic link or differs from `source`. A
/// directory that does not exist passes, because the daemon may have the program.
void verify_files(const Source& source, const std::string& directory);

/// A program compiled by the stand-in, with the weights that were read at that time.
class Program {
 public:
  /// Reads `directory` and compares it with `source`. Throws Refusal.
  Program(const Source& source, const std::string& directory);
  /// Loads a compiled program from the daemon's cache. Throws Refusal.
  explicit Program(const Source& source);
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  /// In binding order: by name.
  [[nodiscard]] std::span<const device::Port> inputs() const { return inputs_; }
  [[nodiscard]] std::span<const device::Port> outputs() const { return outputs_; }

  /// Buffers in binding order. Throws Refusal, with the outputs untouched.
  void run(std::span<const std::span<std::byte>> inputs, std::span<const std::span<std::byte>> outputs);

 private:
  void compile(const std::string& text, const mil::Blobs& weights);

  std::unique_ptr<device::Kernel> kernel_;
  std::vector<device::Port> inputs_;
  std::vector<device::Port> outputs_;
  std::vector<std::size_t> input_places_;  // position of each sorted port in the kernel's own order
  std::vector<std::size_t> output_places_;
};

}  // namespace ane::fakes
