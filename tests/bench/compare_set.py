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

import argparse
import csv
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
SECONDS_MAX = 600
VALUES = ["-d", "100", "-r", "1000000"]
WRITERS = 16
# A round's share of the second table; enough for a 99th percentile.
GETS = 10_000


class Server:
    """A fresh server on a fresh directory."""

    def __init__(self, name, folder, arguments):
        self.name = name
        self.folder = tempfile.mkdtemp(prefix=f"{name}-", dir=folder)
        # Short whatever DIR is: a socket's path has 107 bytes.
        self.sockets = tempfile.mkdtemp(prefix="bench-", dir="/tmp")
        self.path = os.path.join(self.sockets, "s")
        self.log = open(os.path.join(self.sockets, "log"), "wb")
        self.process = subprocess.Popen(
            arguments(self.folder, self.path), stdin=subprocess.DEVNULL,
            stdout=self.log, stderr=self.log)

    def __enter__(self):
        deadline = time.monotonic() + SECONDS_MAX
        while True:
            try:
                with socket.socket(socket.AF_UNIX) as probe:
                    probe.connect(self.path)
                return self
            except OSError:
                if (self.process.poll() is not None or
                        time.monotonic() > deadline):
                    self.__exit__()
                    sys.exit(f"{self.name} does not start")
                time.sleep(0.01)

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.rmtree(self.sockets, ignore_errors=True)

    def cpu_seconds(self):
        """Of the server so far, all of its threads."""
        with open(f"/proc/{self.process.pid}/stat", encoding="utf-8") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def kvd_arguments(binary):
    return lambda folder, path: [
        binary, "--config", os.path.join(ROOT, "etc", "kvd.toml"),
        "--data-dir", folder, "--socket", path]


def redis_arguments(folder, path):
    return ["redis-server", "--port", "0", "--unixsocket", path,
            "--dir", folder, "--save", "", "--appendonly", "yes",
            "--appendfsync", "always", "--auto-aof-rewrite-percentage", "0"]


def benchmark(path, *words):
    """What redis-benchmark measured: requests a second, latencies in ms."""
    result = subprocess.run(
        ["redis-benchmark", "-s", path, "--csv", *words],
        stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=SECONDS_MAX, check=True)
    header, row = list(csv.reader(result.stdout.splitlines()))[-2:]
    return {name: float(value) for name, value in zip(header[1:], row[1:])}


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
                rows[name].append(measure(server))
            print(f"  round {number + 1} {name}: " + ", ".join(
                f"{key} {value:.3f}" if value < 100 else f"{key} {value:,.0f}"
                for key, value in rows[name][-1].items()), flush=True)
    return rows


def median(rows, name):
    return statistics.median(row[name] for row in rows)


def machine():
    model = "unknown processor"
    with open("/proc/cpuinfo", encoding="utf-8") as stream:
        for line in stream:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return (f"{model}, {os.cpu_count()} cores, {platform.system()} "
            f"{platform.release()}")


def versions(binary):
    def first_line(*words):
        return subprocess.run(words, capture_output=True, text=True,
                              check=True).stdout.splitlines()[0]

    return first_line(binary, "--version"), first_line("redis-server",
                                                       "--version")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=1_000_000,
                        help="of the SET table, per round")
    parser.add_argument("--dir", default=os.path.join(ROOT, "build"),
                        help="on the disk to measure")
    parser.add_argument("--kvd", default=os.path.join(ROOT, "build", "release",
                                                      "bin", "kvd"))
    options = parser.parse_args()
    os.makedirs(options.dir, exist_ok=True)

    servers = {
        "kvd": lambda: Server("kvd", options.dir, kvd_arguments(options.kvd)),
        "redis": lambda: Server("redis", options.dir, redis_arguments),
    }
    kvd_version, redis_version = versions(options.kvd)
    print(f"{machine()}; load {os.getloadavg()[0]:.1f}")
    print(f"{kvd_version}, sync always\n{redis_version}, appendfsync always")

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
