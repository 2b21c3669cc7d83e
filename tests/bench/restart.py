#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""How long kvd and redis-server take from their start to the first served GET.

    tests/bench/restart.py [--keys 5000000] [--rounds 5] [--kvd PATH]

A person runs this on an idle machine; CI does not, since its figures would mean
nothing there. Both servers get the same keys over a Unix socket: keys of 15
bytes, values of 100, the first half of them overwritten twice. Then each is
stopped and started again, in turns, once cleanly and once by kill -9 a round,
with its files in the page cache. The time is from the start of the process to
the reply with the value; a server that answers "loading" is asked again. One SET
follows at once, and is timed on its own: what the first writer waits.

Redis keeps its log as it was written (appendonly yes, no rewriting), as kvd
does. After a kill -9 kvd also writes its newest segments back to the disk.
"""

import os
import signal
import statistics
import sys
import time
import typing

from bench import (BATCH, SECONDS_MAX, Server, begin, connect, key,
                   kvd_arguments, option_parser, redis_arguments, send,
                   set_command, version)

KEY_BYTES = len(key(0))
VALUE_BYTES = 100
PASSES_OVER_HALF = 2


def value(number, run):
    return (b"%d.%d." % (number, run)).ljust(VALUE_BYTES, b"v")


def write(client, numbers, run):
    send(client, (set_command(key(n), value(n, run)) for n in numbers))


def load(server, keys):
    with connect(server.path) as client:
        write(client, range(keys), 0)
        for run in range(1, 1 + PASSES_OVER_HALF):
            write(client, range(keys // 2), run)


def compact(server):
    """Rewrites the log without what is dead, to the end."""
    began = time.monotonic()
    server.call("BGREWRITEAOF")
    while server.info("aof_rewrite_in_progress") != "0":
        if time.monotonic() - began > SECONDS_MAX:
            sys.exit(f"{server.name} does not end its compaction")
        time.sleep(0.05)
    print(f"  {server.name}: compacted in {time.monotonic() - began:.1f} s",
          flush=True)


def warm(server):
    """Reads every file once; returns how many bytes they have."""
    total = 0
    for folder, _, names in os.walk(server.folder):
        for name in names:
            with open(os.path.join(folder, name), "rb") as stream:
                while chunk := stream.read(1 << 20):
                    total += len(chunk)
    return total


STOPS = (("after a clean stop", signal.SIGTERM),
         ("after kill -9", signal.SIGKILL))


def space(kvd, keys):
    """What the sealed segments take for what they hold, once all is compacted
    and every record is in one of them."""
    # The stop seals what the active segment held, dead records included.
    kvd.stop()
    kvd.start()
    compact(kvd)
    sealed = int(kvd.info("kvd_sealed_bytes"))
    live = int(kvd.info("kvd_live_bytes"))
    hints = sum(kvd.files(".hint").values())
    return {"sealed_to_live_ratio": sealed / live,
            "record_overhead_bytes": live / keys - KEY_BYTES - VALUE_BYTES,
            "hint_overhead_bytes": hints / keys - KEY_BYTES}


def prepare(server, keys, compacts):
    """Starts and fills a server; what its files take where it tells."""
    server.start()
    load(server, keys)
    print(f"  {server.name}: loaded", flush=True)
    if not compacts:
        return {}
    compact(server)
    if server.name != "kvd":
        return {}
    row = space(server, keys)
    print("  kvd: " + ", ".join(f"{figure} {number:.3f}"
                                for figure, number in row.items()), flush=True)
    return row


class Restarted(typing.NamedTuple):
    get_s: float  # From the start of the process to the first GET's reply.
    set_s: float  # From there to the first SET's.
    file_bytes: int  # With which it starts.


def restart(server, with_signal, keys):
    if with_signal == signal.SIGKILL:
        # So that there is a tail.
        with connect(server.path) as client:
            write(client, range(min(keys // 2, 10 * BATCH)), PASSES_OVER_HALF)
    server.stop(with_signal)
    size = warm(server)
    newest = value(0, PASSES_OVER_HALF if keys > 1 else 0)
    get_s = server.start(key(0), newest)
    began = time.monotonic()
    with connect(server.path) as client:
        send(client, [set_command(b"first", b"1")])
    return Restarted(get_s, time.monotonic() - began, size)


def measure(servers, rounds, keys, compacts):
    """Each Restarted by server and kind of stop."""
    for server in servers:
        prepare(server, keys, compacts)
    times = {(server.name, stop): [] for server in servers
             for stop, _ in STOPS}
    for number in range(rounds):
        for stop, with_signal in STOPS:
            for server in servers if number % 2 == 0 else servers[::-1]:
                one = restart(server, with_signal, keys)
                times[server.name, stop].append(one)
                print(f"  round {number + 1} {server.name} {stop}: "
                      f"{one.get_s:.3f} s, then a SET {one.set_s * 1e3:.1f} ms, "
                      f"{one.file_bytes / 1e6:,.0f} MB", flush=True)
    return times


def main():
    parser = option_parser(__doc__.splitlines()[0])
    parser.add_argument("--keys", type=int, default=5_000_000)
    parser.add_argument("--compact", action="store_true",
                        help="compact both logs before the first stop")
    options = parser.parse_args()
    begin(options, f"{version(options.kvd)}, sync always",
          f"{version('redis-server')}, appendonly yes, appendfsync everysec",
          f"{options.keys:,} keys\n")

    kvd_words = kvd_arguments(options, "compaction.interval=0s")
    with Server("kvd", options.dir, kvd_words) as kvd, \
            Server("redis", options.dir, redis_arguments("everysec")) as redis:
        times = measure([kvd, redis], options.rounds, options.keys,
                        options.compact)

    print(f"\nStart to first GET, s, and the SET behind it, ms; medians of "
          f"{options.rounds} rounds:\n")
    print("| Start | kvd | Redis | kvd : Redis | kvd, SET | Redis, SET |")
    print("|---|---|---|---|---|---|")
    for stop, _ in STOPS:
        def median(name, figure, stop=stop):
            return statistics.median(getattr(one, figure)
                                     for one in times[name, stop])
        ours, theirs = median("kvd", "get_s"), median("redis", "get_s")
        print(f"| {stop} | {ours:.2f} | {theirs:.2f} | {ours / theirs:.2f} | "
              f"{median('kvd', 'set_s') * 1e3:.1f} | "
              f"{median('redis', 'set_s') * 1e3:.1f} |")


if __name__ == "__main__":
    main()
