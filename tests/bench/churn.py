#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A store in which keys come and go does not grow.

    tests/bench/churn.py [--keys 1000000] [--cycles 10000000] [--kvd PATH]

A million keys of 15 bytes with values of 100 stay. Beside them short-lived keys
are set and, once so many later ones are there, deleted: each cycle leaves a
dead put and a tombstone that hides it. Compaction runs on its timer meanwhile,
and once over everything at the end. What the sealed segments then take is
compared with what lives.

kvd counts live records of the active segment, too, so sealed : live flatters
while some live there. After a clean stop everything is sealed, the garbage that
the active segment held included; a second compaction then gives the ratio in
which nothing is left out. Each ratio after a compaction has to be within the
limit, in every round; else the exit code is 1.
"""

import statistics
import sys
import threading
import time

from bench import (OK, Server, add_settings, begin, connect, key, kvd_arguments,
                   option_parser, send, set_command, version)

VALUE = b"v" * 100
SAMPLE_SECONDS = 0.05
KINDS = {"segments": ".seg", "hints": ".hint"}


class SegmentBytes:
    """Watches how many bytes .seg files have while it is entered."""

    def __init__(self, server):
        self.server = server
        self.samples = [sum(server.files(".seg").values())]
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()

    def watch(self):
        while not self.ended.wait(SAMPLE_SECONDS):
            self.samples.append(sum(self.server.files(".seg").values()))

    def peaks(self):
        """The most in the first half of the time, and in the second."""
        half = (len(self.samples) + 1) // 2
        return max(self.samples[:half]), max(self.samples[-half:])


def short_lived(number):
    return b"temp%011d" % number


def set_short_lived(number):
    return set_command(short_lived(number), VALUE)


def delete_short_lived(number):
    return b"*2\r\n$3\r\nDEL\r\n$15\r\n%b\r\n" % short_lived(number)


def churn(client, cycles, window):
    """Seconds for so many cycles, never more than `window` keys at once."""
    window = min(window, cycles)
    began = time.monotonic()
    send(client, map(set_short_lived, range(window)))
    # Two commands at a time.
    send(client, (set_short_lived(n) + delete_short_lived(n - window)
                  for n in range(window, cycles)), OK + b":1\r\n")
    send(client, map(delete_short_lived, range(cycles - window, cycles)),
         b":1\r\n")
    return time.monotonic() - began


def compact(server):
    began = time.monotonic()
    server.call("KV.COMPACT", "WAIT")
    return time.monotonic() - began


def ratio(server):
    return int(server.info("kvd_sealed_bytes")) / max(
        int(server.info("kvd_live_bytes")), 1)


def measure(server, options):
    """One round's figures, in the order of the table."""
    row = {}
    server.start()
    with connect(server.path) as client:
        send(client, (set_command(key(n), VALUE) for n in range(options.keys)))
        row["RSS before, MB"] = server.quiet_memory_bytes() / 1e6
        row[".seg files before, MB"] = sum(
            server.files(".seg").values()) / 1e6
        with SegmentBytes(server) as watched:
            seconds = churn(client, options.cycles, options.window)
    first, second = watched.peaks()
    row[".seg files at their most meanwhile, MB"] = max(first, second) / 1e6
    row["in the first half of the time, MB"] = first / 1e6
    row["in the second half, MB"] = second / 1e6
    row["cycles a second, k"] = options.cycles / seconds / 1e3
    row["compactions meanwhile"] = int(server.info("kvd_compaction_runs"))
    row["KV.COMPACT WAIT, s"] = compact(server)
    row["live records, MB"] = int(server.info("kvd_live_bytes")) / 1e6
    row["sealed segments, MB"] = int(server.info("kvd_sealed_bytes")) / 1e6
    row["sealed : live, compacted"] = ratio(server)
    row["RSS after, MB"] = server.quiet_memory_bytes() / 1e6
    add_files(row, server, "compacted")

    server.stop()
    add_files(row, server, "stopped")
    row["restart, s"] = server.start(key(0), VALUE)
    row["sealed : live, restarted"] = ratio(server)
    compact(server)
    row["sealed : live, restarted and compacted"] = ratio(server)
    add_files(row, server, "restarted and compacted")
    if int(server.call("DBSIZE").removeprefix(":")) != options.keys:
        sys.exit("some keys are lost, or came back")
    return row


def add_files(row, server, when):
    for kind, suffix in KINDS.items():
        sizes = server.files(suffix)
        row[f"{kind}, {when}: files"] = len(sizes)
        row[f"{kind}, {when}, MB"] = sum(sizes.values()) / 1e6


def table(rows, ratio_max):
    """Prints it; whether every round was within the limit."""
    print("| What | Median | Highest | Limit | Holds |")
    print("|---|---|---|---|---|")
    all_hold = True
    for what in rows[0]:
        values = [row[what] for row in rows]
        form = ",.3f" if "live," in what else (
            ",.1f" if what.endswith((" k", " s", "MB")) else ",.0f")
        line = (f"| {what} | {statistics.median(values):{form}} | "
                f"{max(values):{form}} |")
        if what.startswith("sealed : live") and what.endswith("compacted"):
            holds = max(values) <= ratio_max
            all_hold = all_hold and holds
            line += f" ≤ {ratio_max} | {'yes' if holds else 'NO'} |"
        else:
            line += " | |"
        print(line)
    return all_hold


def main():
    parser = option_parser(__doc__.splitlines()[0], rounds=3)
    parser.add_argument("--keys", type=int, default=1_000_000,
                        help="that stay")
    parser.add_argument("--cycles", type=int, default=10_000_000,
                        help="of a SET and a DEL of a key")
    parser.add_argument("--window", type=int, default=10_000,
                        help="short-lived keys at once")
    parser.add_argument("--interval", default="5s",
                        help="kvd's compaction.interval")
    parser.add_argument("--ratio-max", type=float, default=1.1,
                        help="of sealed bytes to live ones")
    add_settings(parser)
    options = parser.parse_args()
    settings = [f"compaction.interval={options.interval}", *options.settings]
    begin(options, f"{version(options.kvd)}, {', '.join(settings)}",
          f"{options.keys:,} keys stay, {options.cycles:,} cycles, "
          f"{options.window:,} short-lived keys at once\n")

    rows = []
    for number in range(options.rounds):
        with Server("kvd", options.dir,
                    kvd_arguments(options, *settings)) as kvd:
            row = measure(kvd, options)
        rows.append(row)
        print(f"  round {number + 1}: {row['cycles a second, k']:.1f} k "
              f"cycles/s, .seg files at most "
              f"{row['.seg files at their most meanwhile, MB']:,.0f} MB; "
              f"sealed : live {row['sealed : live, compacted']:.3f} compacted, "
              f"{row['sealed : live, restarted']:.3f} restarted, "
              f"{row['sealed : live, restarted and compacted']:.3f} both",
              flush=True)

    print(f"\n{options.rounds} rounds; MB of 10⁶ bytes; RSS is anonymous "
          "memory (RssAnon):\n")
    return 0 if table(rows, options.ratio_max) else 1


if __name__ == "__main__":
    sys.exit(main())
