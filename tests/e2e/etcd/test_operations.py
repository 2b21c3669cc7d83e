# SPDX-License-Identifier: MIT
"""kvd on etcd for those who run it: settings, starts, what INFO and status
show."""

import json
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

    def test_it_says_that_keys_of_this_machine_are_not_used(self):
        here = self.daemon(program=KVD,
                           settings={"storage.backend": "local"}).start()
        here.call("SET", "k", "v")
        here.stop()
        node = etcd.Cluster(self, size=1).start().nodes[0]
        settings = {"storage.backend": "etcd", "etcd.endpoints": node.endpoint}
        kvd = self.daemon(program=KVD_ETCD, data_dir=here.data_dir,
                          settings=settings).start()
        self.assertIn("are not used", kvd.log())
        self.assertEqual(kvd.call("DBSIZE"), 0)
        other = self.daemon(program=KVD_ETCD, settings=settings).start()
        self.assertNotIn("are not used", other.log())

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

    def test_with_certificates(self):
        cluster = self.cluster(size=1, tls=True)
        files = {"etcd.ca_file": cluster.tls.authority.certificate,
                 "etcd.cert_file": cluster.tls.client,
                 "etcd.key_file": cluster.tls.client_key}
        kvd = self.kvd_on(cluster, **files).start()
        self.assertEqual(kvd.call("SET", "k", "v"), "OK")
        # Of a file that is not there a start may find more than a check.
        missing = self.kvd_on(cluster, **files)
        missing.settings["etcd.key_file"] = "/nowhere/key.pem"
        code, log = missing.refuses_to_start()
        self.assertEqual(code, 1, log)
        self.assertIn("/nowhere/key.pem", log)

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


class Status(EtcdTest):

    def settled(self, kvd, fields):
        """The status, once it has those."""
        def found():
            status = kvd.status()
            return status if all(name in status for name in fields) else None
        return wait_until(found, f"status has {fields}")

    def test_members_sizes_and_kvds(self):
        cluster = self.cluster()
        one = self.kvd_on(cluster).start()
        two = self.kvd_on(cluster).start()
        one.call("SET", "k", "v")
        two.call("SET", "l", "v")
        status = self.settled(one, ["etcd_endpoint2", "etcd_kvd1",
                                    "etcd_history_revisions"])
        self.assertEqual(status["backend"], b"etcd")
        self.assertEqual(status["state"], b"ok")
        self.assertEqual(status["etcd_endpoints_answering"], 3)
        self.assertEqual(status["etcd_leader"].decode(),
                         cluster.leader().endpoint)
        self.assertGreater(status["etcd_db_bytes"], 0)
        self.assertEqual(status["etcd_oldest_revision"], 1)
        roles = [status[f"etcd_endpoint{i}"] for i in range(3)]
        self.assertEqual(sum(b"role=leader" in role for role in roles), 1)
        self.assertEqual(sum(b"role=follower" in role for role in roles), 2)
        self.assertEqual(
            sum(b"self=1" in status[f"etcd_kvd{i}"] for i in range(2)), 1)
        wait_until(lambda: one.status()["etcd_lag_revisions"] == 0,
                   "the index has caught up")

        info = one.call("INFO", "etcd").decode()
        self.assertTrue(info.startswith("# Etcd\r\n"), info)
        self.assertIn("etcd_endpoints_answering:3\r\n", info)
        self.assertIn(b"# Etcd", one.call("INFO"))

        shown = one.kvctl("status").stdout.decode()
        self.assertIn(f"etcd leader {cluster.leader().endpoint}", shown)
        self.assertIn("this one\n", shown)
        self.assertIn("last heard of ", shown)
        self.assertNotIn("warning", shown)
        # All of it is known to this kvctl, and what a log has is not there.
        self.assertNotIn("etcd_", shown)
        self.assertNotIn("compaction", shown)
        self.assertIn("etcd_leader",
                      json.loads(one.kvctl("status", "--json").stdout))

    def test_a_member_that_is_away_is_a_warning(self):
        cluster = self.cluster()
        gone = cluster.followers()[0]
        kvd = self.kvd_on(cluster).start()
        gone.kill()
        status = wait_until(
            lambda: (lambda s: s if s.get("etcd_endpoints_answering") == 2
                     else None)(kvd.status()), "it is noticed")
        self.assertIn(gone.endpoint.encode(), status["etcd_warning0"])
        self.assertEqual(status["state"], b"ok")
        self.assertIn(f"warning: etcd at {gone.endpoint}",
                      kvd.kvctl("status").stdout.decode())

    def test_history_begins_where_it_was_compacted(self):
        cluster = self.cluster(size=1)
        for _ in range(40):
            revision = cluster.put("x", "y")
        cluster.compact(revision - 7)
        kvd = self.kvd_on(cluster).start()
        status = self.settled(kvd, ["etcd_oldest_revision"])
        self.assertEqual(status["etcd_oldest_revision"], revision - 7)
        cluster.compact(revision)
        wait_until(lambda: kvd.status().get("etcd_oldest_revision") == revision,
                   "the next compaction is noticed")

    def test_no_space(self):
        cluster = self.cluster(size=1, quota_bytes=16 * MIB)
        kvd = self.kvd_on(cluster).start()
        cluster.fill()
        status = wait_until(
            lambda: (lambda s: s if s.get("etcd_alarms") == b"NOSPACE"
                     else None)(kvd.status()), "the alarm is noticed")
        self.assertEqual(status["state"], b"full")
        self.assertIn("alarms NOSPACE", kvd.kvctl("status").stdout.decode())

    def test_the_local_store_has_nothing_of_it(self):
        kvd = self.daemon(program=KVD).start()
        self.assertEqual(kvd.call("INFO", "etcd"), b"")
        self.assertNotIn(b"etcd", kvd.call("INFO", "everything"))
        status = kvd.status()
        self.assertEqual(status["backend"], b"local")
        self.assertFalse([name for name in status if "etcd" in name])


if __name__ == "__main__":
    unittest.main()
