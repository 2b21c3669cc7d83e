#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""kvd beside redis-server, and beside what the machine allows at all.

    tests/bench/compare.py [--rows GLOB,…] [--rounds 5] [--quick] [--list]
                           [--json FILE] [--stolen-max PERCENT]
                           [--before KVD]

A person runs this on an idle machine; CI does not, since its figures would mean
nothing there. Without --rows it measures the rows of "targets", with "units",
"matrix", "sustained", "growth" or "all" those sets, and else the rows whose
names match: --rows 'set-*-50x16-*,kvctl-get'.

kvd has its defaults, and the limits on system calls of systemd's unit (--form
plain: none): every write is on disk before its OK. "Redis" does the
same (appendfsync always); "everysec" and "no" are Redis promising less. The
ceiling parses commands and answers constants (kvd_ceiling): what it takes is
what the sockets cost any server here. Its throughput bounds nobody where the
load generator is the bottleneck, as with one command in flight: kvd has been
measured ahead of it there. All serve Unix sockets and keep their files on the
same file system, and redis-benchmark loads them. A name like
set-always-50x16-100B-1M says 50 clients with 16 commands in flight each, values
of 100 bytes, and keys drawn from a million that are all there; with "new" the
keys are not there yet. Server CPU is a command's, of all the server's threads.

"Stolen" is what the host of a virtual machine kept of the processors' busy time
while a side was under load: a measurement that lost much says little of its
server. With --stolen-max it is made again, up to four times in all, and the one
that lost least counts; what no repetition escapes is in the table.

With --before each row has two sides: kvd, and the earlier build named there,
whose targets are what a change may cost. Only rows that have a target are run.

The table has medians, and ratios taken within each round with their extremes.
The exit code is 1 when a target is missed.
"""

import fnmatch
import json
import sys

from bench import begin, machine, option_parser, version
from rows import table
from rows.before import beside_before
from rows.sets import SETS, unique

QUICK_SCALE = 0.1
QUICK_ROUNDS = 2


def chosen(text):
    every = unique(SETS["all"])
    rows = {}
    for word in text.split(","):
        some = (unique(SETS[word]) if word in SETS else
                {name: row for name, row in every.items()
                 if fnmatch.fnmatchcase(name, word)})
        if not some:
            sys.exit(f"no row is called {word}; --list --rows all shows them; "
                     f"sets are {', '.join(SETS)}")
        rows.update((name, every[name]) for name in some)
    return list(rows.values())


def show_list(rows, options):
    for row in rows:
        print(f"{row.name}  (about {row.all_seconds(options):.0f} s)")
        for target in row.targets:
            print(f"    {target.figure} {target}")


def parse():
    parser = option_parser(__doc__.splitlines()[0])
    parser.add_argument("--rows", default="targets", metavar="GLOB[,GLOB]",
                        help="names, or one of the sets " + ", ".join(SETS))
    parser.add_argument("--quick", action="store_true",
                        help="a tenth of the work, two rounds: to try things, "
                        "not to quote them")
    parser.add_argument("--list", action="store_true",
                        help="only show the rows and their targets")
    parser.add_argument("--stolen-max", type=float, default=100,
                        metavar="PERCENT",
                        help="measure again where the host stole more")
    parser.add_argument("--json", metavar="FILE", help="all rounds, for tools")
    parser.add_argument("--before", metavar="KVD",
                        help="measure beside this earlier build instead")
    options = parser.parse_args()
    options.scale = 1
    if options.quick:
        options.scale = QUICK_SCALE
        options.rounds = min(options.rounds, QUICK_ROUNDS)
    return options


def main():
    options = parse()
    rows = chosen(options.rows)
    if options.before:
        rows = [beside_before(row, options.before) for row in rows
                if row.targets]
    minutes = sum(row.all_seconds(options) for row in rows) / 60
    if options.list:
        show_list(rows, options)
        return 0
    versions = [f"{version(options.kvd)}, defaults",
                f"before: {version(options.before)}" if options.before else
                f"{version('redis-server')}, appendonly yes"]
    begin(options, *versions, f"{len(rows)} rows, {options.rounds} rounds"
          f"{', quick' if options.quick else ''}: about {minutes:.0f} minutes")

    results = []
    for row in rows:
        print(f"\n{row.name}: {row.what(options.scale)}", flush=True)
        results.append((row, row.run(options)))
        if options.json:
            # After each row, so that a run cut short leaves what it has.
            write_json(options, versions, results)

    print(f"\n{machine()}; medians of {options.rounds} interleaved rounds:\n")
    table.show(results)
    missed = [f"{row.name}: {target.figure} {target}"
              for row, rounds in results for target in row.targets
              if target.verdict(rounds) == "NO"]
    if missed:
        print("\nMissed:", *missed, sep="\n  ")
    return 1 if missed else 0


def write_json(options, versions, results):
    with open(options.json, "w", encoding="utf-8") as stream:
        json.dump({
            "machine": machine(), "versions": versions,
            "command": sys.argv, "quick": options.quick,
            "rounds": options.rounds,
            "rows": [row.as_json(rounds, options.scale)
                     for row, rounds in results]}, stream, indent=1)
        stream.write("\n")


if __name__ == "__main__":
    sys.exit(main())
