#!/usr/bin/python3
"""Opens a model as other programs would, and computes its loss with PyTorch in float64.

    scripts/check_model.py MODEL --data FILE [--seq N] [--sequences N] [--program build/release/ane-train]
                           [--expected FILE.safetensors]

MODEL is a Hugging Face model directory of the Llama, Mistral, Qwen2 or Qwen3 family (an export or a checkpoint, with one file or
shards), or a .bin of llama2.c. Names, shapes and order of rows are those of these formats: this script shares no code with
ane-train. The loss is the mean over the first N consecutive sequences, of tokens (.bin) or of text read as bytes.

--program runs `ane-train eval` in fp32 on the same model and data and compares the losses; --expected compares the logits of the
first sequence with the tensor `logits` in a file. The exit code is 1 if they differ. Needs Debian's python3-torch: run it with
the system's Python.
"""
import argparse
import json
import math
import pathlib
import struct
import subprocess
import sys

import torch
from torch.nn import functional as F

TYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
CONFIG_TYPES = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}
TOKEN_MAGIC = b"\xff\xffANETOK"
LONGEST_DEFAULT = 1024
# fp32 sums of a few hundred terms are accurate to 1e-6, and the loss is a mean over many tokens.
LOSS_TOLERANCE = 1e-5
LOGITS_TOLERANCE = 1e-6  # relative Frobenius norm; the expected logits are rounded to fp32


class Refused(Exception):
    pass


# ---- Files


def read_safetensors(path):
    """Tensors by name, and the metadata."""
    data = path.read_bytes()
    (size,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + size])
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        values = torch.frombuffer(bytearray(data[8 + size + begin : 8 + size + end]), dtype=TYPES[entry["dtype"]])
        tensors[name] = (values.reshape(entry["shape"]), entry["dtype"])
    return tensors, metadata


def read_directory(directory):
    """The config and all tensors of a Hugging Face directory."""
    config = json.loads((directory / "config.json").read_text())
    index = directory / "model.safetensors.index.json"
    one = directory / "model.safetensors"
    files = [one] if one.exists() else sorted({directory / f for f in json.loads(index.read_text())["weight_map"].values()})
    tensors = {}
    for file in files:
        found, metadata = read_safetensors(file)
        if metadata.get("format", "pt") != "pt" or (metadata and "format" not in metadata):
            raise Refused(f"{file}: the metadata must say that the format is pt; transformers refuses {metadata}")
        tensors.update(found)
    return config, tensors


