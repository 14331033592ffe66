#!/usr/bin/env python3
"""Times ane-train, PyTorch and their GEMM bound on the same training, in turn, in one run.

    scripts/compare_torch.py [CONFIG...]        default: shakespeare stories15m stories110m stories15m+lora stories110m+lora

CONFIG+lora trains an adapter of rank 16 on all projections of a frozen model with the config's dimensions, in fp32. All use the same
initial weights, tokens, AdamW with clipping, and accumulation; first the script checks that all compute the same losses.

PyTorch is Debian 13's, unpacked into build/torch (torch_root.sh), or with --system that of this system. It uses
scaled_dot_product_attention, the fused AdamW, OpenMP's OpenBLAS (one thread pool instead of two that compete) with the kernels that
ane-train selects for the processor, tcmalloc (no mapping and unmapping of large buffers), and as many threads as ane-train. It takes
part three times: with one, half or all of an update's sequences in a batch. Its best counts.

Each participant is a process that waits while another has its turn of one update, or of several short ones: for tens of milliseconds
after a pause, Linux may keep all threads of a process on one processor. Of all participants, the bound included, the best update
counts. Before and after each turn, the script checks whether threads share a processor core (bench/cores.h); turns beside such a
check are left out.

Needs bench_turns and bench_bound (scripts/bench.sh builds them).
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
import random_model

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAMS = ROOT / "build/release/bench"
PAUSE = 0.15  # seconds after which threads that spin after a turn have gone to sleep
TURN = 0.25  # duration of ane-train's turn in seconds, if that needs no more updates than
MOST_OF_A_TURN = 10
LORA = "+lora"
LORA_RANK = 16
LORA_TOLERANCE = 0.1  # factor of the tolerance, because few updates of an adapter hardly change a loss
LORA_SCALE = 2.0  # ane-train's default of alpha is twice the rank
# ane-train's defaults for missing config values.
DEFAULTS = dict(accum_steps=10, lr=1e-3, beta1=0.9, beta2=0.95, eps=1e-8, weight_decay=0.1, grad_clip=1.0)


def fail(message):
    sys.exit(f"compare_torch.py: {message}")


def config_file(name):
    return ROOT / "configs" / f"{name.removesuffix(LORA)}.json"


# ---- The participants


class Participant:
    def __init__(self, name, command, environment=None):
        self.name = name
        self.losses = []
        self.times = []  # of updates in ms, from turns during which no core was shared
        self.disturbed_times = []
        self.process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {})},
        )
        self.description = self.read()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            fail(f"{self.name} ended: exit code {self.process.wait()}")
        return line.strip()

    def ask(self, line):
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return json.loads(self.read())

    def turn(self, updates=1):
        """The times of updates in ms."""
        records = [self.ask("update") for _ in range(updates)]
        self.losses += [record["loss"] for record in records if "loss" in record]
        return [record["ms"] for record in records]

    def best(self):
        return min(self.times or self.disturbed_times)

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


def torch_python(options):
    """The command and the environment of a Python with PyTorch: in its own root, through the root's own dynamic loader."""
    root = pathlib.Path("/")
    if not options.system:
        if subprocess.run([ROOT / "scripts/torch_root.sh"]).returncode != 0:
            fail("no PyTorch to compare with; --system takes that of this system")
        root = ROOT / "build/torch/root"
    loader = next(root.glob("usr/lib/*-linux-gnu/ld-linux-*"), None)
    if loader is None:
        fail(f"{root} has no dynamic loader of Debian, which starts PyTorch")
    blas, malloc = loader.parent / "openblas-openmp", loader.parent / "libtcmalloc_minimal.so.4"
    for needed in (root / "usr/lib/python3/dist-packages/torch", blas, malloc):
        if not needed.exists():
            fail(f"{needed} is missing; install python3-torch, libopenblas0-openmp and libtcmalloc-minimal4"
                 if options.system else f"{needed} is missing; remove build/torch to unpack it again")
    command = [loader, "--library-path", f"{blas}:{loader.parent}", "--preload", malloc, root / "usr/bin/python3"]
    environment = {
        "PYTHONHOME": str(root / "usr"),
        "PYTHONPATH": "",
        "PYTHONNOUSERSITE": "1",
        "TCMALLOC_RELEASE_RATE": "0",
        "OMP_NUM_THREADS": str(options.threads),
        "OMP_PROC_BIND": "true",
    }
    return command, {**environment, **openblas_kernels()}


