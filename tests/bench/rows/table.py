# SPDX-License-Identifier: MIT
"""The comparison's one table: medians, ratios with their spread, targets."""

import statistics

from rows.row import ratios, spread

# By the last word of a figure's name: unit, scale, digits.
UNITS = {"rps": ("k/s", 1e-3, 1), "ms": ("ms", 1, 3), "us": ("µs", 1, 3),
         "s": ("s", 1, 3), "bytes": ("bytes", 1, 1), "ratio": ("", 1, 3),
         "percent": ("%", 1, 1)}
# These have a column of their own, the others share one.
COLUMNS = {"kvd": "kvd", "redis": "Redis", "ceiling": "ceiling"}


def describe(figure):
    """Its words with the unit, the scale, the format."""
    words, _, last = figure.rpartition("_")
    unit, scale, digits = UNITS[last]
    label = words.replace("_", " ").replace("cpu", "CPU")
    if unit:
        label += f", {unit}"
    return label, scale, f",.{digits}f"


def lines(row, rounds):
    """A line for each figure."""
    name = f"`{row.name}`"
    for figure in rounds[row.sides[0]][0]:
        label, scale, form = describe(figure)
        values = {side: [figures[figure] * scale for figures in rows]
                  for side, rows in rounds.items() if figure in rows[0]}
        cells = [f"{statistics.median(values[side]):{form}}"
                 if side in values else "" for side in COLUMNS]
        # A share of something else is no better for being twice another.
        ours = None if figure.endswith("_percent") else values.get("kvd")
        cells.append("; ".join(
            beside(side, ours, theirs, form)
            for side, theirs in values.items() if side not in COLUMNS))
        cells.append(spread(ratios(ours, values["redis"]), ".2f")
                     if ours and "redis" in values else "")
        targets = [t for t in row.targets if t.figure == figure]
        cells.append("; ".join(str(target) for target in targets))
        cells.append("; ".join(
            f"{target.verdict(rounds)}: "
            f"{spread(target.values(rounds), '.2f')}" for target in targets))
        yield "| " + " | ".join([name, label, *cells]) + " |"
        name = ""


def beside(side, ours, theirs, form):
    """A side that has no column: its figure, and how kvd's relates to it."""
    text = f"{side} {statistics.median(theirs):{form}}"
    if ours:
        text += f" (kvd × {statistics.median(ratios(ours, theirs)):.2f})"
    return text


def show(results):
    print("| Row | Figure | " + " | ".join(COLUMNS.values()) +
          " | others | kvd : Redis | Target | Met |")
    print("|---" * (len(COLUMNS) + 6) + "|")
    for row, rounds in results:
        print("\n".join(lines(row, rounds)))
