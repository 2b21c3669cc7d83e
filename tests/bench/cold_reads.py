#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""More data than memory: what kvd takes, reads and writes beyond its cache.

    tests/bench/cold_reads.py [--total 4GiB] [--value-cache 64MiB] [--kvd PATH]

The keys are set once, in order. Then each round does these, medians count:

1. Random GETs of one client and of 32 (redis-benchmark), each from a dropped
   page cache, beside random direct reads of the same files by 1 and 32
   processes, and GETs of hot keys by 32 clients. How much 32 at once can gain
   is said by the disk, and by the one thread that serves: a cold GET takes at
   least its time for a hot one and the time of a processor for a direct read.
2. A client that reads a few hot keys in a loop: alone, beside a client that
   also reads hot ones, and beside one that reads cold ones from a dropped page
   cache. The second shows what sharing the processors costs without the disk.
3. SETs of 50 clients, 16 in flight each, over the same keys, beside pwrite and
   fdatasync of as many bytes at a time into a file that is allocated and
   written already. A disk may be quicker than the one thread that serves: that
   has to set at least as many values as it gets hot ones by 32 clients.

Memory is anonymous memory (RssAnon), after loading and after the random GETs.
It may be the value cache, what INFO memory says of index and entries without
their values, and 64 MiB.

