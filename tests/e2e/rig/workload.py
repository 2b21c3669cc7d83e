# SPDX-License-Identifier: MIT
"""Clients that write, on one kvd or on several with the same data, what can be
checked afterwards: that nothing acknowledged was lost, nothing was done twice,
and no read showed what had been replaced before it was asked.

What a client is told counts. An error that begins with TRYAGAIN says that
nothing was done; after any other, and after a connection that broke, nobody
knows.
"""

import collections
import contextlib
import random
import threading
import time

from harness import Closed, Connection, ReplyError, SECONDS_MAX

COUNTERS = 3
ACCOUNTS = 4
SUM = 1000
# Tokens that a client adds to one key before it takes the next, so that no
# value grows large.
TOKENS_MAX = 100


class NotDone(Exception):
    """The command was refused and has changed nothing."""


class Unknown(Exception):
    """Nobody knows what became of the command."""


class Client:
    """One connection, which is made again when it breaks."""

    def __init__(self, path, number, seed):
        self.path = path
        self.number = number
        self.random = random.Random(f"{seed}/{number}")
        # The longest time without a command that was done, and when the newest
        # one was.
        self.gap = 0.0
        self.newest = time.monotonic()
        self._connection = None

    def call(self, *words):
        """A command's reply. Raises NotDone or Unknown."""
        return self.calls([words])[0]

    def calls(self, commands):
        """The replies of a pipeline."""
        try:
            if self._connection is None:
                self._connection = Connection(self.path, SECONDS_MAX)
        except OSError as error:
            raise NotDone(str(error)) from error
        try:
            replies = self._connection.pipeline(commands)
        except (OSError, Closed) as error:
            self.close()
            raise Unknown(repr(error)) from error
        for reply in replies:
            if isinstance(reply, ReplyError):
                # A transaction or WATCH may be open.
                self.close()
                if reply.startswith(("TRYAGAIN", "LOADING")):
                    raise NotDone(reply)
                raise Unknown(reply)
        now = time.monotonic()
        self.gap = max(self.gap, now - self.newest)
        self.newest = now
        return replies

    def close(self):
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Register:
    """Each client writes growing numbers to a key of its own, and reads those of
    others."""

    def __init__(self):
        self.sent = collections.Counter()   # Of each client: the newest number,
        self.acked = collections.Counter()  # and the newest that was answered.

    def step(self, client):
        if client.random.random() < 0.5:
            self._write(client)
        else:
            self._read(client, client.random.choice(list(self.sent) or [0]))

    def _write(self, client):
        self.sent[client.number] += 1
        number = self.sent[client.number]
        client.call("SET", f"register:{client.number}", number)
        self.acked[client.number] = number

    def _read(self, client, other):
        least = self.acked[other]
        value = int(client.call("GET", f"register:{other}") or 0)
        assert least <= value <= self.sent[other], (
            f"register {other} was {value} when at least {least} was there and "
            f"{self.sent[other]} was the newest")

    def check(self, client):
        for other in self.sent:
            self._read(client, other)


class Numbers:
    """What the users of a counter were told: no number twice, and each above
    those that others had got before it was asked for."""

    def __init__(self):
        self._told = []  # (asked, told, number)
        self._unknown = []

    def add(self, asked, number):
        self._told.append((asked, time.monotonic(), number))

    def add_unknown(self):
        self._unknown.append(None)  # Which is one step, unlike adding 1.

    def check(self, final):
        numbers = [number for _, _, number in self._told]
        assert len(set(numbers)) == len(numbers), "a number was told twice"
        told = sorted(self._told, key=lambda one: one[1])
        highest, at = 0, 0
        for asked, _, number in sorted(self._told):
            while at < len(told) and told[at][1] < asked:
                highest = max(highest, told[at][2])
                at += 1
            assert number > highest, (
                f"{number} was told to who asked after {highest} was told")
        most = len(numbers) + len(self._unknown)
        assert len(numbers) <= final <= most, (
            f"{final} after {len(numbers)} that were told and "
            f"{len(self._unknown)} of which nobody knows")
        assert final >= max(numbers, default=0)


class Counter:
    """All clients count up the same keys with INCR."""

    def __init__(self):
        self.numbers = [Numbers() for _ in range(COUNTERS)]

    def step(self, client):
        which = client.random.randrange(COUNTERS)
        asked = time.monotonic()
        try:
            number = client.call("INCR", f"counter:{which}")
        except Unknown:
            self.numbers[which].add_unknown()
            raise
        self.numbers[which].add(asked, number)

    def check(self, client):
        for which, numbers in enumerate(self.numbers):
            numbers.check(int(client.call("GET", f"counter:{which}") or 0))


