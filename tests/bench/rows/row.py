# SPDX-License-Identifier: MIT
"""What a row of the comparison is, how its rounds are run and how it is judged.

A row measures its sides in turns within one run, and who begins changes from
round to round: one round of a server against itself has shown a factor of two.
So ratios are taken within a round, and the median of the rounds is what counts.
Figures are named with their unit last: p99_ms.

A measurement from which the host of a virtual machine stole much (bench.py,
stolen_percent) is made again at once, whichever side it is of, a few times at
the most; the one from which it stole least counts.
"""

import dataclasses
import statistics


MEASUREMENTS_MAX = 4


@dataclasses.dataclass(frozen=True)
class Target:
    """A bound for a figure of kvd: for itself, for its ratio to another side's,
    or for the difference to it."""

    figure: str
    limit: float
    at_least: bool = False
    goal: float | None = None
    than: str | None = None
    difference: bool = False

    def __str__(self):
        sign = "≥" if self.at_least else "≤"
        text = f"{sign} {self.limit:.3g}"
        if self.difference:
            text = f"{sign} {self.than} + {self.limit:.3g}"
        elif self.than:
            text += f" × {self.than}"
        return text if self.goal is None else f"{text}, goal {self.goal:.3g}"

    def values(self, rounds):
        ours = [row[self.figure] for row in rounds["kvd"]]
        if self.than is None:
            return ours
        theirs = [row[self.figure] for row in rounds[self.than]]
        if self.difference:
            return [a - b for a, b in zip(ours, theirs)]
        return ratios(ours, theirs)

    def holds(self, value, bound):
        return value >= bound if self.at_least else value <= bound

    def verdict(self, rounds):
        value = statistics.median(self.values(rounds))
        if self.goal is not None and self.holds(value, self.goal):
            return "goal"
        return "yes" if self.holds(value, self.limit) else "NO"


def at_least(figure, limit, than, goal=None):
    return Target(figure, limit, at_least=True, goal=goal, than=than)


def at_most(figure, limit, than=None, goal=None):
    return Target(figure, limit, goal=goal, than=than)


def at_most_above(figure, limit, than):
    return Target(figure, limit, than=than, difference=True)


def ratios(ours, theirs):
    return [a / b if b else float("inf") for a, b in zip(ours, theirs)]


def spread(values, form):
    """The median, and between which the rounds were."""
    median = f"{statistics.median(values):{form}}"
    if len(values) == 1:
        return median
    return f"{median} ({min(values):{form}}–{max(values):{form}})"


def stolen(figures):
    return figures.get("stolen_percent", 0)


def least_disturbed(measure, stolen_max):
    """Figures from which at most that many percent were stolen, or the best of
    several."""
    best = measure()
    for _ in range(MEASUREMENTS_MAX - 1):
        if stolen(best) <= stolen_max:
            break
        print(f"    again: {stolen(best):.1f} % stolen", flush=True)
        best = min(best, measure(), key=stolen)
    return best


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """Beside these: a name, the sides (kvd first), and

    what(scale)      the command, for whoever reads the table
    seconds(scale)   of a round, guessed
    prepared(options)
                     a context whose value tells for each side the function that
                     measures it once and returns its figures

    scale is below 1 for a quick run.
    """

    targets: tuple[Target, ...] = ()
    rounds_max: int = 1000

    def preparing_seconds(self, _scale):
        return 0

    def all_seconds(self, options):
        return (self.preparing_seconds(options.scale) +
                self.rounds(options) * self.seconds(options.scale))

    def rounds(self, options):
        return min(options.rounds, self.rounds_max)

    def run(self, options):
        """For each side its figures, round by round."""
        rounds = {side: [] for side in self.sides}
        with self.prepared(options) as measures:
            for number in range(self.rounds(options)):
                for side in list(measures)[::-1 if number % 2 else 1]:
                    rounds[side].append(
                        least_disturbed(measures[side], options.stolen_max))
                    print(f"  round {number + 1} {side}: " + ", ".join(
                        f"{figure} {value:,.{0 if value >= 100 else 3}f}"
                        for figure, value in rounds[side][-1].items()),
                          flush=True)
        return rounds

    def as_json(self, rounds, scale):
        return {
            "name": self.name, "what": self.what(scale), "rounds": rounds,
            "medians": {side: {
                figure: statistics.median(row[figure] for row in rows)
                for figure in rows[0]} for side, rows in rounds.items()},
            "targets": [{
                "figure": target.figure, "target": str(target),
                "values": target.values(rounds),
                "median": statistics.median(target.values(rounds)),
                "verdict": target.verdict(rounds)} for target in self.targets]}
