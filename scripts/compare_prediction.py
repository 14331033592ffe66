#!/usr/bin/env python3
"""Compares the time that --dry-run predicts with that of the run, for ten kinds of runs.

    scripts/compare_prediction.py [--program PROGRAM] [--repeat N]

Each kind is predicted and run N times in turn (default: 3), and the medians are compared, because a prediction lasts only a few seconds.
The last row is the largest deviation. Nothing else should run on the machine.
"""
import argparse
import re
import statistics
import subprocess
import sys
import tempfile

RUNS = {
    "shakespeare": "--config shakespeare --steps 2400",
    "validated often": "--config shakespeare --steps 1200 --val-every 10 --val-samples 40",
    "validated on everything": "--config shakespeare --steps 1200 --val-every 50",
    "short accumulation": "--config shakespeare --steps 1200 --accum-steps 2",
    "one batch slot": "--config shakespeare --steps 1200 --parallel-sequences 1",
    "restarts": "--config shakespeare --steps 1200 --max-compiles 100",
    "dynamic weights": "--config shakespeare --steps 1200 --weights dynamic",
    "stories15m": "--config stories15m --steps 60 --val-samples 10",
    "stories15m, checkpoints": "--config stories15m --steps 60 --val-samples 10 --checkpoint-every 2",
    "stories15m, merged, one thread": "--config stories15m --steps 30 --plan merged --threads 1 --val-samples 10",
}


def seconds_of(text):
    """0.5 from "500 ms", 12.5 from "12.5 s", 65 from "1:05"."""
    if text.endswith(" ms"):
        return float(text[:-3]) / 1e3
    if text.endswith(" s"):
        return float(text[:-2])
    seconds = 0
    for part in text.split(":"):
        seconds = 60 * seconds + int(part)
    return float(seconds)


def output_of(command):
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{run.stderr}")
    return run.stdout


def found(pattern, text):
    match = re.search(pattern, text, re.MULTILINE)
    if match is None:
        sys.exit(f"'{pattern}' is not in:\n{text}")
    return match.group(1)


def predict_and_run(program, flags):
    """The predicted and the measured seconds."""
    with tempfile.TemporaryDirectory() as folder:
        command = [program, *flags.split(), "--data", "synthetic", "--checkpoint-dir", folder, "--output", "quiet"]
        predicted = found(r"^Predicted: .*?; (.*?) for the run", output_of([*command, "--dry-run"]))
        measured = found(r"^Wall time: +([0-9.]+) ms", output_of(command))
    return seconds_of(predicted), float(measured) / 1e3


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/release/ane-train")
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    print(f"{'run':32} {'predicted s':>12} {'measured s':>11} {'ratio':>6}")
    worst = 0.0
    for name, flags in RUNS.items():
        pairs = [predict_and_run(arguments.program, flags) for _ in range(arguments.repeat)]
        predicted, measured = (statistics.median(times) for times in zip(*pairs))
        worst = max(worst, abs(predicted / measured - 1))
        print(f"{name:32} {predicted:12.2f} {measured:11.2f} {predicted / measured:6.2f}", flush=True)
    print(f"largest deviation: {100 * worst:.0f} %")


if __name__ == "__main__":
    main()
