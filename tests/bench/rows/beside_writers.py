# SPDX-License-Identifier: MIT
"""Rows of the comparison for a reader whom others' durable writes might hold
up, with and without a compaction beside them."""

import contextlib
import dataclasses
import re
import statistics
import subprocess
import tempfile
import time

from bench import benchmark, busy_and_stolen_seconds, stolen_percent
from compaction_latency import Compacting
from rows.filled import burst, figures, filled
from rows.loads import BURST, READ_SIDES, Load, guess
from rows.row import Row

WRITERS = 16
# One such run of GETs follows the other for so long.
GETS = 2_000
SECONDS = 4


@dataclasses.dataclass(frozen=True)
class BesideWriters(Row):
    """GETs of one client while 16 others write without a pause.

    Where the kernel puts three busy processes on few cores decides much, and
    for long: hence many short runs, of whose latencies the means are told.
    """

    name = f"get-beside-{WRITERS}-writers"
    sides = READ_SIDES
    load = Load("set", WRITERS, 1)

    def reader(self):
        return ["-t", "get", "-c", "1", "-r", str(self.load.keys), "-d",
                str(self.load.value_bytes), "-n", str(GETS)]

    def what(self, scale):
        return (f"{SECONDS * scale:g} s of redis-benchmark "
                f"{' '.join(self.reader())} beside "
                f"redis-benchmark {' '.join(self.load.words())}")

    def seconds(self, scale):
        return sum(guess(side, self.load, 0) + SECONDS * scale
                   for side in self.sides)

    def read(self, server, scale):
        """Of the reader, and how much the writers did meanwhile."""
        with tempfile.TemporaryFile("w+") as progress:
            writers = subprocess.Popen(
                ["redis-benchmark", "-s", server.path, *self.load.words(),
                 "-n", "1000000000", "-q"], stdin=subprocess.DEVNULL,
                stdout=progress, stderr=subprocess.DEVNULL)
            try:
                time.sleep(0.5)
                machine = busy_and_stolen_seconds()
                rows = self.read_for(server, SECONDS * scale)
                stolen = stolen_percent(machine, busy_and_stolen_seconds())
            finally:
                writers.kill()
                writers.wait()
            progress.seek(0)
            writes = re.findall(r"rps=\S+ \(overall: (\S+)\)", progress.read())
        return {
            "throughput_rps": statistics.harmonic_mean(
                row["throughput_rps"] for row in rows),
            **{figure: statistics.fmean(row[figure] for row in rows)
               for figure in ("p50_ms", "p99_ms")},
            "writes_rps": float(writes[-1]), "stolen_percent": stolen}

    def read_for(self, server, seconds):
        end = time.monotonic() + seconds
        rows = []
        while not rows or time.monotonic() < end:
            rows.append(figures(benchmark(server.path, *self.reader())))
        return rows

    @contextlib.contextmanager
    def prepared(self, options):
        def measure(side):
            with filled(options, side, self.load) as server:
                return self.read(server, options.scale)
        yield {side: lambda side=side: measure(side) for side in self.sides}


@dataclasses.dataclass(frozen=True)
class BesideCompaction(BesideWriters):
    """The same while one compaction follows the other, beside none."""

    name = f"get-beside-{WRITERS}-writers-compacting"
    sides = ("kvd", "not compacting")
    # What compaction then has to remove.
    garbage = Load("set", 50, 16)

    def what(self, scale):
        return f"{super().what(scale)} and KV.COMPACT"

    def seconds(self, scale):
        return 2 * guess("kvd", self.garbage, 2 * BURST + BURST * scale)

    @contextlib.contextmanager
    def prepared(self, options):
        def measure(compacting):
            with filled(options, "kvd", self.load,
                        ["compaction.interval=0s"]) as server:
                burst(server, self.garbage.words(),
                      round(2 * BURST * options.scale))
                with (Compacting(server.path) if compacting else
                      contextlib.nullcontext()):
                    return self.read(server, options.scale)
        yield {"kvd": lambda: measure(True),
               "not compacting": lambda: measure(False)}