def read_llama2c(path):
    """The same for a file of llama2.c, whose rows of wq and wk alternate between the halves that RoPE pairs."""
    data = path.read_bytes()
    dim, hidden, layers, heads, kv_heads, vocab, seq = struct.unpack_from("<7i", data)
    config = dict(
        model_type="llama", hidden_size=dim, intermediate_size=hidden, num_hidden_layers=layers, num_attention_heads=heads,
        num_key_value_heads=kv_heads, vocab_size=abs(vocab), max_position_embeddings=seq, rms_norm_eps=1e-5,
        rope_theta=10000.0, tie_word_embeddings=vocab > 0, interleaved=True,
    )
    values = torch.frombuffer(bytearray(data[28:]), dtype=torch.float32)
    head_dim = dim // heads
    tensors = {}
    offset = 0

    def take(*shape):
        nonlocal offset
        size = math.prod(shape)
        offset += size
        if offset > len(values):
            raise Refused(f"{path}: it is too short")
        return values[offset - size : offset].reshape(shape)

    tensors["model.embed_tokens.weight"] = (take(abs(vocab), dim), "F32")
    shapes = {
        "input_layernorm": (dim,), "self_attn.q_proj": (heads * head_dim, dim), "self_attn.k_proj": (kv_heads * head_dim, dim),
        "self_attn.v_proj": (kv_heads * head_dim, dim), "self_attn.o_proj": (dim, heads * head_dim),
        "post_attention_layernorm": (dim,), "mlp.gate_proj": (hidden, dim), "mlp.down_proj": (dim, hidden),
        "mlp.up_proj": (hidden, dim),
    }
    for name, shape in shapes.items():
        for layer in range(layers):
            tensors[f"model.layers.{layer}.{name}.weight"] = (take(*shape), "F32")
    tensors["model.norm.weight"] = (take(dim), "F32")
    take(2 * seq * head_dim // 2)  # the tables of RoPE
    if vocab < 0:
        tensors["lm_head.weight"] = (take(-vocab, dim), "F32")
    if offset != len(values):
        raise Refused(f"{path}: {len(values) - offset} values too many")
    return config, tensors


def read_tokens(path):
    data = path.read_bytes()
    if data.startswith(TOKEN_MAGIC):
        (bits,) = struct.unpack_from("<I", data, 12)
        return torch.tensor(memoryview(data[64:]).cast("H" if bits == 16 else "I").tolist())
    if path.suffix == ".bin":
        return torch.tensor(memoryview(data).cast("H").tolist())
    return torch.tensor(list(data))


# ---- The model


def expected_shapes(config):
    """The tensors that transformers' model of this family has."""
    dim, hidden, heads = config["hidden_size"], config["intermediate_size"], config["num_attention_heads"]
    kv_heads, head_dim = config["num_key_value_heads"], config["head_dim"]
    shapes = {"model.embed_tokens.weight": [config["vocab_size"], dim], "model.norm.weight": [dim]}
    if not config["tie_word_embeddings"]:
        shapes["lm_head.weight"] = [config["vocab_size"], dim]
    for layer in range(config["num_hidden_layers"]):
        here = f"model.layers.{layer}."
        for name, rows in (("q_proj", heads * head_dim), ("k_proj", kv_heads * head_dim), ("v_proj", kv_heads * head_dim)):
            shapes[f"{here}self_attn.{name}.weight"] = [rows, dim]
            if config["model_type"] == "qwen2":
                shapes[f"{here}self_attn.{name}.bias"] = [rows]
        if config["model_type"] == "qwen3":
            shapes[f"{here}self_attn.q_norm.weight"] = [head_dim]
            shapes[f"{here}self_attn.k_norm.weight"] = [head_dim]
        shapes[f"{here}self_attn.o_proj.weight"] = [dim, heads * head_dim]
        for name in ("gate_proj", "up_proj"):
            shapes[f"{here}mlp.{name}.weight"] = [hidden, dim]
        shapes[f"{here}mlp.down_proj.weight"] = [dim, hidden]
        for name in ("input_layernorm", "post_attention_layernorm"):
            shapes[f"{here}{name}.weight"] = [dim]
    return shapes


def completed(config):
    """The config with transformers' defaults."""
    config = dict(config)
    if config["model_type"] not in ("llama", "mistral", "qwen2", "qwen3"):
        raise Refused(f"model_type {config['model_type']} is not known")
    heads = config["num_attention_heads"]
    config.setdefault("num_key_value_heads", heads)
    config.setdefault("head_dim", 128 if config["model_type"] == "qwen3" else config["hidden_size"] // heads)
    config.setdefault("rms_norm_eps", 1e-6)
    config.setdefault("tie_word_embeddings", False)
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    config["rope"] = dict(rope, type=rope.get("rope_type", rope.get("type", "default")))
    config["theta"] = rope.get("rope_theta", config.get("rope_theta", 10000.0))
    return config


def check_tensors(config, tensors):
    shapes = expected_shapes(config)
    for name, shape in shapes.items():
        if name not in tensors:
            raise Refused(f"there is no tensor {name}")
        if list(tensors[name][0].shape) != shape:
            raise Refused(f"{name} has the shape {list(tensors[name][0].shape)}, expected {shape}")
    for name in tensors.keys() - shapes.keys():
        if not name.endswith("rotary_emb.inv_freq") and name != "lm_head.weight":
            raise Refused(f"{name} does not belong to this model")
    dtype = config.get("torch_dtype", config.get("dtype"))
    stored = tensors["model.embed_tokens.weight"][1]
    if dtype is not None and CONFIG_TYPES.get(dtype) != stored:
        raise Refused(f"config.json says {dtype}, but the weights are {stored}")


def frequencies(config):
    """Radians per position of each pair."""
    pairs = torch.arange(0, config["head_dim"], 2, dtype=torch.float64) / config["head_dim"]
    plain = config["theta"] ** -pairs
    rope = config["rope"]
    if rope["type"] == "default":
        return plain
    if rope["type"] != "llama3":
        raise Refused(f"RoPE of type {rope['type']} is not known")
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    turns = rope["original_max_position_embeddings"] * plain / (2 * math.pi)
    kept = ((turns - low) / (high - low)).clamp(0, 1)
    return kept * plain + (1 - kept) * plain / rope["factor"]


def rotate(x, angles, interleaved):
    """x [heads, S, head_dim]"""
    cos, sin = angles.cos(), angles.sin()
    if interleaved:
        a, b = x[..., 0::2], x[..., 1::2]
        return torch.stack((a * cos - b * sin, a * sin + b * cos), dim=-1).flatten(-2)
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, a * sin + b * cos), dim=-1)


def rms_norm(x, weight, eps):
    return x / (x.square().mean(-1, keepdim=True) + eps).sqrt() * weight


