#!/usr/bin/env python3
"""Makes an SVG picture of what a command shows in a terminal at two thirds of its progress:

    scripts/picture.py OUT.svg -- COMMAND...

The command runs to its end in a new terminal; the picture shows the progress bar at that time and the lines above it. It has a light
and a dark form, between which the viewer's color scheme decides.
"""
import fcntl
import os
import pathlib
import pty
import re
import struct
import subprocess
import sys
import termios
import xml.sax.saxutils

COLUMNS = 128
# In pixels.
CHARACTER, LINE, FONT, MARGIN = 7.8, 19, 13, 16
ERASE = "\x1b[K"

STYLE = """
  rect { fill: #f6f8fa; stroke: #d0d7de }
  text { fill: #1f2328; font: %dpx ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; white-space: pre }
  .command { font-weight: bold }
  .bar { fill: #0a58ca }
  @media (prefers-color-scheme: dark) {
    rect { fill: #161b22; stroke: #30363d }
    text { fill: #e6edf3 }
    .bar { fill: #79c0ff }
  }
""" % FONT


def output_of(command):
    """What the command writes to a terminal of COLUMNS columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
    environment = os.environ | {"TERM": "xterm-256color", "NO_COLOR": "1", "LC_ALL": "C.UTF-8"}
    child = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, close_fds=True)
    os.close(theirs)
    pieces = []
    while True:
        try:
            piece = os.read(ours, 1 << 16)
        except OSError:  # Linux reports the end of a terminal as an error
            break
        if not piece:
            break
        pieces.append(piece)
    os.close(ours)
    if child.wait() != 0:
        sys.exit(f"picture.py: exit code {child.returncode} of {' '.join(command)}")
    return b"".join(pieces).decode()


def lines_and_bar(output):
    """The lines above one of the progress bars, at two thirds of them, and that bar."""
    bar = re.escape("\r" + ERASE) + "([^\r\n\x1b]+)(?=\r\x1b|\\Z)"  # the next bar or line erases it
    bars = list(re.finditer(bar, output))
    if not bars:
        return output.replace("\r", "").splitlines(), None
    shown = bars[2 * len(bars) // 3]
    above = re.sub(bar, "", output[: shown.start()])
    return above.replace(ERASE, "").replace("\r", "").splitlines(), shown[1]


def wrapped(line):
    return [line[at : at + COLUMNS] for at in range(0, len(line), COLUMNS)] or [""]


def svg_of(command, lines, bar):
    rows = [("command", row) for row in wrapped("$ " + command)]
    rows += [("line", row) for line in lines for row in wrapped(line)]
    rows += [("bar", bar)] if bar else []
    width, height = COLUMNS * CHARACTER + 2 * MARGIN, len(rows) * LINE + 2 * MARGIN
    title = xml.sax.saxutils.escape(f"A terminal with the output of {command}")
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" height="{height}" role="img">',
        f"<title>{title}</title>",
        f"<style>{STYLE}</style>",
        f'<rect x="0.5" y="0.5" width="{width - 1:.0f}" height="{height - 1}" rx="8"/>',
    ]
    for index, (kind, row) in enumerate(rows):
        if row.strip():
            text = xml.sax.saxutils.escape(row.rstrip())
            length = len(row.rstrip()) * CHARACTER  # fonts differ in width
            parts.append(
                f'<text class="{kind}" x="{MARGIN}" y="{MARGIN + index * LINE + FONT}" textLength="{length:.1f}" xml:space="preserve">{text}</text>'
            )
    return "\n".join([*parts, "</svg>", ""])


def main():
    if len(sys.argv) < 4 or sys.argv[2] != "--":
        sys.exit("usage: picture.py OUT.svg -- COMMAND...")
    command = sys.argv[3:]
    lines, bar = lines_and_bar(output_of(command))
    pathlib.Path(sys.argv[1]).write_text(svg_of(" ".join(command), lines, bar))


if __name__ == "__main__":
    main()
