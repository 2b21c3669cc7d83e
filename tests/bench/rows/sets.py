# SPDX-License-Identifier: MIT
"""All rows of the comparison, in the sets that --rows knows."""

import itertools

from rows.beside_writers import BesideCompaction, BesideWriters
from rows.disk import RawDisk
from rows.filled import KINDS
from rows.growth import CURVES
from rows.loads import BesideDisk, Load, ManyKeys, Sustained
from rows.processes import GetProcess
from rows.row import at_least, at_most, at_most_above
from rows.stores import MEMORY_KEYS, Memory, Restart, memory_figure
from rows.units import Units

SHAPES = tuple(itertools.product((1, 50), (1, 16, 100)))
VALUE_BYTES = (16, 100, 4096, 65536)
KEYS = (100_000, 1_000_000, 10_000_000)
# Of all values together; more has no room on a small machine.
FILLED_BYTES_MAX = 8 << 30

RATE = "throughput_rps"
CPU = "server_cpu_us"

# The figures to reach. Values of 100 bytes, a million keys, defaults of kvd.
TARGETS = (
    BesideDisk("set", 1, 1, targets=(at_least(RATE, 1.3, "redis", 1.5),)),
    Load("set", 50, 1, targets=(at_least(RATE, 1.5, "redis", 2),)),
    Load("set", 50, 16, targets=(at_least(RATE, 4, "redis"),)),
    Load("set", 50, 100, targets=(at_least(RATE, 4, "redis", 5),)),
    Load("get", 50, 1, targets=(at_most(CPU, 0.9, "redis"),)),
    Load("get", 50, 16, targets=(at_most_above(CPU, 0.25, "ceiling"),)),
    Load("get", 50, 100, targets=(at_most(CPU, 0.25, "redis"),)),
    BesideWriters(targets=(
        at_least(RATE, 4, "redis"), at_most("p50_ms", 1.3, "ceiling"),
        at_most("p99_ms", 2, "ceiling"))),
    BesideCompaction(targets=(
        at_least(RATE, 1 / 1.5, "not compacting"),
        at_most("p50_ms", 1.5, "not compacting"),
        at_most("p99_ms", 1.5, "not compacting"))),
    Restart(targets=(
        at_most("clean_stop_s", 1.0, goal=0.6),
        at_most("kill_9_s", 1.0, goal=0.6),
        at_most("sealed_to_live_ratio", 1.1),
        at_most("record_overhead_bytes", 40),
        at_most("hint_overhead_bytes", 32))),
    Memory(targets=tuple(at_most(memory_figure(keys), 44)
                         for keys in MEMORY_KEYS)),
    *(ManyKeys(Load(kind, 50, 16, keys=10_000_000),
               targets=(at_least(RATE, 0.8, ManyKeys.sides[1]),))
      for kind in ("set", "get")),
    GetProcess(targets=(at_most("wall_ms", 2.5, "/bin/true"),)),
    *(RawDisk(size) for size in (4 << 10, 64 << 10, 1 << 20)),
)

UNITS = tuple(
    Units(unit, clients, targets=(at_least(RATE, 1.0, "redis"),))
    for unit in ("exec", "lock") for clients in (1, 50))

SUSTAINED = tuple(Sustained("set", *shape) for shape in SHAPES)

MATRIX = tuple(
    Load(kind, clients, pipeline, value_bytes, keys)
    for kind, (clients, pipeline), value_bytes, keys in itertools.product(
        KINDS, SHAPES, VALUE_BYTES, KEYS)
    if value_bytes * keys <= FILLED_BYTES_MAX and
    # Counters have no size of their own.
    (kind != "incr" or value_bytes == 100))

SETS = {"targets": TARGETS, "units": UNITS, "sustained": SUSTAINED,
        "matrix": MATRIX,
        "growth": tuple(point.load for curve in CURVES
                        for point in curve.points)}
SETS["all"] = tuple(itertools.chain(*SETS.values()))


def unique(rows):
    """The first one of each name: with its targets, where it has some."""
    by_name = {}
    for row in rows:
        by_name.setdefault(row.name, row)
    return by_name
