#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "ane/device/forwarding.h"

namespace ane::app {

/// Writes directory/model.mil and the blob files where its BLOBFILE constants name them, so that `ane-train mil
/// directory/model.mil` can run it. Throws FileError.
void write_kernel_files(const std::filesystem::path& directory, std::string_view mil_text, const mil::Blobs& weights);

/// A device that forwards everything and saves kernels to files for inspection: always those that fail to compile, and
/// every kernel on request.
class RecordingDevice final : public device::ForwardingDevice {
 public:
  struct Settings {
    std::optional<std::filesystem::path> dump_to{};        ///< every kernel goes here
    std::function<std::filesystem::path()> failures_to{};  ///< creates the directory for kernels that do not compile
  };

  RecordingDevice(std::unique_ptr<device::Device> device, Settings settings);

  /// Throws CompileError with the device's message and the location of the saved files, or why they could not be saved.
  [[nodiscard]] std::unique_ptr<device::Kernel> compile(std::string_view label, std::string_view mil_text,
                                                        const mil::Blobs& weights) override;

 private:
  /// 0-based index of the next copy of that name.
  [[nodiscard]] int next_copy(const std::string& name);
  /// Saves a failed kernel and describes where; never throws if saving fails.
  [[nodiscard]] std::string save_failed(std::string_view label, std::string_view mil_text,
                                        const mil::Blobs& weights) const;

  Settings settings_;
  std::mutex mutex_;                                ///< with workers, several threads compile
  std::map<std::string, int, std::less<>> dumped_;  ///< number of copies by name
};

}  // namespace ane::app
