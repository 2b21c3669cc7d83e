#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""kvd on etcd, beside what a bare client gets from the same etcd.

    tests/bench/beside_etcd.py [--rounds 5] [--scale 1]

Starts three nodes on loopback and one kvd, and loads them in turns: the bare
client (kvd_etcd_load) with one Txn after the other of as many puts as kvd's may
have, with single puts and with linearizable reads; kvd with redis-benchmark's
SET and GET, 50 clients with 16 commands in flight each, and its single client.
Values have 100 bytes and the keys are a hundred thousand; etcd's files are in /tmp. Prints medians of
operations a second, and the ratios, taken within each round, with the lowest and
the highest.
"""

import os
import statistics
import subprocess
import sys

from bench import SECONDS_MAX, begin, benchmark, option_parser, version

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))), "e2e", "rig"))

# kvd's Txn moves the number of its life beside them.
PUTS_PER_TXN = 126
IN_FLIGHT = 50 * 16
KEYS = "100000"


def main():
    parser = option_parser(__doc__)
    parser.add_argument("--scale", type=float, default=1,
                        help="how much of the work to do")
    options = parser.parse_args()
    begin(options, version(options.kvd), version("etcd"))
    # Read when the rig is loaded.
    os.environ["KVD_BIN_DIR"] = os.path.dirname(os.path.abspath(options.kvd))
    from harness import E2eTest, KVD_ETCD
    import etcd

    test = E2eTest()
    try:
        cluster = etcd.Cluster(test).start()
        daemon = test.daemon(program=KVD_ETCD, defaults=False, settings={
            "storage.backend": "etcd",
            "etcd.endpoints": ",".join(cluster.endpoints)}).start()
        rounds = [one_round(options, cluster.endpoints, daemon.socket_path)
                  for _ in range(options.rounds)]
    finally:
        test.doCleanups()
    show(rounds)


def one_round(options, endpoints, path):
    def bare(what, in_flight, puts, count):
        load = os.path.join(os.path.dirname(options.kvd), "kvd_etcd_load")
        words = [load, what, ",".join(endpoints), str(in_flight), str(puts),
                 str(max(in_flight, int(count * options.scale)))]
        result = subprocess.run(words, stdin=subprocess.DEVNULL, check=True,
                                stdout=subprocess.PIPE, timeout=SECONDS_MAX)
        return float(result.stdout.split()[0]) * puts

    def kvd(command, clients, pipeline, count):
        return benchmark(path, "-t", command, "-c", str(clients), "-P",
                         str(pipeline), "-d", "100", "-r", KEYS, "-n",
                         str(int(count * options.scale)))["rps"]

    # What the disk gives drifts: one half before kvd's, one after it.
    before = bare("put", 1, PUTS_PER_TXN, 250)
    sets = kvd("set", 50, 16, 100_000)
    after = bare("put", 1, PUTS_PER_TXN, 250)
    return {
        "Txns of 126 puts": statistics.mean([before, after]),
        "SET 50 x 16": sets,
        "single puts, 800 in flight": bare("put", IN_FLIGHT, 1, 10_000),
        "GET 50 x 16": kvd("get", 50, 16, 1_000_000),
        "single reads, 800 in flight": bare("get", IN_FLIGHT, 1, 20_000),
        "SET, one client": kvd("set", 1, 1, 1_000),
        "single puts, one in flight": bare("put", 1, 1, 1_000),
        "GET, one client": kvd("get", 1, 1, 2_000),
        "single reads, one in flight": bare("get", 1, 1, 2_000),
    }


# What is divided by what, and the target.
RATIOS = (
    ("SET 50 x 16", "Txns of 126 puts", 0.8),
    ("SET 50 x 16", "single puts, 800 in flight", 5),
    ("SET, one client", "single puts, one in flight", None),
    ("GET, one client", "single reads, one in flight", None),
)


def show(rounds):
    for name in rounds[0]:
        rates = [one[name] for one in rounds]
        print(f"{name:<30}{statistics.median(rates):>12,.0f} a second "
              f"({min(rates):,.0f} to {max(rates):,.0f})")
    for upper, lower, target in RATIOS:
        ratios = [one[upper] / one[lower] for one in rounds]
        wanted = f", to reach {target}" if target else ""
        print(f"{upper} / {lower}: {statistics.median(ratios):.2f} "
              f"({min(ratios):.2f} to {max(ratios):.2f}){wanted}")


if __name__ == "__main__":
    main()
