#!/usr/bin/env python3
"""Writes the records of one type in a telemetry file as CSV, for spreadsheets and plots.

    scripts/telemetry_to_csv.py RUN.jsonl [--type update] > updates.csv

The columns are the fields of docs/telemetry.md; `run` counts the runs of the file from 1. A field of an object gets the
object's name before its own. A last line that a killed process did not finish is ignored. Exit codes: 2 for wrong
arguments, 3 if the file cannot be read or a line is not a record.
"""

import argparse, csv, json, os, sys


def columns_of(record):
    columns = {}
    for name, value in record.items():
        if isinstance(value, dict):
            columns.update({f"{name}.{inner}": part for inner, part in columns_of(value).items()})
        else:
            columns[name] = value
    return columns


def read_rows(path, kind):
    rows, run = [], 0
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.endswith("\n"):
                break
            try:
                record = json.loads(line)
                run += record["type"] == "run"
            except (ValueError, KeyError, TypeError, RecursionError):
                raise ValueError(f"{path}:{number}: this is not a record with a \"type\"") from None
            if record["type"] == kind:
                rows.append({"run": run, **columns_of({name: value for name, value in record.items() if name != "type"})})
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("file", metavar="RUN.jsonl")
    parser.add_argument("--type", default="update", help="of the records: update, step, val, ... (update)")
    arguments = parser.parse_args()
    try:
        rows = read_rows(arguments.file, arguments.type)
    except (OSError, ValueError) as error:
        print(f"telemetry_to_csv.py: {error}", file=sys.stderr)
        return 3
    if not rows:
        print(f"telemetry_to_csv.py: {arguments.file} has no record of type '{arguments.type}'", file=sys.stderr)
        return 3
    names = list(dict.fromkeys(name for row in rows for name in row))
    try:
        writer = csv.DictWriter(sys.stdout, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main())