class Conditional:
    """All clients count up the same keys, if they are as they were read."""

    def __init__(self):
        self.numbers = [Numbers() for _ in range(COUNTERS)]

    def step(self, client):
        which = client.random.randrange(COUNTERS)
        key = f"conditional:{which}"
        asked = time.monotonic()
        found = client.call("KV.GET", key)
        number = 1 + int(found[0] if found else 0)
        condition = ("IFREV", found[1]) if found else ("NX",)
        try:
            revision = client.call("KV.SET", key, number, *condition)
        except Unknown:
            self.numbers[which].add_unknown()
            raise
        if revision is not None:
            self.numbers[which].add(asked, number)

    def check(self, client):
        for which, numbers in enumerate(self.numbers):
            numbers.check(int(client.call("GET", f"conditional:{which}") or 0))


class Append:
    """All clients add tokens to the same keys: each is there once."""

    def __init__(self):
        self.sent = collections.Counter()
        self.acked = set()
        self.unknown = set()

    def step(self, client):
        number = self.sent[client.number]
        self.sent[client.number] += 1
        token = (client.number, number)
        try:
            client.call("APPEND", self._key(number),
                        f"{client.number}.{number} ")
        except Unknown:
            self.unknown.add(token)
            raise
        self.acked.add(token)

    @staticmethod
    def _key(number):
        return f"append:{number // TOKENS_MAX}"

    def check(self, client):
        found = []
        for number in range(0, 1 + max(self.sent.values(), default=0),
                            TOKENS_MAX):
            words = (client.call("GET", self._key(number)) or b"").split()
            found += [tuple(int(part) for part in word.split(b"."))
                      for word in words]
        assert len(set(found)) == len(found), "something was appended twice"
        lost = self.acked - set(found)
        assert not lost, f"appended and lost: {sorted(lost)}"
        strange = set(found) - self.acked - self.unknown
        assert not strange, f"appended although refused: {sorted(strange)}"
        for number in self.sent:
            own = [token for token in found if token[0] == number]
            assert own == sorted(own), f"client {number}: out of order"


class Transfer:
    """Transactions move amounts between accounts, whose sum stays."""

    def __init__(self):
        self.keys = [f"account:{number}" for number in range(ACCOUNTS)]

    def prepare(self, client):
        for key in self.keys:
            client.call("SET", key, SUM // ACCOUNTS)

    def step(self, client):
        if client.random.random() < 0.4:
            self.check(client)
            return
        one, other = client.random.sample(self.keys, 2)
        amount = client.random.randint(1, 50)
        _, values = client.calls([("WATCH", one, other), ("MGET", one, other)])
        client.calls([("MULTI",),
                      ("SET", one, int(values[0]) - amount),
                      ("SET", other, int(values[1]) + amount),
                      ("EXEC",)])

    def check(self, client):
        values = [int(value) for value in client.call("MGET", *self.keys)]
        assert sum(values) == SUM, f"accounts of {values}"


class Workload:
    """Runs clients until it is told to stop.

    `paths`: the sockets of the kvds, each of which gets that many clients.
    """

    def __init__(self, paths, clients, seed):
        self.parts = [Register(), Counter(), Conditional(), Append(),
                      Transfer()]
        self.clients = [Client(path, number * len(paths) + which, seed)
                        for number in range(clients)
                        for which, path in enumerate(paths)]
        self.done = self.refused = self.unknown = 0
        self._failures = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = []

    def start(self):
        self.parts[-1].prepare(self.clients[0])
        for client in self.clients:
            client.newest = time.monotonic()
            thread = threading.Thread(target=self._run, args=(client,),
                                      daemon=True)
            thread.start()
            self._threads.append(thread)

    def _run(self, client):
        while not self._stop.is_set():
            part = client.random.choice(self.parts)
            outcome = "done"
            try:
                part.step(client)
            except NotDone:
                outcome = "refused"
                # Nothing listens, or there is no quorum.
                self._stop.wait(0.01)
            except Unknown:
                outcome = "unknown"
            except Exception as error:
                with self._lock:
                    self._failures.append(error)
                return
            with self._lock:
                setattr(self, outcome, getattr(self, outcome) + 1)

    def failed(self):
        """Whether a client has seen what must not be; stop() says what."""
        return bool(self._failures)

    def stop(self):
        """Ends the clients; raises what they have seen, if anything."""
        self._stop.set()
        for thread in self._threads:
            thread.join(SECONDS_MAX)
        for client in self.clients:
            client.close()
        if self._failures:
            raise self._failures[0]

    def check(self, path):
        """Whether what is there now is what the clients were told."""
        with contextlib.closing(Client(path, -1, 0)) as client:
            for part in self.parts:
                part.check(client)

    def gap(self):
        """The longest that a client waited for its next success."""
        return max(client.gap for client in self.clients)
