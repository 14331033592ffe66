#!/usr/bin/env python3
"""Measures whole runs of ane-train.

    scripts/bench_runs.py restart     from the last step before a restart to the first after it, without compiling, by size
                                      of the state
    scripts/bench_runs.py memory      peak memory and time of a step, by sequence length and by layers

Uses build/release/ane-train, or the program that ANE_TRAIN names.
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
    """What starting a process costs that does nothing."""
    times = []
    for _ in range(21):
        start = time.perf_counter()
        subprocess.run(["true"], check=True)
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def restart_gaps_ms(events):
    """From the end of an update to the begin of the first step of the next process, less its compile rounds."""
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
    """A state of AdamW is three arrays of fp32: 12 bytes a parameter. The two-layer model has 2 * dim * hidden."""
    print(f"\nRestarts; an empty process takes {empty_start_ms():.1f} ms to start\n")
    head("state MB", "restart ms", "worst ms", "restarts")
    for dim, hidden in ((128, 336), (512, 1664), (1024, 8192), (4096, 14208)):
        with tempfile.TemporaryDirectory() as folder:
            trace = pathlib.Path(folder) / "trace.json"
            shape = ("--config", "tiny", "--optimizer", "adamw", "--lr", "1e-4", "--dim", dim, "--hidden", hidden)
            run(*shape, "--steps", 8, "--accum-steps", 1, "--val-samples", 1, "--profile", trace, ANE_MAX_COMPILES=2)
            gaps = restart_gaps_ms(json.loads(trace.read_text()))
        state = 12 * 2 * dim * hidden / 1e6
        row(f"{state:.0f}", f"{statistics.median(gaps):.1f}", f"{max(gaps):.1f}", len(gaps))


# ---- Memory


def report_figure(report, name):
    return float(re.search(rf"^{name}: *([0-9.]+)", report, re.MULTILINE).group(1))


def memory_row(label, *flags):
    report = run(*flags, "--steps", 4, "--accum-steps", 2, "--val-samples", 1)
    row(label, f"{report_figure(report, 'Peak memory'):.0f}", f"{report_figure(report, 'Avg train'):.0f}")


def memory_table():
    base = ("--config", "stories110m")
    print("\nstories110m by sequence length (12 layers)\n")
    head("seq", "peak MB", "ms/step")
    for seq in (64, 128, 256, 512, 1024):
        memory_row(seq, *base, "--seq", seq)
    print("\nstories110m by layers (sequences of 256)\n")
    head("layers", "peak MB", "ms/step")
    for layers in (2, 4, 8, 12, 24):
        memory_row(layers, *base, "--layers", layers)


TABLES = {"restart": restart_table, "memory": memory_table}

if __name__ == "__main__":
    names = sys.argv[1:] or list(TABLES)
    if not set(names) <= set(TABLES):
        sys.exit(__doc__)
    for name in names:
        TABLES[name]()
