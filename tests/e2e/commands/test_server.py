# SPDX-License-Identifier: MIT
"""Commands about the daemon: settings that change, pauses, monitors."""

import os
import stat
import subprocess
import time
import tomllib
import unittest

import redis

from harness import E2eTest, ReplyError, wait_until


class Rewrite(E2eTest):
    """CONFIG SET and CONFIG REWRITE on a file of a person."""

    TEXT = ("# Ours: keep it.\n"
            "[slowlog]\n"
            "length = 5    # Few.\n"
            "\n"
            "[durability]\n"
            "declare_after = '20ms' # As it was.\n")

    def setUp(self):
        self.kvd = self.daemon()
        self.path = os.path.join(self.kvd.folder, "kvd.toml")
        with open(self.path, "w") as file:
            file.write(self.TEXT)
        os.chmod(self.path, 0o640)

    def text(self):
        with open(self.path) as file:
            return file.read()

    def test_changes_are_there_after_a_restart(self):
        self.kvd.start("--config", self.path)
        self.assertEqual(self.kvd.call("CONFIG", "SET", "slowlog-max-len", "9",
                                       "maxmemory", "1gb"), "OK")
        self.assertEqual(self.text(), self.TEXT)
        self.assertEqual(self.kvd.call("CONFIG", "REWRITE"), "OK")
        self.assertEqual(self.text(), self.TEXT.replace(
            "length = 5 ", "length = 9 ") + '\n[memory]\nlimit = "1GiB"\n')
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o640)
        self.assertEqual([name for name in os.listdir(self.kvd.folder)
                          if ".new" in name], [])
        self.kvd.stop()
        self.kvd.start("--config", self.path)
        self.assertEqual(self.kvd.call("CONFIG", "GET", "slowlog.length"),
                         [b"slowlog.length", b"9"])
        self.assertEqual(self.kvd.call("CONFIG", "GET", "maxmemory"),
                         [b"maxmemory", b"1073741824"])
        # What somebody wrote meanwhile stays.
        with open(self.path, "a") as file:
            file.write("# More.\n")
        self.kvd.call("CONFIG", "SET", "slowlog.length", "5")
        self.assertEqual(self.kvd.call("CONFIG", "REWRITE"), "OK")
        self.assertEqual(self.text(), self.TEXT +
                         '\n[memory]\nlimit = "1GiB"\n# More.\n')

    def test_a_broken_file_is_left_alone(self):
        self.kvd.start("--config", self.path)
        self.kvd.call("CONFIG", "SET", "slowlog.length", "9")
        with open(self.path, "w") as file:
            file.write("[slowlog\n")
        reply = self.kvd.call("CONFIG", "REWRITE")
        self.assertIsInstance(reply, ReplyError)
        self.assertIn("kvd.toml:1:", reply)
        self.assertEqual(self.text(), "[slowlog\n")

    def test_without_a_file(self):
        self.kvd.start()
        if not os.path.exists("/etc/kvd/kvd.toml"):
            self.assertEqual(self.kvd.call("CONFIG", "REWRITE"),
                             "ERR The server is running without a config file")

    def test_a_folder_that_may_not_be_written_says_what_to_do(self):
        if os.geteuid() != 0:
            self.skipTest("only root mounts")
        folder = os.path.join(self.kvd.folder, "etc")
        os.mkdir(folder)
        os.rename(self.path, os.path.join(folder, "kvd.toml"))
        # As ProtectSystem= does.
        self.kvd.wrap = ["unshare", "--mount", "sh", "-c",
                         'mount --bind "$0" "$0" && '
                         'mount -o remount,bind,ro "$0" && exec "$@"', folder]
        probe = subprocess.run([*self.kvd.wrap, "true"], capture_output=True)
        if probe.returncode != 0:
            self.skipTest("no mounts here")
        self.kvd.start("--config", os.path.join(folder, "kvd.toml"))
        self.kvd.call("CONFIG", "SET", "slowlog.length", "9")
        reply = self.kvd.call("CONFIG", "REWRITE")
        self.assertIn("Read-only file system", reply)
        self.assertIn("ReadWritePaths=", reply)

    def test_every_setting_of_the_command_survives_the_file(self):
        """Whatever CONFIG SET took, the file says after REWRITE."""
        self.kvd.start("--config", self.path)
        wanted = {"compaction.min_dead_ratio": "1", "compaction.rate": "0B",
                  "slowlog.threshold": "", "memory.value_cache": "7%",
                  "memory.limit": "64MiB", "logging.level": "error",
                  "scrub.interval": "0ms", "limits.value_size": "3KiB"}
        words = [word for pair in wanted.items() for word in pair]
        self.assertEqual(self.kvd.call("CONFIG", "SET", *words), "OK")
        self.assertEqual(self.kvd.call("CONFIG", "REWRITE"), "OK")
        with open(self.path, "rb") as file:
            tomllib.load(file)
        self.kvd.stop()
        self.kvd.start("--config", self.path)
        for name, value in wanted.items():
            self.assertEqual(self.kvd.call("CONFIG", "GET", name),
                             [name.encode(), value.encode()])


