#pragma once

#include <cstddef>
#include <span>
#include <string_view>

/// What hostile input is fed to. A target takes any bytes, and may refuse them only by the errors that the function
/// under test promises; whatever else it throws, and every broken promise about what was accepted, is a finding.
namespace fuzz {

using Bytes = std::span<const std::byte>;

void mil(Bytes bytes);          ///< MIL text: parse, print, check, compile for the host, run if it is small
void blob(Bytes bytes);         ///< a weight blob file, and what to look for in it
void safetensors(Bytes bytes);  ///< a safetensors file, also as --model
void llama2c(Bytes bytes);      ///< a llama2.c model file
void tokens(Bytes bytes);       ///< a token or text file, and how to read it
void config(Bytes text);        ///< --config FILE
void checkpoint(Bytes json);    ///< the trainer.json of a checkpoint whose other files are whole, up to its seal
void settings(Bytes bytes);     ///< flags, variables and what a process hands to the next, a line each

struct Target {
  std::string_view name;
  void (*run)(Bytes);
};

inline constexpr Target kTargets[] = {
    {"mil", mil},       {"blob", blob},     {"safetensors", safetensors}, {"llama2c", llama2c},
    {"tokens", tokens}, {"config", config}, {"checkpoint", checkpoint},   {"settings", settings}};

}  // namespace fuzz
