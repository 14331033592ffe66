#!/usr/bin/python3
"""Times ane-train and PyTorch on the same training, in turn, in one run.

    scripts/compare_torch.py [CONFIG...]        default: shakespeare stories15m stories110m

All use the same model (Llama: RMSNorm, RoPE on halves, SwiGLU, tied classifier), initial weights, tokens, AdamW with
clipping, and accumulation; first the script checks that all compute the same losses. Each participant is a process that waits
while another has its turn of one update, or of several short ones: for tens of milliseconds after a pause, Linux may keep all
threads of a process on one processor. PyTorch takes part with default settings and with its best settings: OpenMP's OpenBLAS
(one thread pool instead of two that compete), tcmalloc (no mapping and unmapping of large buffers), and as many threads as
ane-train. Both use the OpenBLAS kernels that ane-train selects for the processor. If an update is one small batch, PyTorch with
its best settings also computes all sequences of the update in one batch.

Needs bench_turns (scripts/bench.sh builds it) and Debian's python3-torch: run it with the system's Python.
"""
import argparse
import importlib.util
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
LIBRARIES = pathlib.Path("/usr/lib/x86_64-linux-gnu")
PAUSE = 0.15  # seconds after which threads that spin after a turn have gone to sleep
TURN = 0.25  # duration of ane-train's turn in seconds, if that needs no more updates than
MOST_OF_A_TURN = 10
NORM_EPS = 1e-5
ROPE_THETA = 10000.0
# ane-train's defaults for missing config values.
DEFAULTS = dict(accum_steps=10, lr=1e-3, beta1=0.9, beta2=0.95, eps=1e-8, weight_decay=0.1, grad_clip=1.0)
BATCHED_BELOW = 2**21  # elements of an update's logits: small shapes are dominated by overhead unless batched


# ---- The PyTorch participant


def read_safetensors(path):
    import torch

    data = pathlib.Path(path).read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            part = bytearray(data[8 + size + begin : 8 + size + end])
            tensors[name] = torch.frombuffer(part, dtype=torch.float32).reshape(entry["shape"])
    return tensors


def make_model(config, weights):
    """Parameters by name, and a function from (inputs, targets) [B, S] to the mean loss."""
    import torch
    from torch.nn import functional as F

    dim, heads, seq = config["dim"], config["heads"], config["seq"]
    head_dim = dim // heads
    parameters = {name: torch.nn.Parameter(tensor.clone()) for name, tensor in weights.items()}
    frequencies = ROPE_THETA ** (-torch.arange(0, head_dim, 2) / head_dim)
    angles = torch.outer(torch.arange(seq), frequencies).repeat(1, 2)
    cos, sin = angles.cos(), angles.sin()  # [S, HD]
    mask = torch.full((seq, seq), float("-inf")).triu(1)

    def norm(x, weight):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + NORM_EPS) * weight

    def rope(x):  # [B, heads, S, HD]
        first, second = x.chunk(2, -1)
        return x * cos + torch.cat((-second, first), -1) * sin

    def layer(x, name):
        p = lambda part: parameters[f"{name}.{part}.weight"]
        split = lambda y: y.view(*y.shape[:2], heads, head_dim).transpose(1, 2)
        h = norm(x, p("input_layernorm"))
        q, k, v = (split(F.linear(h, p(f"self_attn.{part}_proj"))) for part in "qkv")
        scores = rope(q) @ rope(k).transpose(2, 3) / head_dim**0.5 + mask
        mixed = (torch.softmax(scores, -1) @ v).transpose(1, 2).reshape(x.shape)
        x = x + F.linear(mixed, p("self_attn.o_proj"))
        h = norm(x, p("post_attention_layernorm"))
        gate = F.silu(F.linear(h, p("mlp.gate_proj"))) * F.linear(h, p("mlp.up_proj"))
        return x + F.linear(gate, p("mlp.down_proj"))

    def loss(inputs, targets):
        x = F.embedding(inputs, parameters["model.embed_tokens.weight"])
        for index in range(config["layers"]):
            x = layer(x, f"model.layers.{index}")
        logits = F.linear(norm(x, parameters["model.norm.weight"]), parameters["model.embed_tokens.weight"])
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())

    return parameters, loss


