#!/usr/bin/env python3
"""Prints the table of scripts/sweep.sh from the telemetry of its runs: sweep_table.py SETTING DIRECTORY VALUE..."""
import json
import pathlib
import sys

LAST = 0.1  # the part of a run whose mean training loss is shown


def row(value, path):
    records = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    run = next((record for record in records if record["type"] == "run"), None)
    end = next((record for record in records if record["type"] == "end"), None)
    if run is None or end is None or end["outcome"] != "finished":
        return [value, "failed"]
    updates = [record for record in records if record["type"] == "update" and record["loss"] is not None]
    last = updates[-max(1, round(len(updates) * LAST)) :]
    train = sum(record["loss"] for record in last) / len(last) if last else None
    validations = [record["loss"] for record in records if record["type"] == "val" and record["loss"] is not None]
    steps = sum(record["type"] == "step" for record in records)
    sequence = run["config"].get("max_position_embeddings", 0)
    wall = end["wall_ms"] / 1000
    busy = end["compile_ms"] + end["restart_ms"]
    show = lambda number: "-" if number is None else f"{number:.3f}"
    return [
        value,
        f"{wall:.1f}",
        str(end["updates"]),
        show(train),
        show(validations[-1] if validations else None),
        f"{steps * sequence / wall:.0f}",
        f"{100 * busy / end['wall_ms']:.0f} %",
    ]


def main():
    setting, directory, *values = sys.argv[1:]
    head = [setting, "wall s", "updates", "train loss", "val loss", "tok/s", "compiling, restarting"]
    rows = [row(value, pathlib.Path(directory) / f"{value}.jsonl") for value in values]
    rows = [cells + [""] * (len(head) - len(cells)) for cells in rows]
    widths = [max(len(cells[i]) for cells in [head, *rows]) for i in range(len(head))]
    line = lambda cells: "| " + " | ".join(cell.rjust(width) for cell, width in zip(cells, widths)) + " |"
    print(line(head))
    print("|" + "|".join("-" * (width + 1) + ":" for width in widths) + "|")
    for cells in rows:
        print(line(cells))


main()
