# SPDX-License-Identifier: MIT
"""How throughput changes with the keys, the clients and the size of values.

    tests/bench/compare.py --rows growth --json growth.json
    tests/bench/draw_growth.py growth.json tests/bench/growth.svg
"""

import dataclasses

from rows.loads import READ_SIDES, Load

KEYS = (10_000, 100_000, 1_000_000, 10_000_000)
CLIENTS = (1, 3, 10, 30, 100, 300, 1000)
# Of a value, and as many keys as then take a gibibyte or less.
VALUES = {16: 100_000, 256: 100_000, 4 << 10: 100_000, 64 << 10: 10_000,
          1 << 20: 1_000}


class GrowthLoad(Load):
    """Redis with other promises is left out: a picture has room for few."""

    sides = READ_SIDES

    @property
    def name(self):
        return f"growth-{super().name}"


@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    load: GrowthLoad


@dataclasses.dataclass(frozen=True)
class Curve:
    kind: str
    axis: str
    points: tuple[Point, ...]


def curves(kind):
    return (
        Curve(kind, "keys (50 clients × 16)", tuple(
            Point(keys, GrowthLoad(kind, 50, 16, keys=keys))
            for keys in KEYS)),
        Curve(kind, "clients (× 1)", tuple(
            Point(clients, GrowthLoad(kind, clients, 1))
            for clients in CLIENTS)),
        Curve(kind, "bytes a value (50 clients × 1)", tuple(
            Point(size, GrowthLoad(kind, 50, 1, size, keys))
            for size, keys in VALUES.items())))


CURVES = (*curves("set"), *curves("get"))
