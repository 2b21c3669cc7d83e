#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Memory that a key takes beside itself and its value.

    tests/bench/memory.py [--sizes 1,2,4,5,8,10] [--no-redis] [--kvd PATH]

Keys of 15 bytes are set once each, up to the first size, on to the second, and
so on. At each stop, once the figure is quiet, the server's anonymous memory
(RssAnon: without file pages, which the kernel can drop at any time) less that
of the empty server is divided by the keys; key and value are taken off. Hash
tables double, so a figure depends on where between two doublings it is taken:
hence the many sizes.

Beside it what kvd itself counts of keys, values and tables (INFO memory): the
rest is the allocator's and what buffers are left.
"""

import statistics

from bench import (Server, add_settings, begin, connect, key, kvd_arguments,
                   option_parser, redis_arguments, send, set_command, version)

KEY_BYTES = len(key(0))
COUNTED = {
    "kvd": ("kvd_entry_bytes", "kvd_value_bytes", "kvd_index_bytes"),
    "redis": ("used_memory",),
}
# At once on their way; enough commands, without large buffers in the server.
BATCH_BYTES = 256 << 10


def measure(server, sizes, value_bytes):
    """By size: bytes a key that the process takes, and that it counts."""
    value = b"v" * value_bytes
    batch = max(1, BATCH_BYTES // (KEY_BYTES + value_bytes))
    server.start()
    empty = server.quiet_memory_bytes()
    rows = []
    done = 0
    with connect(server.path) as client:
        for keys in sizes:
            send(client, (set_command(key(n), value)
                          for n in range(done, keys)), batch=batch)
            done = keys
            taken = (server.quiet_memory_bytes() - empty) / keys
            counted = sum(int(server.info(field, "memory"))
                          for field in COUNTED[server.name]) / keys
            rows.append((taken - KEY_BYTES - value_bytes,
                         counted - KEY_BYTES - value_bytes))
            print(f"    {keys:,} keys: {rows[-1][0]:.1f}", flush=True)
    return rows


def table(figures, sizes):
    """figures: by server, for each round, rows by size."""
    def median(name, index, column):
        return statistics.median(rows[index][column] for rows in figures[name])

    heads = ["Keys", "kvd, bytes", "by its own count"]
    if "redis" in figures:
        heads += ["Redis, bytes", "kvd : Redis"]
    print("| " + " | ".join(heads) + " |")
    print("|---" * len(heads) + "|")
    for index, keys in enumerate(sizes):
        ours = median("kvd", index, 0)
        cells = [f"{keys:,}", f"{ours:.1f}", f"{median('kvd', index, 1):.1f}"]
        if "redis" in figures:
            theirs = median("redis", index, 0)
            cells += [f"{theirs:.1f}", f"{ours / theirs:.2f}"]
        print("| " + " | ".join(cells) + " |")


def millions(text):
    return sorted(round(float(word) * 1e6) for word in text.split(","))


def main():
    parser = option_parser(__doc__.splitlines()[0], rounds=3)
    parser.add_argument("--sizes", type=millions, default="1,2,4,5,8,10",
                        help="millions of keys, separated by commas")
    parser.add_argument("--value-bytes", type=int, default=100)
    parser.add_argument("--no-redis", action="store_true")
    add_settings(parser)
    options = parser.parse_args()

    servers = {"kvd": kvd_arguments(options, *options.settings)}
    versions = [", ".join([version(options.kvd), *options.settings])]
    if not options.no_redis:
        servers["redis"] = redis_arguments("everysec")
        versions.append(f"{version('redis-server')}, appendonly yes")
    begin(options, *versions, f"keys of {KEY_BYTES} bytes, values of "
          f"{options.value_bytes}\n")

    figures = {name: [] for name in servers}
    for number in range(options.rounds):
        for name in list(servers)[::-1 if number % 2 else 1]:
            print(f"  round {number + 1} {name}, bytes a key:", flush=True)
            with Server(name, options.dir, servers[name]) as server:
                figures[name].append(
                    measure(server, options.sizes, options.value_bytes))

    print("\nAnonymous memory a key, beside key and value, medians of "
          f"{options.rounds} rounds:\n")
    table(figures, options.sizes)


if __name__ == "__main__":
    main()
