# SPDX-License-Identifier: MIT
"""Servers that hold their keys before they are measured, and bursts on them.

Each measurement has a server of its own, which holds all the keys that are
drawn from before it starts, and which has come to rest, as has its disk.
"""

import contextlib
import os
import time

from bench import (Server, benchmark, busy_and_stolen_seconds,
                   ceiling_arguments, connect, kvd_arguments, redis_arguments,
                   send, stolen_percent)

# What redis-benchmark is told, and the keys that it then draws from.
KINDS = {
    "set": (["-t", "set"], "key"),
    "get": (["-t", "get"], "key"),
    "incr": (["-t", "incr"], "counter"),
    "mset": (["-t", "mset"], "key"),
    # Keys that are not there yet.
    "new": (["-t", "set"], "key"),
}
# Redis by its appendfsync. Only with "always" it promises what kvd does.
REDIS = {"redis": "always", "everysec": "everysec", "no": "no"}

# Of one MSET that fills, and of as many as are on their way at once.
FILL_COMMAND_BYTES = 16 << 10
FILL_BATCH_BYTES = 1 << 20
# A server that takes less of a core than this is done with what filled it.
SETTLED_SHARE = 0.02
SETTLE_SECONDS = 0.2
SETTLE_SECONDS_MAX = 60


def fill_commands(name, keys, value, per_command):
    """MSETs of all the keys, as redis-benchmark writes them."""
    pair = b"$%d\r\n%b:%%012d\r\n$%d\r\n%b\r\n" % (
        len(name) + 13, name, len(value), value)
    for first in range(0, keys, per_command):
        count = min(per_command, keys - first)
        yield (b"*%d\r\n$4\r\nMSET\r\n" % (1 + 2 * count) +
               pair * count % tuple(range(first, first + count)))


def fill(server, kind, keys, value_bytes):
    name = KINDS[kind][1].encode()
    value = b"0" if kind == "incr" else b"v" * value_bytes
    pair_bytes = len(name) + 13 + len(value)
    per_command = max(1, FILL_COMMAND_BYTES // pair_bytes)
    batch = max(1, FILL_BATCH_BYTES // (per_command * pair_bytes))
    with connect(server.path) as client:
        send(client, fill_commands(name, keys, value, per_command), batch=batch)


def arguments(options, side, value_bytes, settings=()):
    if side == "ceiling":
        return ceiling_arguments(options.kvd, value_bytes)
    if side in REDIS:
        return redis_arguments(REDIS[side])
    return kvd_arguments(options, *settings)


def settle(server):
    """Until neither the disk nor the server is busy with what filled it."""
    server.wait_for_hints()
    os.sync()
    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    before = server.cpu_seconds()
    while time.monotonic() < deadline:
        time.sleep(SETTLE_SECONDS)
        now = server.cpu_seconds()
        if now - before < SETTLE_SECONDS * SETTLED_SHARE:
            return
        before = now


@contextlib.contextmanager
def filled(options, side, load, settings=()):
    value = b"v" * load.value_bytes
    with Server(side, options.dir, arguments(options, side, load.value_bytes,
                                             settings)) as server:
        server.start(expected=value if side == "ceiling" else None)
        if side in REDIS:
            server.call("CONFIG", "SET", "appendfsync", "no")
        if side != "ceiling":
            fill(server, load.kind, load.keys, load.value_bytes)
            settle(server)
        if side in REDIS:
            server.call("CONFIG", "SET", "appendfsync", REDIS[side])
        yield server


def figures(row):
    return {"throughput_rps": row["rps"], "p50_ms": row["p50_latency_ms"],
            "p99_ms": row["p99_latency_ms"]}


def burst(server, words, requests):
    machine = busy_and_stolen_seconds()
    before = server.cpu_seconds()
    row = figures(benchmark(server.path, *words, "-n", str(requests)))
    row["server_cpu_us"] = (server.cpu_seconds() - before) / requests * 1e6
    row["stolen_percent"] = stolen_percent(machine, busy_and_stolen_seconds())
    return row
