#pragma once

#include <cstddef>
#include <span>
#include <string_view>

/// Fuzz targets. A target accepts any bytes, and may refuse them only with the documented errors of the function under
/// test; any other exception, and every violated guarantee about accepted input, is a finding.
namespace fuzz {

using Bytes = std::span<const std::byte>;

void mil(Bytes bytes);               ///< MIL text: parse, print, check, compile for the host, run if it is small
void blob(Bytes bytes);              ///< a weight blob file, and a constant to look up in it
void safetensors(Bytes bytes);       ///< a safetensors file, also as --model
void llama2c(Bytes bytes);           ///< a llama2.c model file
void model_config(Bytes json);       ///< the config.json of a Hugging Face model
void model_index(Bytes json);        ///< the index of a model's shards
void adapter_config(Bytes json);     ///< the adapter_config.json of a low-rank adapter, of PEFT or MLX
void tokens(Bytes bytes);            ///< a token or text file, and how to read it
void records(Bytes bytes);           ///< options, and a .jsonl file with records
void telemetry(Bytes bytes);         ///< a telemetry file, to draw
void tokenizer_json(Bytes json);     ///< a tokenizer.json of Hugging Face, to encode and decode with
void tokenizer_binary(Bytes bytes);  ///< a model of SentencePiece or a tokenizer of llama2.c
void config(Bytes text);             ///< --config FILE
void checkpoint(
    Bytes json);             ///< the trainer.json, without its checksum, of a checkpoint whose other files are complete
void verdicts(Bytes json);   ///< what doctor --explore found
void settings(Bytes bytes);  ///< flags, variables and restart data, one per line

struct Target {
  std::string_view name;
  void (*run)(Bytes);
};

inline constexpr Target kTargets[] = {{"mil", mil},
                                      {"blob", blob},
                                      {"safetensors", safetensors},
                                      {"llama2c", llama2c},
                                      {"model_config", model_config},
                                      {"model_index", model_index},
                                      {"adapter_config", adapter_config},
                                      {"tokens", tokens},
                                      {"records", records},
                                      {"telemetry", telemetry},
                                      {"tokenizer_json", tokenizer_json},
                                      {"tokenizer_binary", tokenizer_binary},
                                      {"config", config},
                                      {"checkpoint", checkpoint},
                                      {"settings", settings},
                                      {"verdicts", verdicts}};

}  // namespace fuzz
