#include "ane/app/recording_device.h"

#include <exception>
#include <span>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "ane/core/file.h"

namespace ane::app {
namespace {

void make_directories(const std::filesystem::path& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) throw FileError(fmt::format("cannot create directory {}: {}", directory.string(), error.message()));
}

}  // namespace

void write_kernel_files(const std::filesystem::path& directory, std::string_view mil_text, const mil::Blobs& weights) {
  make_directories(directory);
  write_file_atomically(directory / "model.mil", std::as_bytes(std::span(mil_text)));
  for (const auto& [path, bytes] : weights) {
    const std::filesystem::path file = directory / mil::blob_place(path);
    make_directories(file.parent_path());
    write_file_atomically(file, bytes);
  }
}

RecordingDevice::RecordingDevice(std::unique_ptr<device::Device> device, Settings settings)
    : ForwardingDevice(std::move(device)), settings_(std::move(settings)) {}

std::unique_ptr<device::Kernel> RecordingDevice::compile(std::string_view label, std::string_view mil_text,
                                                         const mil::Blobs& weights) {
  if (settings_.dump_to) {
    const std::string name(label);
    const int copy = next_copy(name);
    write_kernel_files(*settings_.dump_to / (copy == 0 ? name : fmt::format("{}.{}", name, copy)), mil_text, weights);
  }
  try {
    return ForwardingDevice::compile(label, mil_text, weights);
  } catch (const Error& error) {
    throw device::CompileError(
        fmt::format("{} did not compile: {}; {}", label, error.what(), save_failed(label, mil_text, weights)));
  }
}

int RecordingDevice::next_copy(const std::string& name) {
  const std::scoped_lock lock(mutex_);
  return dumped_[name]++;
}

std::string RecordingDevice::save_failed(std::string_view label, std::string_view mil_text,
                                         const mil::Blobs& weights) const try {
  const std::filesystem::path directory = settings_.failures_to() / label;
  write_kernel_files(directory, mil_text, weights);
  return fmt::format("its MIL is in {}", directory.string());
} catch (const std::exception& error) {
  return fmt::format("its MIL could not be saved: {}", error.what());
}

}  // namespace ane::app
