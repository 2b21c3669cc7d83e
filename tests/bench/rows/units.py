# SPDX-License-Identifier: MIT
"""Rows of the comparison for commands that belong together: transactions, and
locks that a script releases. unit_load.cc has the load."""

import contextlib
import dataclasses
import os
import subprocess

from bench import (SECONDS_MAX, busy_and_stolen_seconds, stolen_percent)
from rows.filled import filled
from rows.loads import WRITE_SIDES
from rows.row import Row

UNITS_PER_CLIENT = 4000
# Guessed, of a second.
UNITS_A_SECOND = 15_000


@dataclasses.dataclass(frozen=True)
class Units(Row):
    unit: str  # "exec" or "lock".
    clients: int
    # What filled() has to know.
    kind = "set"
    value_bytes = 100
    keys = 1_000_000

    sides = tuple(side for side in WRITE_SIDES if side != "ceiling")

    @property
    def name(self):
        what = {"exec": "exec-of-10-sets", "lock": "lock-and-release"}
        return f"{what[self.unit]}-{self.clients}"

    def requests(self, scale):
        return max(self.clients,
                   round(UNITS_PER_CLIENT * min(self.clients, 20) * scale))

    def what(self, scale):
        return (f"kvd_unit_load SOCKET {self.unit} {self.clients} "
                f"{self.requests(scale)}")

    def seconds(self, scale):
        return len(self.sides) * (
            3 + self.requests(scale) / UNITS_A_SECOND)

    def measure(self, options, side):
        with filled(options, side, self) as server:
            return self.load(options, server)

    def load(self, options, server):
        program = os.path.join(os.path.dirname(options.kvd), "kvd_unit_load")
        requests = self.requests(options.scale)
        machine = busy_and_stolen_seconds()
        before = server.cpu_seconds()
        result = subprocess.run(
            [program, server.path, self.unit, str(self.clients),
             str(requests)], capture_output=True, text=True,
            timeout=SECONDS_MAX, check=True)
        rate, p50, p99 = map(float, result.stdout.split())
        return {"throughput_rps": rate, "p50_ms": p50, "p99_ms": p99,
                "server_cpu_us":
                    (server.cpu_seconds() - before) / requests * 1e6,
                "stolen_percent":
                    stolen_percent(machine, busy_and_stolen_seconds())}

    @contextlib.contextmanager
    def prepared(self, options):
        yield {side: lambda side=side: self.measure(options, side)
               for side in self.sides}