class Clients(E2eTest):
    """As redis-py and redis-cli see it."""

    threaded = True

    def setUp(self):
        self.kvd = self.started()

    def test_config_set_of_several(self):
        client = self.kvd.client()
        self.assertTrue(client.config_set("slowlog-max-len", 7, "maxmemory",
                                          "100mb"))
        self.assertEqual(client.config_get("slowlog-max-len", "maxmemory"),
                         {"slowlog-max-len": "7", "maxmemory": "104857600"})
        with self.assertRaisesRegex(redis.ResponseError, "CONFIG SET failed"):
            client.config_set("appendonly", "no")

    def test_a_pause_of_writes(self):
        client, other = self.kvd.client(), self.kvd.client()
        client.set("a", "1")
        self.assertTrue(client.client_pause(60_000_000, all=False))
        connection = self.kvd.connect()
        connection.send(b"SET a 2\r\n")
        self.assertEqual(other.get("a"), b"1")
        wait_until(lambda: client.info("clients")["blocked_clients"] == 1,
                   "the write waits")
        self.assertTrue(client.client_unpause())
        self.assertEqual(connection.reply(), "OK")
        self.assertEqual(other.get("a"), b"2")

    def test_a_pause_ends_by_itself(self):
        client = self.kvd.client()
        client.client_pause(50)
        self.assertTrue(client.set("a", "1"))

    def test_expiry_waits_for_the_end_of_a_pause(self):
        client = self.kvd.client()
        client.set("a", "1", px=20)
        client.client_pause(60_000_000, all=False)
        time.sleep(0.3)  # Nobody may look at the key: that would remove it.
        self.assertEqual(client.info("stats")["expired_keys"], 0)
        client.client_unpause()
        wait_until(lambda: client.info("stats")["expired_keys"] == 1,
                   "the key expires")

    def test_waitaof_and_wait(self):
        client = self.kvd.client()
        client.set("a", "1")
        self.assertEqual(client.execute_command("WAITAOF", 1, 0, 0), [1, 0])
        self.assertEqual(client.wait(1, 0), 0)
        self.assertEqual(client.role(), [b"master", 0, []])
        self.assertTrue(client.save())
        self.assertTrue(client.bgsave())
        self.assertGreater(client.lastsave().timestamp(), 0)
        self.assertEqual(client.acl_whoami(), "default")

    def test_client_list_and_kill(self):
        client, other = self.kvd.client(), self.kvd.client()
        mine, its = client.client_id(), other.client_id()
        lines = client.client_list()
        self.assertEqual([int(line["id"]) for line in lines], [mine, its])
        self.assertEqual(lines[0]["cmd"], "client|list")
        self.assertGreater(int(lines[0]["tot-net-in"]), 0)
        self.assertEqual(client.client_kill_filter(_id=its), 1)
        wait_until(lambda: len(client.client_list()) == 1, "it is gone")

    def test_monitor_of_redis_py(self):
        client, other = self.kvd.client(), self.kvd.client()
        with client.monitor() as monitor:
            other.set("a", 'b "c"\x00')
            seen = monitor.next_command()
            while not seen["command"].startswith("SET"):
                seen = monitor.next_command()
            self.assertEqual(seen["client_type"], "unix")
            self.assertEqual(seen["db"], 0)
            self.assertEqual(seen["command"], 'SET a b "c"\\x00')

    def test_monitor_of_redis_cli(self):
        process = self.background(
            ["redis-cli", "-s", self.kvd.socket_path, "MONITOR"])
        wait_until(lambda: "OK" in process.log(), "it monitors")
        client = self.kvd.client()
        client.get("a")
        wait_until(lambda: '"GET" "a"' in process.log(), "it sees the GET")
        client.execute_command("AUTH", "default", "secret")
        client.get("b")
        wait_until(lambda: '"GET" "b"' in process.log(), "it sees the GET")
        self.assertNotIn("secret", process.log())
        self.assertIn('"AUTH" "(redacted)" "(redacted)"', process.log())


if __name__ == "__main__":
    unittest.main()
