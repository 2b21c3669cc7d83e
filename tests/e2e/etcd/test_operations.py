# SPDX-License-Identifier: MIT
"""kvd on etcd for those who run it: settings and starts."""

import os
import unittest

import etcd
from harness import E2eTest, KVD, KVD_ETCD, Manager, ReplyError, run
from harness import wait_until

MIB = 1 << 20


class EtcdTest(E2eTest):

    def setUp(self):
        etcd.require_etcd(self)
        if not os.path.exists(KVD_ETCD):
            self.skipTest("kvd-etcd is not built")

    def cluster(self, **options):
        return etcd.Cluster(self, **options).start()

    def kvd_on(self, cluster, prefix="kvd/", **settings):
        """Not started yet."""
        return self.daemon(program=KVD_ETCD, settings={
            "storage.backend": "etcd",
            "etcd.endpoints": ",".join(cluster.endpoints),
            "etcd.prefix": prefix, **settings})


class Settings(E2eTest):

    def setUp(self):
        if not os.path.exists(KVD_ETCD):
            self.skipTest("kvd-etcd is not built")
        self.folder = self.new_folder()

    def check(self, program, *settings):
        """(exit code, what is printed)"""
        words = [program, "check-config", "--data-dir",
                 os.path.join(self.folder, "data"), "--socket",
                 os.path.join(self.folder, "sock")]
        for setting in settings:
            words += ["--set", setting]
        done = run(words)
        return done.returncode, (done.stdout + done.stderr).decode()

    def test_kvd_says_that_this_needs_kvd_etcd(self):
        code, text = self.check(KVD, "storage.backend=etcd")
        self.assertEqual(code, 2)
        self.assertIn("needs the program kvd-etcd", text)
        self.assertIn("-DKVD_ETCD=ON", text)
        code, text = self.daemon(program=KVD, settings={
            "storage.backend": "etcd"}).refuses_to_start()
        self.assertEqual(code, 2)
        self.assertIn("needs the program kvd-etcd", text)

    def test_kvd_etcd_says_that_the_data_stay_here(self):
        code, text = self.check(KVD_ETCD)
        self.assertEqual(code, 0)
        self.assertIn('storage.backend = "local": kvd-etcd keeps', text)
        kvd = self.daemon(program=KVD_ETCD,
                          settings={"storage.backend": "local"}).start()
        self.assertEqual(kvd.call("SET", "k", "v"), "OK")
        self.assertIn('storage.backend = "local"', kvd.log())

    def test_it_is_called_by_its_name(self):
        done = run([KVD_ETCD, "--version"])
        self.assertRegex(done.stdout, rb"^kvd-etcd \d+\.\d+\.\d+\n$")
        self.assertIn(b"Usage: kvd-etcd ", run([KVD_ETCD, "--help"]).stdout)
        self.assertIn(b"kvd-etcd: unknown option",
                      run([KVD_ETCD, "--nonsense"]).stderr)

    def test_what_is_wrong_is_told_before_etcd_is_asked(self):
        for settings, words in (
                (["etcd.endpoints=http://a:0"], "port from 1 to 65535"),
                (["etcd.endpoints=ftp://a"], "http:// or https://"),
                (["etcd.prefix=/"], "keys of others"),
                (["etcd.reads=fresh"], '"linearizable" or "local"'),
                (["etcd.endpoints=https://a", f"etcd.ca_file={__file__}"],
                 "BEGIN CERTIFICATE"),
                (["etcd.ca_file=/x"], "etcd.ca_file is for https")):
            with self.subTest(settings):
                code, text = self.check(KVD_ETCD, "storage.backend=etcd",
                                        *settings)
                self.assertEqual(code, 2, text)
                self.assertIn(words, text)

    def test_credentials_that_a_unit_brings_may_be_missing(self):
        code, text = self.check(
            KVD_ETCD, "storage.backend=etcd", "etcd.endpoints=https://a",
            "etcd.ca_file=/run/credentials/kvd.service/ca.pem")
        self.assertEqual(code, 0, text)
        self.assertIn("/run/credentials/kvd.service/ca.pem", text)

    def test_what_is_cut_down_and_what_is_ignored(self):
        code, text = self.check(
            KVD_ETCD, "storage.backend=etcd", "durability.sync=never",
            "compaction.rate=1MiB")
        self.assertEqual(code, 0, text)
        self.assertIn("limits.value_size is 1MiB instead of 64MiB", text)
        self.assertIn("of no meaning with storage.backend = \"etcd\": "
                      "durability.sync, compaction.rate", text)


class Start(EtcdTest):

    def test_settings_that_count_and_those_that_do_not(self):
        kvd = self.kvd_on(self.cluster(size=1),
                          **{"durability.sync": "never"}).start()
        log = kvd.log()
        self.assertEqual(log.count("of no meaning"), 1)
        self.assertEqual(kvd.call("CONFIG", "GET", "durability.sync")[1],
                         b"always")
        self.assertEqual(kvd.call("SET", "k", b"v" * MIB), "OK")
        self.assertIsInstance(kvd.call("SET", "k", b"v" * (MIB + 1)),
                              ReplyError)
        refused = kvd.call("CONFIG", "SET", "limits.value_size", "2MiB")
        self.assertIsInstance(refused, ReplyError)
        self.assertIn("at most 1MiB", refused)

    def test_while_etcd_is_away_it_says_whom_it_waits_for(self):
        cluster = self.cluster(size=1)
        node = cluster.nodes[0]
        node.kill()
        manager = Manager(self)
        kvd = self.kvd_on(cluster)
        kvd.env = {"NOTIFY_SOCKET": manager.path}
        kvd.launch()
        line = manager.wait_for("STATUS=Loading: waits for etcd")
        self.assertIn(node.endpoint, line)
        self.assertIn("EXTEND_TIMEOUT_USEC", "\n".join(manager.lines()))
        self.assertNotIn("READY=1", manager.lines())

        def told():
            try:
                reply = kvd.call("GET", "k")
            except OSError:
                return None
            return reply if "waits for etcd" in str(reply) else None

        self.assertIn(node.endpoint, wait_until(told, "clients hear it"))
        self.assertIn(b"LOADING", kvd.kvctl("get", "k").stderr.upper())
        node.start()
        manager.wait_for("READY=1")
        self.assertEqual(kvd.call("SET", "k", "v"), "OK")

    def test_a_stop_while_etcd_is_away(self):
        cluster = self.cluster(size=1)
        cluster.nodes[0].kill()
        manager = Manager(self)
        kvd = self.kvd_on(cluster)
        kvd.env = {"NOTIFY_SOCKET": manager.path}
        kvd.launch()
        manager.wait_for("STATUS=Loading: waits for etcd")
        kvd.stop()

    def test_too_little_memory_ends_it_for_good_with_figures(self):
        cluster = self.cluster(size=1)
        first = self.kvd_on(cluster).start()
        with first.connect() as client:
            client.pipeline([("SET", f"k{i}", b"x" * 100_000)
                             for i in range(50)])
        second = self.kvd_on(cluster, **{"memory.limit": "2MiB"})
        code, log = second.refuses_to_start()
        # Which the unit does not start again.
        self.assertEqual(code, 2, log)
        self.assertRegex(log, r"the first \d+ keys under \"kvd/\" take \d+ MiB")
        self.assertIn("memory.limit is 2 MiB", log)


if __name__ == "__main__":
    unittest.main()
