#!/usr/bin/env python3
"""Writes a Hugging Face model directory with random weights, in BF16 or F32, in the dimensions of a published model.

For measurements of memory and speed, and for dry runs: scripts/random_model.py qwen3-0.6b DIR [bf16|f32]
"""
import array
import json
import math
import pathlib
import random
import struct
import sys

# Family, hidden size, feed-forward size, layers, heads, KV heads, head size, vocabulary, RoPE theta, epsilon, tied.
MODELS = {
    "smollm2-135m": ("llama", 576, 1536, 30, 9, 3, 64, 49152, 100000.0, 1e-5, True),
    "qwen2.5-0.5b": ("qwen2", 896, 4864, 24, 14, 2, 64, 151936, 1000000.0, 1e-6, True),
    "qwen3-0.6b": ("qwen3", 1024, 3072, 28, 16, 8, 128, 151936, 1000000.0, 1e-6, True),
    "tinyllama-1.1b": ("llama", 2048, 5632, 22, 32, 4, 64, 32000, 10000.0, 1e-5, False),
    "llama-3.2-1b": ("llama", 2048, 8192, 16, 32, 8, 64, 128256, 500000.0, 1e-5, True),
    "qwen3-tiny": ("qwen3", 64, 128, 2, 4, 2, 32, 256, 1000000.0, 1e-6, True),  # not a published model; for tests
    "stories15m": ("llama", 288, 768, 6, 6, 6, 48, 32000, 10000.0, 1e-5, True),
    "stories110m": ("llama", 768, 2048, 12, 12, 12, 64, 32000, 10000.0, 1e-5, True),
}
SIZES = {"bf16": 2, "f32": 4}  # bytes of a value
BLOCK = 1 << 19  # values, which are repeated


def config_of(name, dtype):
    family, dim, hidden, layers, heads, kv_heads, head_dim, vocab, theta, eps, tied = MODELS[name]
    config = {
        "model_type": family,
        "hidden_size": dim,
        "intermediate_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": head_dim,
        "vocab_size": vocab,
        "rope_theta": theta,
        "rms_norm_eps": eps,
        "tie_word_embeddings": tied,
        "max_position_embeddings": 2048,
        "hidden_act": "silu",
        "torch_dtype": {"bf16": "bfloat16", "f32": "float32"}[dtype],
    }
    if name == "llama-3.2-1b":
        config["rope_scaling"] = {
            "rope_type": "llama3",
            "factor": 32.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        }
    return config


def tensors_of(config):
    """Names and shapes."""
    dim, hidden = config["hidden_size"], config["intermediate_size"]
    q_dim = config["num_attention_heads"] * config["head_dim"]
    kv_dim = config["num_key_value_heads"] * config["head_dim"]
    tensors = {"model.embed_tokens.weight": (config["vocab_size"], dim)}
    for layer in range(config["num_hidden_layers"]):
        of_layer = {
            "input_layernorm.weight": (dim,),
            "self_attn.q_proj.weight": (q_dim, dim),
            "self_attn.k_proj.weight": (kv_dim, dim),
            "self_attn.v_proj.weight": (kv_dim, dim),
            "self_attn.o_proj.weight": (dim, q_dim),
            "post_attention_layernorm.weight": (dim,),
            "mlp.gate_proj.weight": (hidden, dim),
            "mlp.up_proj.weight": (hidden, dim),
            "mlp.down_proj.weight": (dim, hidden),
        }
        if config["model_type"] == "qwen2":
            of_layer.update({f"self_attn.{x}_proj.bias": (q_dim if x == "q" else kv_dim,) for x in "qkv"})
        if config["model_type"] == "qwen3":
            of_layer.update({f"self_attn.{x}_norm.weight": (config["head_dim"],) for x in "qk"})
        tensors.update({f"model.layers.{layer}.{name}": shape for name, shape in of_layer.items()})
    tensors["model.norm.weight"] = (dim,)
    if not config["tie_word_embeddings"]:
        tensors["lm_head.weight"] = (config["vocab_size"], dim)
    return tensors


def encoded(values, dtype):
    """The values' bytes. BF16 is the upper half of F32, which is exact enough for random values."""
    f32 = struct.pack(f"<{len(values)}f", *values)
    return f32 if dtype == "f32" else array.array("H", (bits >> 16 for bits in struct.unpack(f"<{len(values)}I", f32))).tobytes()


def write_model(name, directory, dtype):
    directory.mkdir(parents=True)
    config = config_of(name, dtype)
    (directory / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    header, size = {"__metadata__": {"format": "pt"}}, 0
    for tensor, shape in tensors_of(config).items():
        bytes_of_tensor = math.prod(shape) * SIZES[dtype]
        header[tensor] = {"dtype": dtype.upper(), "shape": list(shape), "data_offsets": [size, size + bytes_of_tensor]}
        size += bytes_of_tensor
    text = json.dumps(header).encode()
    generator = random.Random(1)
    block = encoded([generator.gauss(0, 0.02) for _ in range(BLOCK)], dtype)
    ones = encoded([1.0] * 8192, dtype)
    with open(directory / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor, entry in header.items():
            if tensor == "__metadata__":
                continue
            begin, end = entry["data_offsets"]
            source = ones if tensor.endswith("norm.weight") else block
            for position in range(begin, end, len(source)):
                file.write(source[: end - position])


def main():
    if len(sys.argv) not in (3, 4) or sys.argv[1] not in MODELS or sys.argv[3:] not in ([], ["bf16"], ["f32"]):
        sys.exit(f"usage: random_model.py {'|'.join(MODELS)} DIR [bf16|f32]")
    write_model(sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3] if len(sys.argv) == 4 else "bf16")


if __name__ == "__main__":
    main()