def torch_participant(options):
    import torch

    config = json.loads(options.worker)
    if options.best:
        torch.set_num_threads(options.threads)
    parameters, loss_of = make_model(config, read_safetensors(options.weights))
    matrices = [p for p in parameters.values() if p.dim() > 1]
    vectors = [p for p in parameters.values() if p.dim() == 1]
    groups = [
        {"params": matrices, "weight_decay": config["weight_decay"]},
        {"params": vectors, "weight_decay": 0.0},
    ]
    betas = (config["beta1"], config["beta2"])
    optimizer = torch.optim.AdamW(groups, lr=config["lr"], betas=betas, eps=config["eps"])
    data = pathlib.Path(options.tokens).read_bytes()
    tokens = torch.frombuffer(bytearray(data), dtype=torch.int16).long() & 0xFFFF
    seq, accum = config["seq"], config["accum_steps"]
    batch = accum if options.batched else 1
    step = 0

    def update():
        nonlocal step
        total = 0.0
        for _ in range(accum // batch):
            rows = [tokens[(step + i) * seq : (step + i + 1) * seq + 1] for i in range(batch)]
            sample = torch.stack(rows)
            loss = loss_of(sample[:, :-1], sample[:, 1:].contiguous())
            (loss * (batch / accum)).backward()
            total += loss.item() * batch
            step += batch
        torch.nn.utils.clip_grad_norm_(parameters.values(), config["grad_clip"])
        optimizer.step()
        optimizer.zero_grad(set_to_none=not options.best)
        return total / accum

    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads", flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        loss = update()
        elapsed = 1e3 * (time.perf_counter() - start)
        print(json.dumps({"steps": accum, "loss": loss, "ms": elapsed}), flush=True)


# ---- The coordinator


class Participant:
    def __init__(self, name, command, environment):
        self.name = name
        self.times = []
        self.losses = []
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
        )
        self.description = self.read()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"compare_torch.py: {self.name} ended: exit code {self.process.wait()}")
        return line.strip()

    def turn(self, updates=1):
        """The times of a sequence in each update, in ms."""
        time.sleep(PAUSE)
        times = []
        for _ in range(updates):
            self.process.stdin.write("\n")
            self.process.stdin.flush()
            record = json.loads(self.read())
            self.losses.append(record["loss"])
            times.append(record["ms"] / record["steps"])
        return times

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def openblas_kernels():
    """The kernels that src/math/openblas.cpp selects."""
    try:
        cpu = pathlib.Path("/proc/cpuinfo").read_text()
    except OSError:
        return {}
    flags = set(next((line for line in cpu.splitlines() if line.startswith("flags")), "").split())
    if {"avx512f", "avx512bw", "avx512dq", "avx512vl"} <= flags:
        return {"OPENBLAS_CORETYPE": "SKYLAKEX"}
    return {"OPENBLAS_CORETYPE": "HASWELL"} if {"avx2", "fma"} <= flags else {}


def best_environment(threads):
    blas, malloc = LIBRARIES / "openblas-openmp", LIBRARIES / "libtcmalloc_minimal.so.4"
    missing = [str(path) for path in (blas, malloc) if not path.exists()]
    if missing:
        print(f"PyTorch with its best settings is omitted: {', '.join(missing)} missing (scripts/setup.sh --bench)\n")
        return None
    return {
        "LD_LIBRARY_PATH": str(blas),
        "LD_PRELOAD": str(malloc),
        "TCMALLOC_RELEASE_RATE": "0",
        "OMP_NUM_THREADS": str(threads),
        "OMP_PROC_BIND": "true",
    }


def write_tokens(path, vocab, count):
    """Reproducible tokens, some of them frequent."""
    state, tokens = 12345, bytearray()
    for _ in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        tokens += int(vocab * (state / 2**64) ** 3).to_bytes(2, "little")
    path.write_bytes(tokens)


