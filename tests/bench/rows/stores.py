# SPDX-License-Identifier: MIT
"""Rows of the comparison about what a store is, not how fast it answers: its
start, its memory. restart.py and memory.py measure them, and say how."""

import contextlib
import dataclasses

import memory
import restart
from bench import Server, kvd_arguments, redis_arguments
from rows.row import Row

RESTART_KEYS = 5_000_000
MEMORY_KEYS = tuple(count * 1_000_000 for count in (1, 2, 4, 5, 8, 10))
# A guess, for kvd and Redis together.
LOADED_A_SECOND = 100_000


@dataclasses.dataclass(frozen=True)
class Restart(Row):
    name = "restart-5M"
    sides = ("kvd", "redis")

    def what(self, scale):
        return (f"tests/bench/restart.py --compact --keys "
                f"{round(RESTART_KEYS * scale)}")

    def seconds(self, scale):
        # Half of the keys are written three times; a round has two starts.
        return RESTART_KEYS * scale / 500_000

    def preparing_seconds(self, scale):
        return 2 * RESTART_KEYS * scale / LOADED_A_SECOND

    @contextlib.contextmanager
    def prepared(self, options):
        keys = round(RESTART_KEYS * options.scale)
        with Server("kvd", options.dir, kvd_arguments(
                options, "compaction.interval=0s")) as kvd, \
                Server("redis", options.dir,
                       redis_arguments("everysec")) as redis:
            space = {server.name: restart.prepare(server, keys, compacts=True)
                     for server in (kvd, redis)}

            def measure(server):
                times = [restart.restart(server, with_signal, keys).get_s
                         for _, with_signal in restart.STOPS]
                return {"clean_stop_s": times[0], "kill_9_s": times[1],
                        **space[server.name]}
            yield {"kvd": lambda: measure(kvd), "redis": lambda: measure(redis)}


@dataclasses.dataclass(frozen=True)
class Memory(Row):
    """Bytes a key beside key and value, at each size."""

    rounds_max: int = dataclasses.field(default=1, kw_only=True)
    name = "memory-1M-to-10M"
    sides = ("kvd", "redis")

    def what(self, scale):
        sizes = ",".join(f"{count * scale / 1e6:g}" for count in MEMORY_KEYS)
        return f"tests/bench/memory.py --sizes {sizes}"

    def seconds(self, scale):
        return (2 * MEMORY_KEYS[-1] * scale / LOADED_A_SECOND +
                4 * len(MEMORY_KEYS))

    @contextlib.contextmanager
    def prepared(self, options):
        sizes = [round(count * options.scale) for count in MEMORY_KEYS]
        arguments = {"kvd": kvd_arguments(options),
                     "redis": redis_arguments("everysec")}

        def measure(side):
            with Server(side, options.dir, arguments[side]) as server:
                rows = memory.measure(server, sizes, value_bytes=100)
            # Named by the whole size, so that quick runs fit the same targets.
            return {memory_figure(count): taken
                    for count, (taken, _) in zip(MEMORY_KEYS, rows)}
        yield {side: lambda side=side: measure(side) for side in self.sides}


def memory_figure(keys):
    return f"at_{keys // 1_000_000}M_keys_bytes"
