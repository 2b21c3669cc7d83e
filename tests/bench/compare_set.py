#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""kvd and redis-server side by side, both syncing before they answer.

    tests/bench/compare_set.py [--rounds 5] [--dir DIR] [--kvd PATH]

A person runs this on an idle machine; CI does not, since its figures would mean
nothing there. Both servers get the same load from redis-benchmark over a Unix
socket, on the same file system, in turns within one run: one round of a server
against itself has shown a factor of two, so only medians of several interleaved
rounds say something, and only ratios carry over to other machines.

1. SET: 50 clients, 16 commands in flight each, values of 100 bytes, keys drawn
   from a million.
2. GET of one client beside 16 clients that write without a pause.
"""

import statistics
import subprocess
import time

from bench import (Server, begin, benchmark, kvd_arguments, option_parser,
                   redis_arguments, version)

VALUES = ["-d", "100", "-r", "1000000"]
WRITERS = 16
# A round's share of the second table; enough for a 99th percentile.
GETS = 10_000


def set_words(requests):
    return ["-t", "set", "-c", "50", "-P", "16", "-n", str(requests), *VALUES]


def measure_set(server, requests):
    before = server.cpu_seconds()
    row = benchmark(server.path, *set_words(requests))
    return {"rps": row["rps"],
            "cpu_us": (server.cpu_seconds() - before) / requests * 1e6}


def writer_words():
    return ["-t", "set", "-c", str(WRITERS), "-n", "1000000000", "-q", *VALUES]


def get_words():
    return ["-t", "get", "-c", "1", "-n", str(GETS), *VALUES]


def measure_get(server):
    # Something to find.
    benchmark(server.path, *set_words(100_000))
    writers = subprocess.Popen(
        ["redis-benchmark", "-s", server.path, *writer_words()],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        time.sleep(0.5)
        row = benchmark(server.path, *get_words())
    finally:
        writers.kill()
        writers.wait()
    return {"rps": row["rps"], "p50": row["p50_latency_ms"],
            "p99": row["p99_latency_ms"]}


def interleaved(rounds, servers, measure):
    """Rows of figures by server; who begins changes from round to round."""
    rows = {name: [] for name in servers}
    for number in range(rounds):
        names = list(servers)
        if number % 2:
            names.reverse()
        for name in names:
            with servers[name]() as server:
                server.start()
                rows[name].append(measure(server))
            print(f"  round {number + 1} {name}: " + ", ".join(
                f"{key} {value:.3f}" if value < 100 else f"{key} {value:,.0f}"
                for key, value in rows[name][-1].items()), flush=True)
    return rows


def median(rows, name):
    return statistics.median(row[name] for row in rows)


def main():
    parser = option_parser(__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=1_000_000,
                        help="of the SET table, per round")
    options = parser.parse_args()
    begin(options, f"{version(options.kvd)}, sync always",
          f"{version('redis-server')}, appendfsync always")

    arguments = {"kvd": kvd_arguments(options.kvd),
                 "redis": redis_arguments("always")}
    servers = {name: lambda name=name: Server(name, options.dir,
                                              arguments[name])
               for name in arguments}
    print("\nredis-benchmark " + " ".join(set_words(options.requests)))
    sets = interleaved(options.rounds, servers,
                       lambda server: measure_set(server, options.requests))
    print("\nredis-benchmark " + " ".join(writer_words()) + "  and beside it"
          "\nredis-benchmark " + " ".join(get_words()))
    gets = interleaved(options.rounds, servers, measure_get)

    print(f"\nMedians of {options.rounds} interleaved rounds:\n")
    print("| Work | kvd | Redis | kvd : Redis |")
    print("|---|---|---|---|")
    for label, rows, key, form, scale in (
            ("SET always, 50 × 16, k/s", sets, "rps", "{:.0f}", 1e-3),
            ("server CPU per SET, µs", sets, "cpu_us", "{:.2f}", 1),
            ("GET of one client beside 16 writers, k/s", gets, "rps", "{:.2f}",
             1e-3),
            ("its p50, ms", gets, "p50", "{:.3f}", 1),
            ("its p99, ms", gets, "p99", "{:.3f}", 1)):
        kvd, other = median(rows["kvd"], key), median(rows["redis"], key)
        print(f"| {label} | {form.format(kvd * scale)} | "
              f"{form.format(other * scale)} | {kvd / other:.2f} |")


if __name__ == "__main__":
    main()
