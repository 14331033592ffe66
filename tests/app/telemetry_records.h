#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "app/program.h"
#include "support/catch.h"

namespace cli_test {

/// The records of one type in a telemetry file.
inline std::vector<nlohmann::json> telemetry_records(const std::filesystem::path& file, const std::string& type) {
  std::vector<nlohmann::json> found;
  for (const std::string& line : lines_of(read_file(file)))
    if (nlohmann::json record = nlohmann::json::parse(line); record["type"] == type) found.push_back(std::move(record));
  return found;
}

/// Every line of a telemetry file is complete.
inline void check_telemetry(const std::filesystem::path& file) {
  for (const std::string& line : lines_of(read_file(file))) {
    CAPTURE(line);
    CHECK(nlohmann::json::accept(line));
  }
}

}  // namespace cli_test