def participants(name, config, options, folder):
    threads = options.threads
    tokens, weights = folder / "tokens.bin", folder / "weights.safetensors"
    updates = options.warmups + max(options.least, options.most) * MOST_OF_A_TURN
    write_tokens(tokens, config["vocab"], updates * config["accum_steps"] * config["seq"] + 1)
    ours = [str(ROOT / "build/release/bench/bench_turns"), "--config", name, "--threads", str(threads)]
    ours += ["--accum-steps", str(config["accum_steps"]), "--plan", options.plan]
    ours += ["--data", str(tokens), "--data-order", "sequential", "--write-weights", str(weights), "--schedule", "constant"]
    yield Participant("ane-train", ours + ["--warmup", "0"], {})

    worker = [sys.executable, __file__, "--worker", json.dumps(config), "--threads", str(threads)]
    worker += ["--tokens", str(tokens), "--weights", str(weights)]
    batched = config["accum_steps"] * config["seq"] * config["vocab"] < BATCHED_BELOW
    yield Participant("PyTorch, default settings", worker, openblas_kernels())
    if (best := best_environment(threads)) is not None:
        best.update(openblas_kernels())
        yield Participant("PyTorch, best settings", worker + ["--best"], best)
        if batched:
            name = f"PyTorch, best settings, {config['accum_steps']} sequences per batch"
            yield Participant(name, worker + ["--best", "--batched"], best)


def check_losses(everyone, tolerance):
    """fp16 kernels against fp32: the same loss up to rounding, before and after updates. The largest difference."""
    ours, worst = everyone[0], 0.0
    for other in everyone[1:]:
        for update, (a, b) in enumerate(zip(ours.losses, other.losses)):
            difference = abs(a - b) / abs(b)
            if not difference <= tolerance:
                sys.exit(f"compare_torch.py: update {update + 1}: {ours.name} has loss {a}, {other.name} {b}")
            worst = max(worst, difference)
    return worst


def compare(name, options):
    config = {**DEFAULTS, **json.loads((ROOT / "configs" / f"{name}.json").read_text())}
    if options.accum:
        config["accum_steps"] = options.accum
    with tempfile.TemporaryDirectory() as folder:
        everyone = list(participants(name, config, options, pathlib.Path(folder)))
        for _ in range(options.warmups):
            warm = [participant.turn() for participant in everyone]
        check_losses(everyone, options.tolerance)
        update_ms = warm[0][0] * config["accum_steps"]
        a_turn = max(1, min(MOST_OF_A_TURN, int(TURN * 1000 / update_ms)))
        end = time.monotonic() + options.seconds
        turns = 0
        while turns < options.least or (time.monotonic() < end and turns < options.most):
            for participant in everyone:
                participant.times += participant.turn(a_turn)
            turns += 1
        for participant in everyone:
            participant.close()
    worst = check_losses(everyone, options.tolerance)

    ours = everyone[0]
    print(f"\n{name}: losses agree within {worst:.0e} over {len(ours.losses)} updates ({ours.losses[0]:.4f} to "
          f"{ours.losses[-1]:.4f}); medians of {turns} turns of {a_turn} updates of {config['accum_steps']} sequences, including all overhead")
    for participant in everyone:
        print(f"- {participant.name}: {participant.description}")
    print()
    print(f"| {name:46} | ms/sequence | fastest | ane-train is faster by |")
    print(f"|{'-' * 48}|------------:|--------:|-----------------------:|")
    for participant in everyone:
        median = statistics.median(participant.times)
        faster = "" if participant is ours else f"{median / statistics.median(ours.times):.2f}"
        print(f"| {participant.name:46} | {median:11.3f} | {min(participant.times):7.2f} | {faster:>22} |")
    sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configs", nargs="*", default=["shakespeare", "stories15m", "stories110m"])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--plan", default="split", help="ane-train's plan of kernels")
    parser.add_argument("--accum", type=int, help="sequences per update (default: the config's)")
    parser.add_argument("--warmups", type=int, default=2, help="untimed warm-up updates, at least one")
    parser.add_argument("--least", type=int, default=3, help="minimum number of timed turns")
    parser.add_argument("--most", type=int, default=30, help="maximum number of timed turns")
    parser.add_argument("--seconds", type=float, default=25, help="seconds of timed turns per config")
    parser.add_argument("--tolerance", type=float, default=1e-3, help="relative tolerance of losses")
    for hidden in ("--worker", "--tokens", "--weights"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    for hidden in ("--best", "--batched"):
        parser.add_argument(hidden, action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if importlib.util.find_spec("torch") is None:
        sys.exit(f"compare_torch.py: {sys.executable} has no PyTorch; run the script directly, so that the system's Python runs it")
    if options.worker:
        torch_participant(options)
    else:
        for name in options.configs:
            compare(name, options)


if __name__ == "__main__":
    main()
