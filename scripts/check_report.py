#!/usr/bin/env python3
"""Lets headless Chromium draw the page of `ane-train report` and compares the curves with the telemetry.

    scripts/check_report.py [ANE_TRAIN] [--screenshots DIR]

ANE_TRAIN: the program (build/release/ane-train). The script trains a small model with restarts, and generates the telemetry
of 2,000 updates and 500 restarts to measure a large page. It reads the points of each curve from the document that Chromium
builds, turns their coordinates back into numbers by the ranges in the chart's attributes, and compares them with the records:
a point may be off by 0.02 pixels. The exit code is 1 if a number differs. Needs Debian's package chromium.
"""

import argparse, datetime, html.parser, json, pathlib, shutil, subprocess, sys, tempfile, time

HEIGHT, MARGIN = 230, {"left": 56, "right": 10, "top": 10, "bottom": 22}  # as in src/report/page.html


class Curves(html.parser.HTMLParser):
    """The charts of a page: title -> list of curves, each a list of points (x, y)."""

    def __init__(self):
        super().__init__()
        self.charts, self.events, self.chart = {}, [], None

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "svg" and "data-x" in attributes:
            ranges = [[float(v) for v in attributes[name].split()] for name in ("data-x", "data-y")]
            self.width = float(attributes["viewbox"].split()[2])
            self.ranges = ranges
            self.chart = self.charts.setdefault(attributes["aria-label"], {})
        if tag == "path" and "data-name" in attributes:
            self.chart[attributes["data-name"]] = [self.value(*map(float, point.split(",")))
                                                  for point in attributes["d"].replace("M", "L").split("L")[1:]]
        if tag == "line" and "data-kind" in attributes:
            self.events.append(attributes["data-kind"])

    def value(self, x, y):
        (x0, x1), (y0, y1) = self.ranges
        inner = self.width - MARGIN["left"] - MARGIN["right"]
        rows = HEIGHT - MARGIN["top"] - MARGIN["bottom"]
        return (x0 + (x - MARGIN["left"]) / inner * (x1 - x0), y0 + (HEIGHT - MARGIN["bottom"] - y) / rows * (y1 - y0))


def chromium(profile, page, *flags):
    program = shutil.which("chromium") or shutil.which("chromium-browser") or sys.exit("chromium is not installed")
    start = time.monotonic()
    result = subprocess.run(
        [program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update", f"--user-data-dir={profile}", *flags, page.as_uri()],
        capture_output=True, text=True, timeout=120)
    return result.stdout, time.monotonic() - start


def compare(name, drawn, expected):
    """Whether the points are those of the records, to 0.02 pixels of the chart (coordinates have two decimals)."""
    if len(drawn) != len(expected):
        print(f"{name}: {len(drawn)} points drawn, {len(expected)} recorded")
        return False
    for axis, pixels in ((0, 260 - 66), (1, HEIGHT - 32)):
        values = [point[axis] for point in expected]
        tolerance = 0.02 * ((max(values) - min(values)) or 1) / pixels
        for at, (point, record) in enumerate(zip(drawn, expected)):
            if abs(point[axis] - record[axis]) > tolerance:
                print(f"{name}: point {at} is drawn at {point[axis]}, recorded as {record[axis]}")
                return False
    return True


def check(page, telemetry, profile, program):
    subprocess.run([program, "report", telemetry, "--out", page], check=True, capture_output=True)
    document, seconds = chromium(profile, page, "--dump-dom")
    curves = Curves()
    curves.feed(document)
    records = [json.loads(line) for line in telemetry.read_text().splitlines()]
    of = lambda kind: [r for r in records if r["type"] == kind]
    loss = curves.charts.get("Loss (nats per token)", {})
    good = compare("training loss", loss.get("training", []), [(r["step"], r["loss"]) for r in of("update")])
    if of("val"):
        good &= compare("validation loss", loss.get("validation", []),
                        [(r["step"], r["loss"]) for r in of("val")])
    for title, field in (("Learning rate", "lr"), ("Gradient norm", "grad_norm"), ("Loss scale", "loss_scale")):
        good &= compare(title, list(curves.charts.get(title, {}).values())[0] if curves.charts.get(title) else [],
                        [(r["step"], r[field]) for r in of("update")])
    for kind in ("restart", "checkpoint", "resume"):
        if curves.events.count(kind) != len(of(kind)):
            print(f"{curves.events.count(kind)} marks of {kind}, {len(of(kind))} recorded")
            good = False
    return good, seconds


def write_long_run(path):
    """2,000 updates and 500 restarts."""
    begin = datetime.datetime(2026, 3, 1)
    with open(path, "w") as out:
        def put(kind, i, **fields):
            now = begin + datetime.timedelta(seconds=3 * i)
            out.write(json.dumps({"type": kind, "time": now.strftime("%Y-%m-%dT%H:%M:%S.000Z"), "step": 10 * i, "update": i, **fields}) + "\n")
        put("run", 0, run_id="1", seed=1, config={"hidden_size": 64})
        for i in range(1, 2001):
            for _ in range(10):
                put("step", i, loss=3, t_ane=50.123456, t_io=1.5, t_cls=2.25, t_elem=1, t_rms=0.5, t_cblas_wait=3.75, compiles=9)
            put("update", i, tokens=640 * i, loss=1.5 + 4 / (1 + i / 100), lr=1e-3 * (1 - i / 2001), grad_norm=1 + (i * 7919 % 100) / 100,
                loss_scale=1024.0, skipped=False)
            put("batch", i, batch=10, compile_ms=400.125, train_ms=600.5, ms_per_step=60.05)
            if i % 4 == 0:
                put("restart", i, compiles=96, loss=2)
        put("end", 2000, outcome="finished", updates=2000, wall_ms=6000000)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("program", nargs="?", default="build/release/ane-train")
    parser.add_argument("--screenshots", type=pathlib.Path, help="also writes pictures of the page there")
    arguments = parser.parse_args()
    program = pathlib.Path(arguments.program).resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        small, long = folder / "small.jsonl", folder / "long.jsonl"
        subprocess.run([program, "--steps", "120", "--accum-steps", "5", "--max-compiles", "30", "--val-every", "8", "--checkpoint-every", "8",
                        "--checkpoint-dir", folder / "checkpoints", "--telemetry", small, "--device", "host", "--sample-every", "8",
                        "--sample-prompt", "a"], check=True, capture_output=True)
        write_long_run(long)
        blank = folder / "blank.html"
        blank.write_text("<!doctype html>")
        chromium(folder / "profile", blank, "--dump-dom")  # makes the profile
        start = chromium(folder / "profile", blank, "--dump-dom")[1]
        good = True
        for telemetry in (small, long):
            page = telemetry.with_suffix(".html")
            same, seconds = check(page, telemetry, folder / "profile", program)
            print(f"{telemetry.name}: {'equal' if same else 'DIFFERENT'}, {page.stat().st_size} bytes, {seconds - start:.2f} s more than an empty page")
            good &= same
        if (folder / "long.html").stat().st_size > 2_000_000:
            print("the page of 2,000 updates is larger than 2 MB")
            good = False
        if arguments.screenshots:
            for name, flags in (("wide", ["--window-size=1200,1900"]), ("phone", ["--window-size=400,3600"]),
                                ("dark", ["--window-size=1200,1900", "--blink-settings=preferredColorScheme=0"])):
                chromium(folder / "profile", folder / "small.html", f"--screenshot={arguments.screenshots / name}.png", "--hide-scrollbars", *flags)
        return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
