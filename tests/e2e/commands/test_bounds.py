# SPDX-License-Identifier: MIT
"""No command takes much memory or keeps others waiting, whatever its words.

Everything comes from the command table, as COMMAND and COMMAND DOCS show it:
each command, alone and in a pipeline, with the most and the largest words that
the limits allow, over a small store and a larger one. What a command may be
given is found in its syntax; nothing here has to know a new command.
"""

import re
import resource
import threading
import unittest

from harness import Closed, E2eTest, ReplyError, SANITIZED, command
from harness import differs_on_etcd

MIB = 1 << 20
# kvd would end, or leave the client without a reply, or only queue the marker.
NOT_CALLED = {"shutdown", "multi"}
NOT_GIVEN = {("client|reply", "OFF"), ("client|reply", "SKIP")}
# The connection may end with them.
ENDINGS = {"quit", "client|kill"}
MARKER = b"the-end-of-the-replies"
KEY = b"value16k"  # Its value is the largest that is copied into replies.
FILLERS = (KEY, b"1", b"*", b"get")


class Profile:
    """How large everything is."""

    def __init__(self, arguments, value_mib, keys, output_mib, address_mib):
        self.arguments = arguments
        self.value_bytes = value_mib * MIB
        self.keys = keys
        self.output_bytes = output_mib * MIB
        self.input_bytes = (value_mib + 1) * MIB
        self.address_bytes = address_mib * MIB

    def settings(self):
        return {"limits.arguments": self.arguments,
                "limits.value_size": f"{self.value_bytes // MIB}MiB",
                "limits.input_bytes": f"{self.input_bytes // MIB}MiB",
                "limits.output_bytes": f"{self.output_bytes // MIB}MiB",
                "limits.open_group": "1MiB", "log.segment_size": "16MiB",
                "memory.value_cache": "16MiB"}

    def memory_max(self):
        """How much more the process may ever have than without clients."""
        # A buffer that grows is there twice for a moment; a write is in the
        # log's buffers, in the cache of values and in the making as well.
        return (2 * self.output_bytes + 6 * self.input_bytes + 16 * MIB +
                64 * self.arguments + 16 * MIB)


SMALL = Profile(arguments=16_384, value_mib=4, keys=20_000, output_mib=8,
                address_mib=1024)
# The defaults, by hand: campaign_bounds.py.
FULL = Profile(arguments=131_072, value_mib=64, keys=2_000_000, output_mib=256,
               address_mib=4096)


def bulk(word):
    return b"$%d\r\n%s\r\n" % (len(word), word)


def array(parts, words):
    return b"*%d\r\n" % words + b"".join(parts)


