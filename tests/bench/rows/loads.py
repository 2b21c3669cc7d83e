# SPDX-License-Identifier: MIT
"""Rows of the comparison that load one server with redis-benchmark.

Latencies are redis-benchmark's, which tells them in steps of 8 µs.
"""

import contextlib
import dataclasses

from rows.disk import Probe
from rows.filled import KINDS, burst, filled
from rows.row import Row

WRITE_SIDES = ("kvd", "redis", "ceiling", "everysec", "no")
READ_SIDES = ("kvd", "redis", "ceiling")

BURST = 1_000_000
# What one measurement sends at most.
BYTES_MAX = 2 << 30
SUSTAINED_SECONDS = 25
# New keys are drawn from so many that few come twice.
NEW_KEYS = 2_000_000_000


def short(count):
    """1000000 as 1M."""
    for scale, unit in ((1_000_000, "M"), (1_000, "K")):
        if count % scale == 0:
            return f"{count // scale}{unit}"
    return str(count)


# --- How long it takes, guessed -----------------------------------------------

# Operations a second of one client and at the most.
GUESS = {"kvd": (4_000, 900_000), "redis": (3_000, 250_000),
         "everysec": (15_000, 500_000), "no": (15_000, 500_000),
         "reading": (20_000, 900_000), "ceiling": (20_000, 2_000_000)}
BYTES_A_SECOND = 400e6
FILLED_A_SECOND = 1e6
START_SECONDS = 1.2


def guess(side, load, requests):
    one, most = GUESS["ceiling" if side == "ceiling" else
                      "reading" if load.kind == "get" else side]
    rate = min(most, one * (load.clients * load.pipeline) ** 0.8)
    seconds = max(requests / rate, requests * load.value_bytes / BYTES_A_SECOND)
    if side != "ceiling":
        seconds += max(load.keys / FILLED_A_SECOND,
                       load.keys * load.value_bytes / BYTES_A_SECOND)
    return START_SECONDS + seconds


# --- The rows -----------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Load(Row):
    """A burst: some clients with some commands in flight each."""

    kind: str
    clients: int
    pipeline: int
    value_bytes: int = 100
    keys: int = 1_000_000

    @property
    def name(self):
        kind = self.kind if self.kind == "get" else f"{self.kind}-always"
        return (f"{kind}-{self.clients}x{self.pipeline}-{self.value_bytes}B-"
                f"{short(self.keys)}")

    @property
    def sides(self):
        return READ_SIDES if self.kind == "get" else WRITE_SIDES

    def requests(self, scale):
        flying = self.clients * self.pipeline
        count = (max(50_000, 10_000 * flying) if self.kind == "get" else
                 max(10_000, 5_000 * flying))
        pairs = 10 if self.kind == "mset" else 1
        return max(self.clients, round(scale * min(
            count, BURST, BYTES_MAX // self.value_bytes) / pairs))

    def words(self):
        keys = NEW_KEYS if self.kind == "new" else self.keys
        return [*KINDS[self.kind][0], "-c", str(self.clients), "-P",
                str(self.pipeline), "-d", str(self.value_bytes), "-r",
                str(keys)]

    def what(self, scale):
        return " ".join(["redis-benchmark", *self.words(), "-n",
                         str(self.requests(scale))])

    def seconds(self, scale):
        return sum(guess(side, self, self.requests(scale))
                   for side in self.sides if side in WRITE_SIDES)

    def measure(self, options, side):
        with filled(options, side, self) as server:
            return burst(server, self.words(), self.requests(options.scale))

    @contextlib.contextmanager
    def prepared(self, options):
        yield {side: lambda side=side: self.measure(options, side)
               for side in self.sides if side in WRITE_SIDES}


class BesideDisk(Load):
    """One durable write at a time is bounded by the disk's own, beside it."""

    disk_bytes = 4096

    @property
    def sides(self):
        return (*super().sides, "pwrite + fdatasync")

    @contextlib.contextmanager
    def prepared(self, options):
        with super().prepared(options) as measures, \
                Probe(options.dir) as probe:
            measures[self.sides[-1]] = lambda: probe.run(
                self.disk_bytes, direct=False, seconds=options.scale)
            yield measures


@dataclasses.dataclass(frozen=True)
class Sustained(Load):
    """Writing that goes on: a burst, and then as many seconds of the same."""

    rounds_max: int = dataclasses.field(default=3, kw_only=True)

    @property
    def name(self):
        return f"sustained-{super().name}"

    @property
    def sides(self):
        return tuple(side for side in WRITE_SIDES if side != "ceiling")

    def what(self, scale):
        return (f"{super().what(scale)}, then -n for "
                f"{SUSTAINED_SECONDS * scale:.0f} s")

    def seconds(self, scale):
        return super().seconds(scale) + (
            len(self.sides) * SUSTAINED_SECONDS * scale)

    def measure(self, options, side):
        with filled(options, side, self) as server:
            first = burst(server, self.words(), self.requests(options.scale))
            # A burst is faster than what follows, so this is long enough.
            requests = round(first["throughput_rps"] * SUSTAINED_SECONDS *
                             options.scale)
            row = burst(server, self.words(), requests)
        return {"burst_rps": first["throughput_rps"], **row}


@dataclasses.dataclass(frozen=True)
class ManyKeys(Row):
    """kvd with ten million keys beside kvd with a hundred thousand."""

    many: Load
    few_keys = 100_000
    sides = ("kvd", f"at {short(few_keys)}")

    @property
    def few(self):
        return dataclasses.replace(self.many, keys=self.few_keys)

    @property
    def name(self):
        return f"keys-{self.many.name}"

    def what(self, scale):
        return self.many.what(scale)

    def seconds(self, scale):
        return sum(guess("kvd", load, load.requests(scale))
                   for load in (self.many, self.few))

    @contextlib.contextmanager
    def prepared(self, options):
        many, few = self.sides
        yield {many: lambda: self.many.measure(options, "kvd"),
               few: lambda: self.few.measure(options, "kvd")}
