#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What a reader feels of compaction: GETs of one client beside 16 writers.

A million keys, values of 100 bytes, every write on disk before its OK. Rounds
without and with compaction take turns; with it, one run follows another at the
default rate, over what the writers left dead.
"""

import random
import statistics
import subprocess
import threading
import time

from bench import Server, begin, connect, kvd_arguments, option_parser

KEYS = 1_000_000
WRITERS = ["redis-benchmark", "-t", "set", "-d", "100", "-r", str(KEYS), "-q"]


class Compacting:
    """Compaction again and again for as long as it is entered."""

    def __init__(self, path):
        self.path = path
        self.runs = 0
        self.ended = False
        self.thread = threading.Thread(target=self.go_on)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended = True
        self.thread.join()

    def go_on(self):
        with connect(self.path) as client:
            client.settimeout(600)
            while not self.ended:
                client.sendall(b"KV.COMPACT WAIT\r\n")
                client.recv(1024)
                self.runs += 1


def read_for(path, seconds):
    """Latencies of GETs, in ms."""
    latencies = []
    chance = random.Random(1)
    with connect(path) as client:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            words = b"GET key:%012d\r\n" % chance.randrange(KEYS)
            began = time.perf_counter()
            client.sendall(words)
            client.recv(4096)
            latencies.append((time.perf_counter() - began) * 1e3)
    return sorted(latencies)


def measure(path, seconds, compacting):
    writers = subprocess.Popen([*WRITERS, "-s", path, "-c", "16", "-n",
                                "1000000000"], stdout=subprocess.DEVNULL)
    try:
        time.sleep(0.5)
        if not compacting:
            return read_for(path, seconds), 0
        with Compacting(path) as compaction:
            return read_for(path, seconds), compaction.runs
    finally:
        writers.kill()
        writers.wait()


def main():
    parser = option_parser(__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=4)
    options = parser.parse_args()
    begin(options, "")

    tails = {False: [], True: []}
    with Server("kvd", options.dir, kvd_arguments(
            options, "compaction.interval=0s")) as kvd:
        kvd.start()
        subprocess.run([*WRITERS, "-s", kvd.path, "-c", "50", "-P", "16", "-n",
                        str(3 * KEYS)], check=True, stdout=subprocess.DEVNULL)
        for number in range(options.rounds):
            for compacting in (False, True):
                latencies, runs = measure(kvd.path, options.seconds, compacting)
                tail = latencies[len(latencies) * 99 // 100]
                tails[compacting].append(tail)
                print(f"  round {number + 1}, {'with' if compacting else 'no'} "
                      f"compaction: {len(latencies) / options.seconds:,.0f} /s, "
                      f"p50 {latencies[len(latencies) // 2]:.3f} ms, "
                      f"p99 {tail:.3f} ms, max {latencies[-1]:.1f} ms"
                      f"{f', {runs} runs' if compacting else ''}", flush=True)
        for line in kvd.call("INFO", "latencystats").splitlines():
            print(f"  {line}")

    without = statistics.median(tails[False])
    beside = statistics.median(tails[True])
    print(f"\np99, medians of {options.rounds} rounds: {without:.3f} ms without "
          f"compaction, {beside:.3f} ms with it: {beside / without:.2f} x")


if __name__ == "__main__":
    main()