class Row:
    """A command of the table."""

    def __init__(self, entry, syntax):
        name, arity, flags, first, last, step = entry[:6]
        self.name = name.decode()
        self.words = [word.upper() for word in name.split(b"|")]
        self.fixed = arity > 0
        self.least = abs(arity)
        self.writes = "write" in flags
        self.first, self.last, self.step = first, last, step
        # "FILTERBY ACLCAT", and then every single word.
        self.options = [
            tuple(token.encode() for token in tokens)
            for tokens in (
                *((first, second) for first, seconds in re.findall(
                    r"\b([A-Z-]{2,}) ([A-Z|-]{2,})(?= |$)", syntax)
                  for second in seconds.split("|")),
                *((token,) for token in sorted(set(
                    re.findall("[A-Z-]{2,}", syntax)))))
            if (self.name, tokens[0]) not in NOT_GIVEN]

    def is_key(self, index, words):
        """Whether that of so many words is a key."""
        last = self.last if self.last >= 0 else words + self.last
        return (self.first != 0 and self.first <= index <= last and
                (index - self.first) % self.step == 0)

    def option(self, option, word):
        """With an option and a word behind the words that every call has."""
        head = self.least_words(b"1") + [*option, word]
        return array(map(bulk, head), len(head))

    def least_words(self, filler):
        return self.words + [KEY if self.is_key(i, self.least) else filler
                             for i in range(len(self.words), self.least)]

    def most(self, filler, profile, option=()):
        """As many words as may be."""
        head = [*self.words]
        if option:
            head = self.least_words(filler) + [*option]
        parts = [bulk(word) for word in head]
        words = self.least if self.fixed else profile.arguments
        room = profile.input_bytes - sum(map(len, parts)) - 100
        words = min(words, len(head) + room // len(bulk(filler)))
        # Pairs, if it takes pairs.
        words -= 0 if self.fixed else (words - len(self.words)) % 2
        if words < len(head):
            return None
        parts.append(bulk(filler) * (words - len(head)))
        return array(parts, words)

    def largest(self, profile, count):
        """So many words, as large as may be."""
        values = sum(not self.is_key(i, count)
                     for i in range(len(self.words), count))
        size = min(profile.value_bytes,
                   (profile.input_bytes - 70_000 * count) // max(values, 1))
        parts = [bulk(word) for word in self.words]
        parts += [bulk(b"k" * 65_535 if self.is_key(i, count) else b"v" * size)
                  for i in range(len(parts), count)]
        return array(parts, count)


def rows(client, not_called):
    """The command table."""
    docs = {}

    def take_docs(reply):
        pairs = (reply.items() if isinstance(reply, dict) else
                 zip(reply[::2], reply[1::2]))
        for name, fields in pairs:
            fields = dict(zip(fields[::2], fields[1::2]))
            docs[name.decode()] = " ".join(
                dict(zip(argument[::2], argument[1::2]))[b"name"].decode()
                for argument in fields.get(b"arguments", []))
            take_docs(fields.get(b"subcommands", []))

    take_docs(client.call("COMMAND", "DOCS"))

    def take(entries):
        for entry in entries:
            if entry[9]:
                yield from take(entry[9])
            name = entry[0].decode()
            if name not in not_called and (not entry[9] or name == "command"):
                yield Row(entry, docs[name])

    return list(take(client.call("COMMAND")))


@differs_on_etcd("many_keys")
class Bounds(E2eTest):
    """Memory, survival, and somebody else's PING."""

    profile = SMALL
    not_called = NOT_CALLED

    def fill(self, keys):
        client = self.kvd.connect()
        client.call("FLUSHALL")
        client.call("SET", KEY, b"x" * 16_000)
        for start in range(0, keys, 1000):
            words = ["MSET"]
            for i in range(start, min(start + 1000, keys)):
                words += [f"key:{i:012}", "v"]
            client.call(*words)
        client.close()

    def peak_bytes(self):
        for line in self.kvd.proc("status").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmHWM")

    def forget_peak(self):
        with open(f"/proc/{self.kvd.process.pid}/clear_refs", "w",
                  encoding="ascii") as stream:
            stream.write("5")

    def execute(self, data, may_end):
        """Sends commands, and reads and forgets their replies."""
        client = self.kvd.connect()

        def send():
            try:
                # A subscriber is not answered otherwise.
                client.send(data + command("RESET") + command("ECHO", MARKER))
            except (Closed, OSError):
                pass  # The reader sees it, too.

        sender = threading.Thread(target=send)
        sender.start()
        # Whatever it does: somebody else is answered, before or after.
        if self.other is None:
            self.other = self.kvd.connect()
        try:
            self.assertEqual(self.other.call("PING"), "PONG")
        except Closed:
            self.assertTrue(may_end)
            self.other = None
        tail = b""
        while MARKER not in tail:
            try:
                more = client.socket.recv(MIB)
            except ConnectionResetError:
                more = b""
            if not more:
                self.assertTrue(may_end, tail[-200:])
                break
            tail = (tail + more)[-1000:]
        sender.join()
        client.close()

    def commands_of(self, row):
        """What the row is called with, as (what, bytes)."""
        for filler in FILLERS:
            yield filler.decode(), row.most(filler, self.profile)
        for option in row.options:
            name = b" ".join(option).decode()
            for filler in (KEY, b"1000000000"):
                yield (f"{name} {filler.decode()}",
                       row.most(filler, self.profile, option))
            yield (f"{name} large",
                   row.option(option, b"v" * self.profile.value_bytes))
        counts = {row.least, row.least if row.fixed else 15}
        for count in sorted(counts):
            yield f"{count} large", row.largest(self.profile, count)

    def check_store(self, keys):
        self.fill(keys)
        self.other = None
        self.forget_peak()
        base = self.peak_bytes()
        size = self.kvd.call("DBSIZE")
        for row in rows(self.kvd.connect(), self.not_called):
            self.forget_peak()
            for what, data in self.commands_of(row):
                if data is None:
                    continue
                pipeline = max(2, min(200, 100_000 // len(data)))
                for count in (1, pipeline):
                    with self.subTest(command=row.name, words=what,
                                      pipelined=count, keys=keys):
                        self.execute(data * count, row.name in ENDINGS)
                        self.check_memory(base)
                if row.writes and self.kvd.call("DBSIZE") != size:
                    self.fill(keys)
        self.check_waits()

    def check_memory(self, base):
        # A sanitizer keeps what was freed.
        if not SANITIZED:
            self.assertLess((self.peak_bytes() - base) // MIB,
                            self.profile.memory_max() // MIB)

    def check_waits(self):
        """How long anything held the loop: only by hand, with the defaults."""

    def test_every_command_is_bounded(self):
        limits = {}
        if not SANITIZED:
            limits[resource.RLIMIT_AS] = (self.profile.address_bytes,) * 2
        self.kvd = self.started(settings=self.profile.settings(),
                                limits=limits)
        self.check_store(keys=10)
        self.check_store(keys=self.profile.keys)


class TooLargeReplies(E2eTest):
    """What cannot be sent is not changed, and its connection stays."""

    @differs_on_etcd("large_values")
    def test_a_value_from_times_of_larger_limits(self):
        kvd = self.started()
        value = b"v" * (4 * MIB)
        kvd.call("SET", "large", value)
        kvd.call("SET", "small", "s")
        kvd.settings.update({"limits.output_bytes": "2MiB",
                             "limits.value_size": "1MiB"})
        kvd.restart()
        client = kvd.connect()
        for words in (("GET", "large"), ("GETDEL", "large"),
                      ("GETSET", "large", "new"), ("KV.GET", "large"),
                      ("SET", "large", "new", "GET"),
                      ("GETEX", "large", "EX", "100"),
                      ("GETEX", "large", "PXAT", "1"),
                      ("MGET", "small", "large")):
            with self.subTest(words=words):
                reply = client.call(*words)
                self.assertIsInstance(reply, ReplyError)
                self.assertIn("limits.output_bytes is 2MiB; nothing was "
                              "changed", reply)
        self.assertEqual(client.call("STRLEN", "large"), len(value))
        self.assertEqual(client.call("TTL", "large"), -1)
        self.assertEqual(client.call("GETRANGE", "large", -MIB, -1),
                         value[-MIB:])
        self.assertEqual(client.call("GETDEL", "small"), b"s")
        self.assertEqual(client.call("DEL", "large"), 1)


class TooManyWords(E2eTest):
    """More than anyone should wait for is refused, and the connection stays."""

    def test_a_small_command_that_asks_for_gigabytes(self):
        kvd = self.started()
        kvd.call("SET", KEY, b"v" * 16384)
        for limit, said in ((131_072, "limits.arguments is 131072"),
                            (1 << 20, "limits.output_bytes is 256MiB")):
            kvd.settings["limits.arguments"] = limit
            kvd.restart()
            client = kvd.connect()
            with self.subTest(limit=limit):
                reply = client.call("MGET", *[KEY] * 400_000)
                self.assertIsInstance(reply, ReplyError)
                self.assertIn(said, reply)
                self.assertIn("nothing was changed", reply)
                self.assertEqual(client.call("PING"), "PONG")
        self.assertEqual(client.call("STRLEN", KEY), 16384)


if __name__ == "__main__":
    unittest.main()
