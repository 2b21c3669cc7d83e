# SPDX-License-Identifier: MIT
"""A process that stands between TCP clients and servers of one machine, and is
as slow or as broken as a test wants.

    tcp_proxy.py SOCKET

Takes requests on the Unix socket, one JSON object in a line, and answers each
with one; the function of its "do" says what else is in it.

What is between two ends is a link. It passes everything on, or
  delays  each byte by so many ms, without losing rate;
  holds   everything, as a network does that drops packets: connections stay,
          and what was sent arrives once the link passes again;
  is cut  its connections are reset and new ones refused.

A link between peers, each of whom connects to the other, is the same in both
directions. Who has connected to a peer's port is known from /proc.
"""

import asyncio
import contextlib
import json
import os
import socket
import struct
import sys

CHUNK = 1 << 16
# What a direction holds before it stops reading; also while it delays.
CHUNKS_MAX = 256
# Until the process that has connected is announced.
OWNER_SECONDS_MAX = 10


class Link:
    """A way between two ends, and all connections on it."""

    def __init__(self):
        self.mode = "pass"
        self.delay = 0.0
        self.connections = set()
        self._changed = asyncio.Event()

    def set(self, mode, ms):
        self.mode = mode
        self.delay = ms / 1000 if mode == "delay" else 0.0
        self._changed.set()
        self._changed = asyncio.Event()
        if mode == "cut":
            for connection in list(self.connections):
                connection.reset()

    async def wait_to_pass(self, since):
        """Until it lets through what has come to it then."""
        clock = asyncio.get_running_loop().time
        while True:
            wait = None if self.mode == "hold" else since + self.delay - clock()
            if wait is not None and wait <= 0:
                return
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._changed.wait(), wait)


class Connection:
    """Both sides of one, with a task for each direction."""

    def __init__(self, link, client, server):
        self.link = link
        self.writers = (client[1], server[1])
        self.directions = (
            asyncio.ensure_future(self._copy(client[0], server[1])),
            asyncio.ensure_future(self._copy(server[0], client[1])))
        link.connections.add(self)

    async def run(self):
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await asyncio.gather(*self.directions)
        self.reset()

    def reset(self):
        self.link.connections.discard(self)
        for direction in self.directions:
            direction.cancel()
        for writer in self.writers:
            reset(writer)

    async def _copy(self, reader, writer):
        chunks = asyncio.Queue(CHUNKS_MAX)
        reading = asyncio.ensure_future(self._read(reader, chunks))
        try:
            while True:
                since, data = await chunks.get()
                await self.link.wait_to_pass(since)
                if not data:
                    writer.write_eof()
                    return
                writer.write(data)
                await writer.drain()
        finally:
            reading.cancel()

    async def _read(self, reader, chunks):
        while True:
            try:
                data = await reader.read(CHUNK)
            except OSError:
                self.reset()
                return
            await chunks.put((asyncio.get_running_loop().time(), data))
            if not data:
                return


def reset(writer):
    """Ends a connection with RST, so that nobody takes it for a good end."""
    raw = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                       struct.pack("ii", 1, 0))
    writer.transport.abort()


def bound(port=0):
    """A socket that is bound and does not listen: who connects is refused."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    raw.bind(("127.0.0.1", port))
    return raw


class Port:
    """A listening port that leads to a target."""

    def __init__(self, proxy, target, link=None, peer=None):
        self.proxy = proxy
        self.target = target
        self.link = link  # None: it depends on who connects to that peer.
        self.peer = peer
        # Keeps the port while nothing listens there.
        self.reserved = bound()
        self.number = self.reserved.getsockname()[1]
        self.server = None
        self.target_is_up = False

    async def listen_or_refuse(self):
        """Listens as long as a real server would be reached."""
        listens = self.target_is_up and not (self.link and
                                             self.link.mode == "cut")
        if listens and not self.server:
            self.server = await asyncio.start_server(
                self._accept, sock=bound(self.number), backlog=1024)
        elif not listens and self.server:
            self.server.close()
            self.server = None

    async def _accept(self, reader, writer):
        try:
            link = self.link or await self._link_of(writer)
            if link is None or link.mode == "cut":
                raise OSError
            target = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            reset(writer)
            return
        await Connection(link, (reader, writer), target).run()

    async def _link_of(self, writer):
        """That between the peer and whoever has connected to it."""
        port = writer.get_extra_info("peername")[1]
        for _ in range(OWNER_SECONDS_MAX * 100):
            owner = owner_of(port, self.number, self.proxy.pids)
            if owner:
                return self.proxy.peer_link(owner, self.peer)
            await asyncio.sleep(0.01)
        return None


def owner_of(port, to_port, pids):
    """Which of the named processes has the socket with these ports."""
    ends = (f"0100007F:{port:04X}", f"0100007F:{to_port:04X}")
    with open("/proc/net/tcp", encoding="ascii") as stream:
        rows = [line.split() for line in stream]
    inodes = {row[9] for row in rows if tuple(row[1:3]) == ends}
    for name, pid in pids.items():
        with contextlib.suppress(OSError):
            for entry in os.scandir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    target = os.readlink(entry.path)
                    if target[len("socket:["):-1] in inodes:
                        return name
    return None


class Proxy:

    def __init__(self):
        self.ports = []
        self.links = {}
        self.pids = {}

    def peer_link(self, one, other):
        return self._link("-".join(sorted((one, other))))

    def _link(self, name):
        return self.links.setdefault(name, Link())

    async def do_open(self, target, link=None, peer=None):
        """A new port that leads to the target port: over that link, or over the
        one between that peer and whoever connects."""
        port = Port(self, target, self._link(link) if link else None, peer)
        self.ports.append(port)
        await port.listen_or_refuse()
        return {"port": port.number}

    async def do_set(self, link, mode, ms=0):
        """What becomes of the bytes on a link."""
        self._link(link).set(mode, ms)
        await self._listen_or_refuse()
        return {}

    async def do_up(self, target, up, peer=None, pid=None):
        """Whether the target's process runs, and which a peer's is; who connects
        to one that does not is refused."""
        if peer:
            self.pids[peer] = pid
        for port in self.ports:
            if port.target == target:
                port.target_is_up = up
        await self._listen_or_refuse()
        return {}

    async def _listen_or_refuse(self):
        for port in self.ports:
            await port.listen_or_refuse()

    async def serve(self, reader, writer):
        while True:
            line = await reader.readline()
            if not line:
                return
            request = json.loads(line)
            answer = await getattr(self, f"do_{request.pop('do')}")(**request)
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()


async def main(path):
    server = await asyncio.start_unix_server(Proxy().serve, path)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
