#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Draws the growth rows of a comparison as small line charts.

    tests/bench/compare.py --rows growth --json growth.json
    tests/bench/draw_growth.py growth.json tests/bench/growth.svg

Throughput by keys, clients and size of values; SET above, GET below. Both axes
are logarithmic. The colours suit light and dark pages.
"""

import argparse
import html
import json
import math

from rows.growth import CURVES

SIDES = {"kvd": ("kvd", "kvd"), "redis": ("Redis", "redis"),
         "ceiling": ("ceiling", "ceiling")}
FIGURE = "throughput_rps"

PANEL_WIDTH, PANEL_HEIGHT = 230, 150
LEFT, TOP, GAP_X, GAP_Y = 52, 58, 62, 74
COLUMNS = 3
ROWS = len(CURVES) // COLUMNS
WIDTH = LEFT + COLUMNS * (PANEL_WIDTH + GAP_X) - GAP_X + 20
HEIGHT = TOP + ROWS * (PANEL_HEIGHT + GAP_Y) - GAP_Y + 86

STYLE = """
text { font: 11px system-ui, sans-serif; }
.label { fill: #57606a; }
.title { font-weight: 600; fill: #24292f; }
.grid { stroke: #d0d7de; stroke-width: 1; }
.kvd { stroke: #0969da; fill: #0969da; }
.redis { stroke: #cf222e; fill: #cf222e; }
.ceiling { stroke: #8c959f; fill: #8c959f; }
polyline { fill: none !important; stroke-width: 2; stroke-linejoin: round; }
polyline.ceiling { stroke-dasharray: 4 3; }
@media (prefers-color-scheme: dark) {
  .label { fill: #9198a1; }
  .title { fill: #f0f6fc; }
  .grid { stroke: #3d444d; }
  .kvd { stroke: #4493f8; fill: #4493f8; }
  .redis { stroke: #f85149; fill: #f85149; }
}
"""


def short(value):
    for scale, unit in ((1e6, "M"), (1e3, "k")):
        if value >= scale:
            return f"{value / scale:g}{unit}"
    return f"{value:g}"


def bytes_short(value):
    for scale, unit in ((1 << 20, "Mi"), (1 << 10, "Ki")):
        if value >= scale:
            return f"{value / scale:g}{unit}"
    return f"{value:g}"


class Axis:
    """Places a value on a logarithmic scale between two pixels."""

    def __init__(self, low, high, start, end):
        self.low, self.high = math.log10(low), math.log10(high)
        self.start, self.end = start, end

    def __call__(self, value):
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def decades(self):
        return [10 ** power for power in
                range(math.ceil(self.low), math.floor(self.high) + 1)]


def text(x, y, words, anchor="middle", kind="label"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
            f' class="{kind}">'
            f'{html.escape(words)}</text>')


def line(x1, y1, x2, y2):
    return (f'<line class="grid" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" '
            f'y2="{y2:.1f}"/>')


def panel(curve, medians, y_range, left, top):
    """SVG elements of one chart."""
    bottom = top + PANEL_HEIGHT
    points = curve.points
    x_of = Axis(points[0].x, points[-1].x, left, left + PANEL_WIDTH)
    y_of = Axis(*y_range, bottom, top)
    parts = [text(left, top - 10, f"{curve.kind.upper()} by {curve.axis}",
                  "start", "title")]
    for value in y_of.decades():
        parts.append(line(left, y_of(value), left + PANEL_WIDTH, y_of(value)))
        parts.append(text(left - 6, y_of(value) + 4, short(value), "end"))
    label = bytes_short if curve.axis.startswith("bytes") else short
    for point in points:
        parts.append(text(x_of(point.x), bottom + 16, label(point.x)))
    for side, (_, kind) in SIDES.items():
        places = [(x_of(point.x), y_of(medians[point.load.name][side][FIGURE]))
                  for point in points if point.load.name in medians]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline class="{kind}" points="{path}"/>')
        parts += [f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>'
                  for x, y in places]
    return parts


def legend():
    parts = [text(LEFT, 18, "Operations a second", "start", "title")]
    x = LEFT + 140
    for label, kind in SIDES.values():
        parts.append(f'<polyline class="{kind}" points="{x},14 {x + 24},14"/>')
        parts.append(text(x + 30, 18, label, "start"))
        x += 100
    return parts


def draw(data):
    medians = {row["name"]: row["medians"] for row in data["rows"]}
    rates = [medians[point.load.name][side][FIGURE] for curve in CURVES
             for point in curve.points if point.load.name in medians
             for side in SIDES]
    # One scale for all, so that charts can be compared at a glance.
    y_range = (10 ** math.floor(math.log10(min(rates))),
               10 ** math.ceil(math.log10(max(rates))))
    parts = legend()
    for number, curve in enumerate(CURVES):
        row, column = divmod(number, COLUMNS)
        parts += panel(curve, medians, y_range,
                       LEFT + column * (PANEL_WIDTH + GAP_X),
                       TOP + row * (PANEL_HEIGHT + GAP_Y))
    notes = ("× tells how many commands each client has in flight; values of "
             "100 bytes and a million keys, by size 100 thousand or a GiB",
             "A SET is on disk before its OK (Redis: appendfsync always); the "
             "ceiling answers constants and stores nothing",
             f"{data['machine']}; medians of {data['rounds']} "
             f"{'short ' if data['quick'] else ''}rounds")
    for number, note in enumerate(notes):
        parts.append(text(LEFT, HEIGHT - 42 + 16 * number, note, "start"))
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" '
        f'height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}">',
        "<!-- SPDX-License-Identifier: MIT -->",
        f"<style>{STYLE}</style>", *parts, "</svg>", ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("json", help="from compare.py --rows growth --json")
    parser.add_argument("svg", help="the picture to write")
    options = parser.parse_args()
    with open(options.json, encoding="utf-8") as stream:
        data = json.load(stream)
    with open(options.svg, "w", encoding="utf-8") as stream:
        stream.write(draw(data))


if __name__ == "__main__":
    main()
