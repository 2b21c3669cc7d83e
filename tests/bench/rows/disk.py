# SPDX-License-Identifier: MIT
"""Rows of the comparison for the disk alone, which bounds every durable write.

One durable write follows the other over a file that was zeroed before, so that
none changes the file system's metadata: with pwrite and fdatasync, and with a
single write past the page cache (O_DIRECT | O_DSYNC).
"""

import contextlib
import dataclasses
import mmap
import os
import tempfile
import time

from rows.row import Row

FILE_BYTES = 64 << 20
SECONDS = 2.0


class Probe:
    """A zeroed file, gone at the end."""

    def __init__(self, folder):
        self.folder = folder

    def __enter__(self):
        handle, self.path = tempfile.mkstemp(prefix="disk-", dir=self.folder)
        with open(handle, "wb") as stream:
            stream.write(bytes(FILE_BYTES))
            stream.flush()
            os.fsync(stream.fileno())
        return self

    def __exit__(self, *_):
        os.unlink(self.path)

    def run(self, size, direct, seconds=SECONDS):
        """Writes a second, and their latencies in ms."""
        flags = os.O_WRONLY | (os.O_DIRECT | os.O_DSYNC if direct else 0)
        with mmap.mmap(-1, size) as block:  # At a page, as O_DIRECT wants it.
            block.write(b"v" * size)
            handle = os.open(self.path, flags)
            try:
                latencies = self.write(handle, block, direct, seconds)
            finally:
                os.close(handle)
        ordered = sorted(latencies)
        return {"throughput_rps": len(ordered) / sum(ordered),
                "p50_ms": ordered[len(ordered) // 2] * 1e3,
                "p99_ms": ordered[len(ordered) * 99 // 100] * 1e3}

    @staticmethod
    def write(handle, block, direct, seconds):
        latencies = []
        offset = 0
        end = time.perf_counter() + seconds
        while (began := time.perf_counter()) < end:
            os.pwritev(handle, [block], offset)
            if not direct:
                os.fdatasync(handle)
            latencies.append(time.perf_counter() - began)
            offset = (offset + len(block)) % FILE_BYTES
        return latencies


@dataclasses.dataclass(frozen=True)
class RawDisk(Row):
    block_bytes: int
    sides = ("pwrite + fdatasync", "O_DIRECT + O_DSYNC")

    @property
    def name(self):
        return f"disk-{self.block_bytes >> 10}KiB"

    def what(self, scale):
        return f"{SECONDS * scale} s of writes of {self.block_bytes} bytes"

    def seconds(self, scale):
        return len(self.sides) * SECONDS * scale

    @contextlib.contextmanager
    def prepared(self, options):
        with Probe(options.dir) as probe:
            def measure(direct):
                return lambda: probe.run(self.block_bytes, direct,
                                         SECONDS * options.scale)
            yield dict(zip(self.sides, (measure(False), measure(True))))
