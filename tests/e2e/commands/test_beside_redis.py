# SPDX-License-Identifier: MIT
"""Random commands of several clients, against kvd and Debian's redis-server:
the replies must be the same bytes."""

import os
import random
import unittest

from harness import Connection, E2eTest, command, differences, scaled
from harness import say, seed_from_environment
from random_commands import RandomCommands

COUNT = int(os.environ.get("KVD_PEER_COMMANDS", scaled(40_000, 8_000)))
BATCH_MAX = 40
CLIENTS = 3


class Client:
    """The same client of both servers, and its stream of commands."""

    def __init__(self, test, redis_path, source, protocol):
        self.kvd = test.kvd.connect()
        self.redis = Connection(redis_path)
        test.addCleanup(self.redis.close)
        self.source = source
        if protocol == 3:
            self.send(command("HELLO", "3"))
            # The servers differ in name and version.
            self.kvd.reply()
            self.redis.reply()

    def send(self, data):
        self.kvd.send(data)
        self.redis.send(data)

    def call(self, *words):
        """Both replies as bytes."""
        self.send(command(*words))
        return self.kvd.raw_reply(), self.redis.raw_reply()


def shown(words):
    return " ".join(repr(word)[:100] for word in words)


class BesideRedis(E2eTest):
    def setUp(self):
        self.kvd = self.started()
        self.redis_path = self.redis_server()

    def test_random_commands_in_resp2(self):
        self.run_clients(2, seed_from_environment(20261))

    def test_random_commands_in_resp3(self):
        self.run_clients(3, seed_from_environment(20262))

    def run_clients(self, protocol, seed):
        say(f"KVD_SEED={seed}")
        chooser = random.Random(seed)
        clients = [
            Client(self, self.redis_path,
                   RandomCommands(random.Random(chooser.random()),
                                  differences()), protocol)
            for _ in range(CLIENTS)]
        done = 0
        while done < COUNT:
            client = chooser.choice(clients)
            size = chooser.randrange(1, BATCH_MAX)
            self.compare(client, [client.source.next() for _ in range(size)])
            done += size
        for client in clients:
            self.compare(client, [["RESET"]])
        self.compare_databases(clients[0])

    def compare(self, client, commands):
        """Pipelines the commands; the replies must be equal, one by one."""
        client.send(b"".join(command(*words) for words in commands))
        before = []
        for words in commands:
            ours, theirs = client.kvd.raw_reply(), client.redis.raw_reply()
            before.append(shown(words))
            if ours != theirs:
                self.fail("{}\n    kvd   {!r}\n    redis {!r}\nafter\n{}".format(
                    before[-1], ours[:600], theirs[:600],
                    "\n".join(before[-8:-1])))

    def compare_databases(self, client):
        for database in range(3):
            ours, theirs = client.call("SELECT", database)
            self.assertEqual(ours, theirs)
            keys = sorted(client.redis.call("KEYS", "*"))
            self.assertEqual(sorted(client.kvd.call("KEYS", "*")), keys)
            self.compare(client, [(name, key) for key in keys
                                  for name in ("GET", "PEXPIRETIME")])


if __name__ == "__main__":
    unittest.main()
