"""PyTorch's part of compare_torch.py: trains one update for each line of its input, and answers with its loss and time as JSON.

It uses what PyTorch has for this: scaled_dot_product_attention, the fused AdamW, and several sequences in a batch. What an older
version lacks is replaced, and the first line says so.
"""
import argparse
import json
import pathlib
import sys
import time

import torch
from torch.nn import functional as F

NORM_EPS = 1e-5
ROPE_THETA = 10000.0


def read_safetensors(path):
    """fp32 tensors by name."""
    data = pathlib.Path(path).read_bytes()
    size = int.from_bytes(data[:8], "little")
    tensors = {}
    for name, entry in json.loads(data[8 : 8 + size]).items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            part = bytearray(data[8 + size + begin : 8 + size + end])
            tensors[name] = torch.frombuffer(part, dtype=torch.float32).reshape(entry["shape"])
    return tensors


HAS_SDPA = hasattr(F, "scaled_dot_product_attention")  # since 2.0


def attention(q, k, v):
    if HAS_SDPA:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    scores = q @ k.transpose(2, 3) / q.shape[-1] ** 0.5
    mask = torch.full(scores.shape[2:], float("-inf")).triu(1)
    return torch.softmax(scores + mask, -1) @ v


def make_loss(config, parameters, lora_scale):
    """A function from (inputs, targets) [B, S] to the mean loss of a Llama: RMSNorm, RoPE on halves, SwiGLU, tied classifier."""
    dim, heads, seq = config["dim"], config["heads"], config["seq"]
    head_dim = dim // heads
    frequencies = ROPE_THETA ** (-torch.arange(0, head_dim, 2) / head_dim)
    angles = torch.outer(torch.arange(seq), frequencies).repeat(1, 2)
    cos, sin = angles.cos(), angles.sin()  # [S, HD]

    def norm(x, name):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + NORM_EPS) * parameters[f"{name}.weight"]

    def rope(x):  # [B, heads, S, HD]
        first, second = x.chunk(2, -1)
        return x * cos + torch.cat((-second, first), -1) * sin

    def project(x, name):
        y = F.linear(x, parameters[f"{name}.weight"])
        if lora_scale is None:
            return y
        a, b = (parameters[f"{name}.lora_{factor}.weight"] for factor in "AB")
        return torch.add(y, F.linear(F.linear(x, a), b), alpha=lora_scale)

    def layer(x, name):
        split = lambda y: y.view(*y.shape[:2], heads, head_dim).transpose(1, 2)
        h = norm(x, f"{name}.input_layernorm")
        q, k, v = (split(project(h, f"{name}.self_attn.{part}_proj")) for part in "qkv")
        mixed = attention(rope(q), rope(k), v).transpose(1, 2).reshape(x.shape)
        x = x + project(mixed, f"{name}.self_attn.o_proj")
        h = norm(x, f"{name}.post_attention_layernorm")
        gate = F.silu(project(h, f"{name}.mlp.gate_proj")) * project(h, f"{name}.mlp.up_proj")
        return x + project(gate, f"{name}.mlp.down_proj")

    def loss(inputs, targets):
        x = F.embedding(inputs, parameters["model.embed_tokens.weight"])
        for index in range(config["layers"]):
            x = layer(x, f"model.layers.{index}")
        logits = F.linear(norm(x, "model.norm"), parameters["model.embed_tokens.weight"])
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())

    return loss


def make_optimizer(config, trained):
    groups = [
        {"params": [p for p in trained if p.dim() > 1], "weight_decay": config["weight_decay"]},
        {"params": [p for p in trained if p.dim() == 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    options = dict(lr=config["lr"], betas=(config["beta1"], config["beta2"]), eps=config["eps"])
    try:
        return torch.optim.AdamW(groups, fused=True, **options), "fused AdamW"
    except (TypeError, RuntimeError):  # before 2.4, not on the CPU
        return torch.optim.AdamW(groups, foreach=True, **options), "AdamW"


def read_tokens(path):
    return torch.frombuffer(bytearray(pathlib.Path(path).read_bytes()), dtype=torch.int16).long() & 0xFFFF


class Training:
    def __init__(self, options):
        self.config = json.loads(options.config)
        self.batch = options.batch
        self.tokens = read_tokens(options.tokens)
        self.trained = {name: torch.nn.Parameter(tensor) for name, tensor in read_safetensors(options.trained).items()}
        frozen = read_safetensors(options.frozen) if options.frozen else {}
        self.loss = make_loss(self.config, {**frozen, **self.trained}, options.lora_scale)
        self.optimizer, optimizer_name = make_optimizer(self.config, list(self.trained.values()))
        attention_name = "scaled_dot_product_attention" if HAS_SDPA else "attention in single operations"
        self.description = f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads, {attention_name}, {optimizer_name}"
        self.step = 0

    def sequences(self, count):
        """The inputs and targets of the next sequences."""
        seq = self.config["seq"]
        rows = [self.tokens[step * seq : (step + 1) * seq + 1] for step in range(self.step, self.step + count)]
        self.step += count
        sample = torch.stack(rows)
        return sample[:, :-1], sample[:, 1:].contiguous()

    def update(self):
        """The mean loss."""
        total, left = 0.0, self.config["accum_steps"]
        while left > 0:
            count = min(self.batch, left)
            loss = self.loss(*self.sequences(count)) * (count / self.config["accum_steps"])
            loss.backward()
            total += loss.item()
            left -= count
        torch.nn.utils.clip_grad_norm_(self.trained.values(), self.config["grad_clip"])
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return total


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", required=True, help="settings of the model and the training as JSON")
    parser.add_argument("--tokens", required=True, help="file of 16-bit tokens, read in order")
    parser.add_argument("--trained", required=True, help="safetensors file with the initial values of what is trained")
    parser.add_argument("--frozen", help="safetensors file of the other parameters")
    parser.add_argument("--lora-scale", type=float, help="factor of the adapters' products")
    parser.add_argument("--batch", type=int, required=True, help="sequences per batch")
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    training = Training(options)
    print(training.description, flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        loss = training.update()
        elapsed = 1e3 * (time.perf_counter() - start)
        print(json.dumps({"steps": training.config["accum_steps"], "loss": loss, "ms": elapsed}), flush=True)


if __name__ == "__main__":
    main()