Compaction and scrub are off: only clients read and write. The page cache is
dropped by posix_fadvise and, where too much of it stays, as root by
drop_caches. The exit code is 1 if a limit does not hold. At its fullest the
disk holds all values and what the rounds set: 9 GiB and more by default.
"""

import concurrent.futures
import contextlib
import mmap
import multiprocessing
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time

from bench import (Server, add_settings, begin, benchmark, busy_seconds,
                   connect, kvd_arguments, option_parser, receive, send,
                   set_command, size, version)

SPARE_BYTES = 64 << 20
READERS = 32
WRITERS = 50
PIPELINE = 16
HOT_KEYS = 16
# What so many readers gain where the disk and one thread allow it.
GAIN = 8
CHECKS = 1000
# Of direct reads and of pages.
BLOCK = 4096
# Of the page cache, after it was dropped.
CACHED_SHARE_MAX = 0.05
CACHE_SAMPLES = 256
RAW_FILE_BYTES = 256 << 20
RAW_WRITE_BYTES_MAX = 64 << 20
MIB = 1 << 20


def key(number):
    return b"key:%012d" % number


def value(number, value_bytes):
    return (b"%d." % number).ljust(value_bytes, b"v")


def bulk(data):
    return b"$%d\r\n%b\r\n" % (len(data), data)


# --- The disk -----------------------------------------------------------------


def cached_share(paths):
    """Of some random pages, which share is in the page cache."""
    cached = 0
    for path in random.choices(paths, k=CACHE_SAMPLES):
        file = os.open(path, os.O_RDONLY)
        try:
            # Else asking reads ahead.
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_RANDOM)
            pages = max(1, os.fstat(file).st_size // BLOCK)
            offset = random.randrange(pages) * BLOCK
            os.preadv(file, [bytearray(1)], offset, os.RWF_NOWAIT)
            cached += 1
        except BlockingIOError:
            pass
        finally:
            os.close(file)
    return cached / CACHE_SAMPLES


def drop_page_cache(paths):
    for path in paths:
        file = os.open(path, os.O_RDONLY)
        try:
            # Only clean pages can go.
            os.fdatasync(file)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(file)
    if cached_share(paths) <= CACHED_SHARE_MAX:
        return
    try:
        with open("/proc/sys/vm/drop_caches", "w", encoding="utf-8") as stream:
            stream.write("1")
    except OSError as error:
        print(f"  drop_caches: {error.strerror}")
    share = cached_share(paths)
    if share > CACHED_SHARE_MAX:
        print(f"  {share:.0%} of the page cache stays: reads are not cold")


def read_raw(paths, read_bytes, seconds, seed):
    """Random direct reads a second."""
    chance = random.Random(seed)
    # Direct reads need aligned memory.
    with mmap.mmap(-1, read_bytes) as buffer, contextlib.ExitStack() as stack:
        places = []
        for path in paths:
            file = os.open(path, os.O_RDONLY | os.O_DIRECT)
            stack.callback(os.close, file)
            room = os.fstat(file).st_size - read_bytes
            places.append((file, room // BLOCK))
        count = 0
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            file, blocks = chance.choice(places)
            os.preadv(file, [buffer], chance.randrange(blocks + 1) * BLOCK)
            count += 1
        return count / (time.monotonic() - began)


def read_raw_at_once(readers, paths, read_bytes, seconds):
    # Not threads: they would share one interpreter lock.
    with concurrent.futures.ProcessPoolExecutor(
            readers, multiprocessing.get_context("fork")) as pool:
        return sum(pool.map(read_raw, *zip(*(
            (paths, read_bytes, seconds, seed) for seed in range(readers)))))


class RawFile:
    """A file for sequential writes, allocated and written once before."""

    def __init__(self, folder):
        self.file, self.path = tempfile.mkstemp(prefix="raw-", dir=folder)

    def __enter__(self):
        zeros = bytes(MIB)
        for _ in range(RAW_FILE_BYTES // MIB):
            os.write(self.file, zeros)
        os.fsync(self.file)
        return self

    def __exit__(self, *_):
        os.close(self.file)
        os.unlink(self.path)

    def write(self, write_bytes, seconds):
        """Bytes a second, by pwrite and fdatasync of so many at a time."""
        data = os.urandom(write_bytes)
        offset = written = 0
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            if offset + write_bytes > RAW_FILE_BYTES:
                offset = 0
            os.pwrite(self.file, data, offset)
            os.fdatasync(self.file)
            offset += write_bytes
            written += write_bytes
        return written / (time.monotonic() - began)


# --- kvd ----------------------------------------------------------------------


class Store:
    """kvd with its values, and what is asked of it."""

    def __init__(self, server, options):
        self.server = server
        self.value_bytes = options.value_bytes
        self.keys = options.total // options.value_bytes
        self.words = ["-r", str(self.keys), "-d", str(options.value_bytes)]

    def load(self):
        """MB a second."""
        began = time.monotonic()
        with connect(self.server.path) as client:
            send(client, (set_command(key(n), value(n, self.value_bytes))
                          for n in range(self.keys)),
                 batch=max(1, MIB // self.value_bytes))
        return self.keys * self.value_bytes / 1e6 / (time.monotonic() - began)

    def check_some(self):
        """That values which were read back from the disk are the right ones."""
        self.drop_page_cache()
        with connect(self.server.path) as client:
            for number in random.choices(range(self.keys), k=CHECKS):
                wanted = bulk(value(number, self.value_bytes))
                client.sendall(b"GET %b\r\n" % key(number))
                if receive(client, len(wanted)) != wanted:
                    sys.exit(f"a wrong value for {key(number)!r}")

    def drop_page_cache(self):
        drop_page_cache(list(self.server.files(".seg")))

    def files_with_values(self):
        """Segments that have to be read, without the active one's rest and the
        next one, which may be read faster: nothing was written there."""
        sizes = self.server.files(".seg")
        return sorted(sizes)[:max(1, len(sizes) - 2)]

    def get_random(self, clients, reads):
        """GETs a second; bytes that kvd read from the disk meanwhile; and µs
        that kvd worked: by each."""
        self.server.wait_for_hints()
        self.drop_page_cache()
        before = self.server.disk_bytes_read()
        cpu = self.server.cpu_seconds()
        rate = benchmark(self.server.path, "-t", "get", "-c", str(clients),
                         "-n", str(reads), *self.words)["rps"]
        return (rate, (self.server.disk_bytes_read() - before) / reads,
                (self.server.cpu_seconds() - cpu) / reads * 1e6)

    def hot_get_cpu(self, clients, reads):
        """Microseconds that kvd works for each GET of a few keys."""
        words = ["-t", "get", "-c", str(clients), "-r", str(HOT_KEYS), "-d",
                 str(self.value_bytes)]
        benchmark(self.server.path, *words, "-n", "1000")
        before = self.server.cpu_seconds()
        benchmark(self.server.path, *words, "-n", str(reads))
        return (self.server.cpu_seconds() - before) / reads * 1e6

    @contextlib.contextmanager
    def other_reader(self, keys):
        """A client that reads random ones of so many keys."""
        reader = subprocess.Popen(
            ["redis-benchmark", "-s", self.server.path, "-t", "get", "-c", "1",
             "-n", "1000000000", "-q", "-r", str(keys)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            yield
            if reader.poll() is not None:
                sys.exit("the other reader has ended")
        finally:
            reader.kill()
            reader.wait()

    def get_hot(self, seconds):
        """Rate, and latencies in ms, of one client that reads a few keys."""
        wanted = len(bulk(bytes(self.value_bytes)))
        commands = [b"GET %b\r\n" % key(random.randrange(self.keys))
                    for _ in range(HOT_KEYS)]
        latencies = []
        with connect(self.server.path) as client:
            for command in commands * 2:
                client.sendall(command)
                receive(client, wanted)
            end = time.perf_counter() + seconds
            while time.perf_counter() < end:
                for command in commands:
                    began = time.perf_counter()
                    client.sendall(command)
                    receive(client, wanted)
                    latencies.append((time.perf_counter() - began) * 1e3)
        latencies.sort()
        return {"rate": len(latencies) / seconds,
                "p50": latencies[len(latencies) // 2],
                "p99": latencies[len(latencies) * 99 // 100]}

    def set_sustained(self, bytes_to_set):
        """SETs a second."""
        requests = max(1000, bytes_to_set // self.value_bytes)
        return benchmark(self.server.path, "-t", "set", "-c", str(WRITERS),
                         "-P", str(PIPELINE), "-n", str(requests),
                         *self.words)["rps"]

    def index_and_entries(self):
        """Bytes that INFO memory names, values left out."""
        return sum(int(self.server.info(field, "memory"))
                   for field in ("kvd_index_bytes", "kvd_entry_bytes"))


def measure(store, raw, options):
    """One round's figures."""
    row = {}
    for clients, reads in ((1, options.reads), (READERS, 4 * options.reads)):
        (row[f"get {clients}"], row[f"read {clients}"],
         row[f"cpu {clients}"]) = store.get_random(clients, reads)
    row["hot cpu"] = store.hot_get_cpu(READERS, 10 * options.reads)
    row["memory"] = store.server.quiet_memory_bytes()

    read_bytes = -(-options.value_bytes // BLOCK) * BLOCK
    for readers in (1, READERS):
        busy = busy_seconds()
        row[f"raw {readers}"] = read_raw_at_once(
            readers, store.files_with_values(), read_bytes, options.seconds)
        row["raw cpu"] = (busy_seconds() - busy) * 1e6 / (
            row[f"raw {readers}"] * options.seconds)

    def add_hot(beside):
        for name, figure in store.get_hot(options.seconds).items():
            row[f"{beside} {name}"] = figure

    add_hot("alone")
    with store.other_reader(HOT_KEYS):
        add_hot("hot")
    store.drop_page_cache()
    with store.other_reader(store.keys):
        add_hot("cold")

    row["set"] = store.set_sustained(options.set_bytes)
    in_flight = WRITERS * PIPELINE * options.value_bytes
    row["raw write"] = raw.write(min(in_flight, RAW_WRITE_BYTES_MAX),
                                 options.seconds)
    return row


# --- The table ----------------------------------------------------------------


class Table:
    def __init__(self):
        self.all_hold = True
        print("| What | Measured | Limit | Holds |")
        print("|---|---|---|---|")

    @staticmethod
    def row(what, measured):
        print(f"| {what} | {measured} | | |")

    def limited(self, what, figure, relation, limit, form, why=""):
        holds = figure <= limit if relation == "≤" else figure >= limit
        self.all_hold = self.all_hold and holds
        print(f"| {what} | {figure:{form}} | {relation} {limit:{form}}{why} | "
              f"{'yes' if holds else 'NO'} |")


def report(rows, loaded, options):
    """Prints the table; whether all limits hold."""
    def median(name):
        return statistics.median(row[name] for row in rows)

    table = Table()
    cache = options.value_cache or 0
    limit = (cache + loaded["index and entries"] + SPARE_BYTES) / MIB
    why = (f": cache {cache / MIB:,.0f}, index and entries "
           f"{loaded['index and entries'] / MIB:,.0f}, {SPARE_BYTES >> 20}")
    table.limited("memory after loading, MiB", loaded["memory"] / MIB, "≤",
                  limit, ",.0f", why)
    table.limited("memory after random GETs, MiB", median("memory") / MIB, "≤",
                  limit, ",.0f", why)
    table.row("loading by one client, MB/s", f"{loaded['rate']:,.0f}")

    many = f"{READERS}"
    for clients in ("1", many):
        table.row(f"random GETs from a dropped page cache, clients: {clients}; "
                  "/s", f"{median('get ' + clients):,.0f}")
        table.row("read from the disk meanwhile, KiB a GET",
                  f"{median('read ' + clients) / 1024:,.1f}")
    for readers in ("1", many):
        table.row(f"the disk's direct random reads, at once: {readers}; /s",
                  f"{median('raw ' + readers):,.0f}")
    for name, what in (("raw cpu", f"a direct read, {many} at once"),
                       ("hot cpu", f"a hot GET, {many} at once, in kvd"),
                       (f"cpu {many}", f"a cold GET, {many} at once, in kvd")):
        table.row(f"processor time of {what}, µs",
                  f"{median(name):.1f}")
    disk = median("raw " + many) / median("raw 1")
    thread = 1e6 / (median("raw cpu") + median("hot cpu")) / median("get 1")
    table.limited(f"random GETs, {many} : 1",
                  median("get " + many) / median("get 1"), "≥",
                  min(GAIN, options.gain_min * min(disk, thread)), ".2f",
                  f": {GAIN}, or {options.gain_min:g} of what the disk "
                  f"({disk:.2f}) and one thread ({thread:.2f}) allow")

    for beside, what in (("alone", "hot GETs alone"),
                         ("hot", "beside a hot reader"),
                         ("cold", "beside a cold reader")):
        table.row(f"{what}, /s", f"{median(beside + ' rate'):,.0f}")
        if beside != "cold":
            table.row("their p50, ms", f"{median(beside + ' p50'):.3f}")
            table.row("their p99, ms", f"{median(beside + ' p99'):.3f}")
    # One that waits for others' reads waits for half of one and more.
    read_ms = 1e3 / median("raw 1")
    table.limited("their p50, ms", median("cold p50"), "≤",
                  median("hot p50") + read_ms / 2, ".3f",
                  ": beside a hot reader, and half a direct read")
    table.limited("their p99, ms", median("cold p99"), "≤",
                  max(read_ms, options.p99_max * median("hot p99")), ".3f",
                  f": a direct read, or {options.p99_max:g} × beside a hot "
                  "reader")

    written = median("set") * options.value_bytes / 1e6
    raw = median("raw write") / 1e6
    table.row(f"SETs of {WRITERS} clients × {PIPELINE}, /s",
              f"{median('set'):,.0f}")
    thread = options.value_bytes / median("hot cpu")
    table.limited("their values, MB/s", written, "≥",
                  min(options.write_min * raw, thread), ",.0f",
                  f": {options.write_min:g} of the disk's {raw:,.0f}, or what "
                  f"one thread gives as hot GETs ({thread:,.0f})")
    return table.all_hold


def options_of_the_command_line():
    parser = option_parser(__doc__.splitlines()[0], rounds=5)
    parser.add_argument("--value-bytes", type=int, default=4096)
    parser.add_argument("--total", type=size, default="4GiB",
                        help="bytes of all values")
    parser.add_argument("--value-cache", type=lambda text: text and size(text),
                        default="64MiB", help="kvd's memory.value_cache; "
                        "empty: the setting is not given, and counts as 0")
    parser.add_argument("--reads", type=int, default=20_000,
                        help="random GETs of a round, per number of clients")
    parser.add_argument("--seconds", type=float, default=3,
                        help="of each measurement that ends by time")
    parser.add_argument("--set-bytes", type=size, default="1GiB",
                        help="of values that a round sets")
    parser.add_argument("--gain-min", type=float, default=0.7,
                        help=f"what {READERS} clients gain over one, as a "
                        "share of what the disk and one thread allow")
    parser.add_argument("--p99-max", type=float, default=2,
                        help="of hot GETs beside a cold reader, to beside a "
                        "hot one")
    parser.add_argument("--write-min", type=float, default=0.4,
                        help="of values set, to the disk's rate: it waits for "
                        "nobody between its writes, and writes no keys, hints "
                        "and zeros")
    add_settings(parser)
    return parser.parse_args()


def main():
    options = options_of_the_command_line()
    settings = ["compaction.interval=0s", "scrub.interval=0s"]
    if options.value_cache:
        settings.append(f"memory.value_cache={options.value_cache}B")
    settings += options.settings
    begin(options, f"{version(options.kvd)}, sync always, "
          f"{', '.join(settings)}", version("redis-benchmark"),
          f"{options.total // options.value_bytes:,} values of "
          f"{options.value_bytes:,} bytes\n")

    rows = []
    with RawFile(options.dir) as raw, Server("kvd", options.dir, kvd_arguments(
            options, *settings)) as kvd:
        kvd.start()
        store = Store(kvd, options)
        loaded = {"rate": store.load(), "memory": kvd.quiet_memory_bytes(),
                  "index and entries": store.index_and_entries()}
        print(f"  loaded, {loaded['rate']:,.0f} MB/s, "
              f"{loaded['memory'] / MIB:,.0f} MiB of memory", flush=True)
        store.check_some()
        for number in range(options.rounds):
            rows.append(measure(store, raw, options))
            print(f"  round {number + 1}: " + ", ".join(
                f"{name} {figure:,.3f}" if figure < 100 else
                f"{name} {figure:,.0f}"
                for name, figure in rows[-1].items()), flush=True)

    print(f"\nMedians of {options.rounds} rounds; memory is anonymous "
          "(RssAnon):\n")
    return 0 if report(rows, loaded, options) else 1


if __name__ == "__main__":
    sys.exit(main())
