#pragma once

#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>

namespace ane {

/// Base class of all errors of the program. A message names the subject, what was expected, what was found and what to
/// try. Only `main` turns the type into an exit code.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A flag, variable or config value that cannot be used. Exit code 2.
class UsageError : public Error {
 public:
  using Error::Error;
};

/// A file that cannot be read or written, or that is damaged. Exit code 3.
class FileError : public Error {
 public:
  using Error::Error;
};

/// A device that is missing or failed. Exit code 4.
class DeviceError : public Error {
 public:
  using Error::Error;
};

/// Training that cannot continue because of non-finite values. Exit code 5.
class DivergedError : public Error {
 public:
  using Error::Error;
};

/// What the operating system says about an error number.
[[nodiscard]] std::string system_message(int error_number);

/// Throws a FileError that begins with the path.
[[noreturn]] void throw_file_error(const std::filesystem::path& path, std::string_view what);

}  // namespace ane