def logits_of(config, weights, tokens):
    """[S, vocab] for tokens [S]"""
    seq = len(tokens)
    heads, kv_heads, head_dim = config["num_attention_heads"], config["num_key_value_heads"], config["head_dim"]
    eps = config["rms_norm_eps"]
    angles = torch.arange(seq, dtype=torch.float64)[:, None] * frequencies(config)
    mask = torch.full((seq, seq), -math.inf, dtype=torch.float64).triu(1)
    x = weights["model.embed_tokens.weight"][tokens]
    for layer in range(config["num_hidden_layers"]):

        def get(name):
            return weights.get(f"model.layers.{layer}.{name}")

        def project(name, y):
            return F.linear(y, get(name + ".weight"), get(name + ".bias"))

        def split(name, y, count):
            return project(f"self_attn.{name}", y).reshape(seq, count, head_dim).transpose(0, 1)

        y = rms_norm(x, get("input_layernorm.weight"), eps)
        q, k, v = split("q_proj", y, heads), split("k_proj", y, kv_heads), split("v_proj", y, kv_heads)
        if config["model_type"] == "qwen3":
            q = rms_norm(q, get("self_attn.q_norm.weight"), eps)
            k = rms_norm(k, get("self_attn.k_norm.weight"), eps)
        q, k = (rotate(each, angles, config.get("interleaved", False)) for each in (q, k))
        k, v = (each.repeat_interleave(heads // kv_heads, dim=0) for each in (k, v))
        scores = q @ k.transpose(1, 2) / math.sqrt(head_dim) + mask
        attended = (scores.softmax(-1) @ v).transpose(0, 1).reshape(seq, heads * head_dim)
        x = x + project("self_attn.o_proj", attended)
        y = rms_norm(x, get("post_attention_layernorm.weight"), eps)
        x = x + project("mlp.down_proj", F.silu(project("mlp.gate_proj", y)) * project("mlp.up_proj", y))
    x = rms_norm(x, weights["model.norm.weight"], eps)
    return x @ weights["model.embed_tokens.weight" if config["tie_word_embeddings"] else "lm_head.weight"].T


# ---- Comparisons


def evaluate(arguments, seq, sequences):
    command = [arguments.program, "eval", "--model", arguments.model, "--data", arguments.data, "--seq", seq, "--sequences",
               sequences, "--precision", "fp32", "--device", "host", "--json"]
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if result.returncode != 0:
        raise Refused(f"{arguments.program} eval failed: {result.stderr}")
    return json.loads(result.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--seq", type=int)
    parser.add_argument("--sequences", type=int)
    parser.add_argument("--program", type=pathlib.Path)
    parser.add_argument("--expected", type=pathlib.Path)
    arguments = parser.parse_args()

    torch.set_grad_enabled(False)
    config, tensors = (read_llama2c if arguments.model.suffix == ".bin" else read_directory)(arguments.model)
    config = completed(config)
    check_tensors(config, tensors)
    weights = {name: values.double() for name, (values, _) in tensors.items()}
    seq = arguments.seq or min(config["max_position_embeddings"], LONGEST_DEFAULT)
    tokens = read_tokens(arguments.data)
    count = (len(tokens) - 1) // seq
    if arguments.sequences is not None:
        count = min(count, arguments.sequences)
    if count == 0:
        raise Refused(f"{arguments.data} is too short for a sequence of {seq}")

    losses = []
    for i in range(count):
        part = tokens[i * seq : (i + 1) * seq + 1]
        logits = logits_of(config, weights, part[:-1])
        losses.append(F.cross_entropy(logits, part[1:]).item())
        if i == 0 and arguments.expected:
            expected = read_safetensors(arguments.expected)[0]["logits"][0].double()
            error = ((logits - expected).norm() / expected.norm()).item()
            print(f"logits: relative difference {error:.2e}")
            if not error <= LOGITS_TOLERANCE:
                raise Refused(f"the logits differ from the expected ones by more than {LOGITS_TOLERANCE}")
    loss = sum(losses) / count
    print(f"loss: {loss:.8f} over {count} sequences of {seq} tokens (PyTorch, float64)")
    if arguments.program:
        theirs = evaluate(arguments, seq, count)
        error = abs(theirs["loss"] - loss) / loss
        print(f"ane-train eval: {theirs['loss']:.8f}, relative difference {error:.2e}")
        if not (error <= LOSS_TOLERANCE and theirs["sequences"] == count and theirs["tokens"] == count * seq):
            raise Refused(f"ane-train eval differs: {theirs}")


if __name__ == "__main__":
    try:
        main()
    except Refused as error:
        sys.exit(f"check_model.py: {error}")