def write_tokens(path, vocab, count):
    """Reproducible tokens, some of them frequent."""
    state, tokens = 12345, bytearray()
    for _ in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        tokens += int(vocab * (state / 2**64) ** 3).to_bytes(2, "little")
    path.write_bytes(tokens)


def participants(name, config, options, torch, folder):
    """The GEMM bound, ane-train, and PyTorch with several batch sizes."""
    tokens, trained, model = folder / "tokens.bin", folder / "trained.safetensors", folder / "model"
    updates = options.warmups + max(options.least, options.most) * MOST_OF_A_TURN
    write_tokens(tokens, config["vocab"], updates * config["accum_steps"] * config["seq"] + 1)
    dimensions = name.removesuffix(LORA)
    settings = ["--config", dimensions, "--threads", options.threads, "--accum-steps", config["accum_steps"], "--plan", options.plan]
    torch_data = ["--tokens", tokens, "--trained", trained, "--threads", options.threads]
    if name.endswith(LORA):
        random_model.write_model(dimensions, model, "f32")
        settings += ["--model", model, "--lora", LORA_RANK]
        torch_data += ["--frozen", model / "model.safetensors", "--lora-scale", LORA_SCALE]
    yield Participant("GEMM bound", [PROGRAMS / "bench_bound", *settings])

    run = ["--data", tokens, "--data-order", "sequential", "--schedule", "constant", "--warmup", 0, "--write-weights", trained]
    yield Participant("ane-train", [PROGRAMS / "bench_turns", *settings, *run])

    python, environment = torch
    worker = [*python, ROOT / "scripts/torch_training.py", "--config", json.dumps(config), *torch_data]
    accum = config["accum_steps"]
    for batch in sorted({1, max(1, accum // 2), accum}):
        yield Participant(f"PyTorch with batches of {batch}", [*worker, "--batch", batch], environment)


# ---- The measurement


def check_losses(ours, peers, tolerance):
    """fp16 kernels against fp32: the same loss up to rounding, before and after updates. The largest difference."""
    worst = 0.0
    for peer in peers:
        for update, (a, b) in enumerate(zip(ours.losses, peer.losses)):
            difference = abs(a - b) / abs(b)
            if not difference <= tolerance:
                fail(f"update {update + 1}: {ours.name} has loss {a}, {peer.name} {b}")
            worst = max(worst, difference)
    return worst


class Measurement:
    """Turns of all participants, of which the first is the bound. Its process also checks the cores."""

    def __init__(self, everyone):
        self.everyone = everyone
        self.slowdowns = []
        self.rounds = 0
        self.left_out = 0
        self.shared = self.cores_shared()

    def cores_shared(self):
        time.sleep(PAUSE)
        check = self.everyone[0].ask("cores")
        self.slowdowns.append(check["slowdown"])
        return check["shared"]

    def round(self, updates):
        for participant in self.everyone:
            times = participant.turn(updates)
            before, self.shared = self.shared, self.cores_shared()
            disturbed = before or self.shared
            kept = participant.disturbed_times if disturbed else participant.times
            kept += times
            self.left_out += disturbed
        self.rounds += 1

    def summary(self):
        text = (f"{self.rounds * len(self.everyone)} turns; products on all threads at once took {min(self.slowdowns):.2f} to "
                f"{max(self.slowdowns):.2f} times as long as on one thread")
        if self.left_out:
            text += f"; {self.left_out} turns are left out, because threads shared a processor core or another program used one"
        if unusable := [participant.name for participant in self.everyone if not participant.times]:
            text += f"\nNOT COMPARABLE: there was no undisturbed turn of {', '.join(unusable)}; repeat the measurement"
        return text


def compare(name, options, torch):
    """The row of the config in the last table."""
    config = {**DEFAULTS, **json.loads(config_file(name).read_text())}
    if options.accum:
        config["accum_steps"] = options.accum
    tolerance = options.tolerance * (LORA_TOLERANCE if name.endswith(LORA) else 1)
    with tempfile.TemporaryDirectory() as folder:
        everyone = list(participants(name, config, options, torch, pathlib.Path(folder)))
        bound, ours, *peers = everyone
        for _ in range(options.warmups):
            warm = [participant.turn()[0] for participant in everyone]
        check_losses(ours, peers, tolerance)
        a_turn = max(1, min(MOST_OF_A_TURN, int(TURN * 1000 / warm[1])))
        measurement = Measurement(everyone)
        end = time.monotonic() + options.seconds
        while measurement.rounds < options.least or (time.monotonic() < end and measurement.rounds < options.most):
            measurement.round(a_turn)
        for participant in everyone:
            participant.close()
    worst = check_losses(ours, peers, tolerance)

    print(f"\n{name}: losses agree within {worst:.0e} over {len(ours.losses)} updates ({ours.losses[0]:.4f} to {ours.losses[-1]:.4f}); "
          f"an update has {config['accum_steps']} sequences")
    print(measurement.summary())
    for participant in everyone:
        print(f"- {participant.name}: {participant.best():.1f} ms per update ({participant.description})")
    sys.stdout.flush()
    peer = min(peers, key=Participant.best)
    mark = "" if all(participant.times for participant in everyone) else " (disturbed)"
    return [name + mark, peer.name, f"{peer.best():.1f}", f"{ours.best():.1f}", f"{peer.best() / ours.best():.2f}",
            f"{ours.best() / bound.best():.2f}"]


def print_table(rows):
    heads = ["config", "PyTorch's best", "its ms per update", "ane-train's", "PyTorch / ane-train", "ane-train / GEMM bound"]
    widths = [max(map(len, column)) for column in zip(heads, *rows)]
    line = lambda cells: "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths)) + " |"
    print("\n" + line(heads))
    print("|" + "|".join("-" * (width + 2) for width in widths) + "|")
    for row in rows:
        print(line(row))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configs", nargs="*", metavar="CONFIG",
                        default=["shakespeare", "stories15m", "stories110m", "stories15m+lora", "stories110m+lora"])
    parser.add_argument("--system", action="store_true", help="use this system's PyTorch")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--plan", default="split", help="ane-train's plan of kernels")
    parser.add_argument("--accum", type=int, help="sequences per update (default: the config's)")
    parser.add_argument("--warmups", type=int, default=3, help="untimed warm-up updates; an error in an adapter shows in the third")
    parser.add_argument("--least", type=int, default=3, help="minimum number of timed turns")
    parser.add_argument("--most", type=int, default=30, help="maximum number of timed turns")
    parser.add_argument("--seconds", type=float, default=25, help="seconds of timed turns per config")
    parser.add_argument("--tolerance", type=float, default=1e-3,
                        help=f"relative tolerance of the losses; {LORA_TOLERANCE:g} of it for adapters")
    options = parser.parse_args()
    for name in options.configs:
        if not config_file(name).exists() or json.loads(config_file(name).read_text())["family"] != "llama":
            parser.error(f"'{name}' is not a config of a Llama in configs/")
        if name.endswith(LORA) and name.removesuffix(LORA) not in random_model.MODELS:
            parser.error(f"'{name}': random_model.py has no model of these dimensions")
    if options.warmups < 1:
        parser.error("--warmups must be at least 1")
    for program in ("bench_bound", "bench_turns"):
        if not (PROGRAMS / program).exists():
            fail(f"{PROGRAMS / program} is missing: scripts/setup.sh --bench, then scripts/build.sh release benchmarks -DANE_BENCH=ON")
    torch = torch_python(options)
    print_table([compare(name, options, torch) for name in options.configs])


if __name__ == "__main__":
    main()
