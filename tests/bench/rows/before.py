# SPDX-License-Identifier: MIT
"""Rows of the comparison for a change: kvd beside an earlier build of itself,
in one run, so that both have the same hour of the machine."""

import argparse
import contextlib
import dataclasses

from rows.row import Row, Target

# What a change may cost in a row that users meet.
KEPT = 0.95
BEFORE = "before"


@dataclasses.dataclass(frozen=True, kw_only=True)
class BesideBefore(Row):
    """Of another row the figures that have a target, of both builds."""

    of: Row
    before: str  # The earlier kvd; its other programs lie beside it.

    sides = ("kvd", BEFORE)

    @property
    def name(self):
        return self.of.name

    def what(self, scale):
        return self.of.what(scale)

    def seconds(self, scale):
        return 2 * self.of.seconds(scale) / max(1, len(self.of.sides) - 1)

    def preparing_seconds(self, scale):
        return 2 * self.of.preparing_seconds(scale)

    @contextlib.contextmanager
    def prepared(self, options):
        former = argparse.Namespace(**{**vars(options), "kvd": self.before})
        with self.of.prepared(options) as new, \
                self.of.prepared(former) as old:
            yield {"kvd": new["kvd"], BEFORE: old["kvd"]}


def kept(targets):
    """What of these figures a change has to keep."""
    return tuple(
        Target(figure, KEPT if at_least else 1 / KEPT, at_least=at_least,
               than=BEFORE)
        for figure, at_least in dict.fromkeys(
            (target.figure, target.at_least) for target in targets))


def beside_before(row, before):
    return BesideBefore(of=row, before=before, targets=kept(row.targets),
                        rounds_max=row.rounds_max)
