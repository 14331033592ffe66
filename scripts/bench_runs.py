#!/usr/bin/env python3
"""Measures whole runs of ane-train.

    scripts/bench_runs.py restart     time from the last step before a restart to the first after it, without compiling, by
                                      size of the state
    scripts/bench_runs.py growth      peak memory and step time by sequence length and by layers, and their deviation from a
                                      line

Uses build/release/ane-train, or the program named by ANE_TRAIN.
"""
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = os.environ.get("ANE_TRAIN", str(ROOT / "build/release/ane-train"))


def run(*arguments, **variables):
    environment = {**os.environ, **{name: str(value) for name, value in variables.items()}}
    result = subprocess.run([PROGRAM, *map(str, arguments)], env=environment, capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"bench_runs.py: {' '.join(map(str, arguments))}: exit code {result.returncode}\n{result.stderr}")
    return result.stdout


def row(*cells):
    print("| " + " | ".join(f"{cell:>14}" for cell in cells) + " |", flush=True)


def head(*names):
    row(*names)
    print("|" + "|".join("-" * 15 + ":" for _ in names) + "|")


# ---- Restarts


def empty_start_ms():
    """Time to start an empty process."""
    times = []
    for _ in range(21):
        start = time.perf_counter()
        subprocess.run(["true"], check=True)
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def restart_gaps_ms(events):
    """Times from the end of an update to the beginning of the first step of the next process, without compile rounds."""
    gaps, last_end, restarted, compiled = [], None, False, 0.0
    for event in sorted((e for e in events if e["ph"] == "X"), key=lambda e: e["ts"]):
        if event["name"] == "restart":
            restarted = True
        elif event["name"] == "compile round":
            compiled += event["dur"]
        elif event["name"] == "step":
            if restarted:
                gaps.append((event["ts"] - last_end - compiled) / 1e3)
            restarted, compiled = False, 0.0
        elif event["name"] == "update":
            last_end = event["ts"] + event["dur"]
    return gaps


def restart_table():
    """Parameters and moments of AdamW: 12 bytes per parameter. With a budget of one compile round, every update restarts."""
    print(f"\nRestarts; an empty process takes {empty_start_ms():.1f} ms to start\n")
    head("config", "state MB", "restart ms", "worst ms", "restarts")
    for config, compiles in (("shakespeare", 21), ("stories15m", 31), ("stories110m", 61)):
        with tempfile.TemporaryDirectory() as folder:
            trace = pathlib.Path(folder) / "trace.json"
            flags = ("--config", config, "--steps", 8, "--accum-steps", 1, "--val-samples", 1, "--profile", trace)
            report = run(*flags, ANE_MAX_COMPILES=compiles)
            gaps = restart_gaps_ms(json.loads(trace.read_text()))
        parameters = float(re.search(r"^Params: ([0-9.]+)M", report, re.MULTILINE).group(1))
        row(config, f"{12 * parameters:.0f}", f"{statistics.median(gaps):.1f}", f"{max(gaps):.1f}", len(gaps))


# ---- Growth


def grown(*flags):
    """Peak memory in MB, ms of the fastest step, GFLOP per step."""
    with tempfile.TemporaryDirectory() as folder:
        trace = pathlib.Path(folder) / "trace.json"
        report = run(*flags, "--steps", 4, "--accum-steps", 2, "--val-samples", 1,
                     "--parallel-sequences", 1, "--profile", trace, ANE_MAX_COMPILES=1000)
        steps = [event["dur"] / 1e3 for event in json.loads(trace.read_text()) if event["name"] == "step"]
    peak = float(re.search(r"^Peak memory: *([0-9.]+)", report, re.MULTILINE).group(1))
    mflop = re.search(r"^FLOPs/step: .* total=([0-9.]+)M", report, re.MULTILINE).group(1)
    return peak, min(steps), float(mflop) / 1e3


def line_through(xs, ys):
    """The least-squares line with equally weighted relative errors."""
    weights = [1 / y**2 for y in ys]
    total = sum(weights)
    x_mean = sum(w * x for w, x in zip(weights, xs)) / total
    y_mean = sum(w * y for w, y in zip(weights, ys)) / total
    slope = sum(w * (x - x_mean) * (y - y_mean) for w, x, y in zip(weights, xs, ys))
    slope /= sum(w * (x - x_mean) ** 2 for w, x in zip(weights, xs))
    return lambda x: y_mean + slope * (x - x_mean)


def growth_table(title, name, values, flag):
    print(f"\n{title}\n")
    rows = [(value, *grown("--config", "stories110m", flag, value)) for value in values]
    peaks = line_through(values, [peak for _, peak, _, _ in rows])
    times = line_through(values, [ms for _, _, ms, _ in rows])
    head(name, "peak MB", "of a line", "ms/step", "of a line", "ms/GFLOP")
    for value, peak, ms, gflop in rows:
        row(value, f"{peak:.0f}", f"{peak / peaks(value):.2f}", f"{ms:.0f}", f"{ms / times(value):.2f}", f"{ms / gflop:.2f}")


def growth_tables():
    """Time is linear in layers; attention's products and scores grow with the square of the sequence length."""
    growth_table("stories110m by sequence length (12 layers)", "seq", (64, 128, 256, 512, 1024), "--seq")
    growth_table("stories110m by layers (sequences of 256)", "layers", (2, 4, 8, 12, 24), "--layers")


TABLES = {"restart": restart_table, "growth": growth_tables}

if __name__ == "__main__":
    names = sys.argv[1:] or list(TABLES)
    if not set(names) <= set(TABLES):
        sys.exit(__doc__)
    for name in names:
        TABLES[name]()
