#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What writers feel of a backup: SETs of 16 clients beside one.

A million keys, values of 100 bytes, every write on disk before its OK. Rounds
without and with a backup take turns; with it, one follows another.
"""

import os
import statistics
import subprocess
import tempfile
import threading

from bench import Server, begin, kvd_arguments, option_parser

KEYS = 1_000_000
WRITERS = ["redis-benchmark", "-t", "set", "-d", "100", "-r", str(KEYS)]


class BackingUp:
    """Backups again and again for as long as it is entered."""

    def __init__(self, path, kvctl, folder):
        self.words = [kvctl, "--socket", path, "backup",
                      os.path.join(folder, "backup")]
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
        while not self.ended:
            subprocess.run(self.words, check=True, stdout=subprocess.DEVNULL)
            self.runs += 1


def write(path, count):
    """(SETs a second, median in ms, 99th percentile in ms)."""
    result = subprocess.run(
        [*WRITERS, "-s", path, "-c", "16", "-n", str(count), "--csv"],
        check=True, capture_output=True, text=True)
    head, figures = (line.replace('"', "").split(",")
                     for line in result.stdout.splitlines()[-2:])
    row = dict(zip(head, figures))
    return (float(row["rps"]), float(row["p50_latency_ms"]),
            float(row["p99_latency_ms"]))


def main():
    parser = option_parser(__doc__.splitlines()[0])
    parser.add_argument("--writes", type=int, default=200_000)
    options = parser.parse_args()
    begin(options, "")
    kvctl = os.path.join(os.path.dirname(options.kvd), "kvctl")

    tails = {False: [], True: []}
    with (Server("kvd", options.dir, kvd_arguments(options)) as kvd,
          tempfile.TemporaryDirectory(dir=options.dir) as folder):
        kvd.start()
        subprocess.run([*WRITERS, "-q", "-s", kvd.path, "-c", "50", "-P", "16",
                        "-n", str(3 * KEYS)], check=True,
                       stdout=subprocess.DEVNULL)
        for number in range(options.rounds):
            for with_backup in (False, True):
                runs = 0
                if with_backup:
                    with BackingUp(kvd.path, kvctl, folder) as backups:
                        rate, median, tail = write(kvd.path, options.writes)
                    runs = backups.runs
                else:
                    rate, median, tail = write(kvd.path, options.writes)
                tails[with_backup].append(tail)
                print(f"  round {number + 1}, {'with' if with_backup else 'no'}"
                      f" backup: {rate:,.0f} /s, p50 {median:.3f} ms, "
                      f"p99 {tail:.3f} ms"
                      f"{f', {runs} backups' if runs else ''}", flush=True)

    without = statistics.median(tails[False])
    beside = statistics.median(tails[True])
    print(f"\np99, medians of {options.rounds} rounds: {without:.3f} ms without "
          f"a backup, {beside:.3f} ms with one: {beside / without:.2f} x")


if __name__ == "__main__":
    main()
