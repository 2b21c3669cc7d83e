# SPDX-License-Identifier: MIT
"""A row of the comparison: one GET as a whole process, as scripts do it.

kvctl and redis-cli each ask their own server; /bin/true asks nobody, and shows
what any process costs.
"""

import contextlib
import dataclasses
import os
import statistics
import sys
import time

from bench import (Server, connect, kvd_arguments, redis_arguments, send,
                   set_command)
from rows.row import Row

RUNS = 300
KEY, VALUE = "greeting", "hello"


def run(words):
    """Wall time and CPU time of a process, in ms."""
    began = time.perf_counter()
    pid = os.posix_spawnp(words[0], words, os.environ, file_actions=[
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)])
    _, status, usage = os.wait4(pid, 0)
    took = time.perf_counter() - began
    if status != 0:
        sys.exit(f"{' '.join(words)} ends with {status}")
    return took * 1e3, (usage.ru_utime + usage.ru_stime) * 1e3


def measure(words, runs):
    rows = [run(words) for _ in range(runs)]
    wall, cpu = zip(*rows)
    return {"wall_ms": statistics.median(wall),
            "process_cpu_ms": statistics.median(cpu)}


@dataclasses.dataclass(frozen=True)
class GetProcess(Row):
    name = "kvctl-get"
    sides = ("kvd", "redis", "/bin/true")

    def what(self, scale):
        return (f"{round(RUNS * scale)} times kvctl get {KEY}, redis-cli get "
                f"{KEY} and /bin/true")

    def seconds(self, scale):
        return len(self.sides) * RUNS * scale * 0.004

    @contextlib.contextmanager
    def prepared(self, options):
        kvctl = os.path.join(os.path.dirname(options.kvd), "kvctl")
        with Server("kvd", options.dir, kvd_arguments(options)) as kvd, \
                Server("redis", options.dir,
                       redis_arguments("always")) as redis:
            for server in (kvd, redis):
                server.start()
                with connect(server.path) as client:
                    send(client, [set_command(KEY.encode(), VALUE.encode())])
            words = ([kvctl, "--socket", kvd.path, "get", KEY],
                     ["redis-cli", "-s", redis.path, "get", KEY],
                     ["/bin/true"])
            yield {side: lambda line=line: measure(
                line, round(RUNS * options.scale))
                   for side, line in zip(self.sides, words)}
