# SPDX-License-Identifier: MIT
"""A kvd whose etcd is away, full, or used by somebody with the same id."""

import os
import shutil
import unittest

import etcd
from harness import E2eTest, KVD_ETCD, ReplyError, wait_until

TIMEOUT = "1s"


class Outage(E2eTest):

    def setUp(self):
        etcd.require_etcd(self)
        if not os.path.exists(KVD_ETCD):
            self.skipTest("kvd-etcd is not built")

    def cluster(self, **options):
        return etcd.Cluster(self, size=1, **options).start()

    def kvd(self, cluster, endpoints=None, **options):
        return self.daemon(program=KVD_ETCD, settings={
            "storage.backend": "etcd",
            "etcd.endpoints": ",".join(endpoints or cluster.endpoints),
            "etcd.timeout": TIMEOUT}, **options)

    def wait_for(self, kvd, *words):
        """The first reply that is no error."""
        def served():
            assert kvd.process.running(), kvd.log()
            reply = kvd.call(*words)
            return None if isinstance(reply, ReplyError) else (reply,)

        return wait_until(served, f"{words} is served")[0]

    def test_a_start_without_etcd_waits_for_it(self):
        cluster = self.cluster()
        (node,) = cluster.nodes
        node.kill()
        kvd = self.kvd(cluster).launch()
        wait_until(lambda: os.path.exists(kvd.socket_path), "the socket")
        self.assertRegex(kvd.call("GET", "key"), "^LOADING ")
        node.start()
        self.assertEqual(self.wait_for(kvd, "SET", "key", "1"), "OK")
        self.assertEqual(self.wait_for(kvd, "GET", "key"), b"1")

    def test_a_start_without_etcd_can_be_stopped(self):
        cluster = self.cluster()
        cluster.nodes[0].kill()
        kvd = self.kvd(cluster).launch()
        wait_until(lambda: os.path.exists(kvd.socket_path), "the socket")
        kvd.call("GET", "key")
        kvd.stop()

    def test_clients_hear_of_an_outage_and_service_resumes(self):
        cluster = self.cluster()
        (node,) = cluster.nodes
        kvd = self.kvd(cluster).start()
        self.wait_for(kvd, "SET", "key", "1")
        node.pause()
        self.assertRegex(kvd.call("SET", "key", "2"), "^UNKNOWN ")
        self.assertRegex(kvd.call("GET", "key"), "^TRYAGAIN ")
        self.assertRegex(kvd.call("SET", "key", "3"), "^TRYAGAIN ")
        node.resume()
        self.assertEqual(self.wait_for(kvd, "SET", "key", "4"), "OK")
        self.assertEqual(self.wait_for(kvd, "GET", "key"), b"4")

    def test_a_stop_does_not_wait_for_etcd(self):
        cluster = self.cluster()
        kvd = self.kvd(cluster).start()
        self.wait_for(kvd, "SET", "key", "1")
        cluster.nodes[0].pause()
        connection = kvd.connect()
        other = kvd.connect()
        connection.send(b"SET key 2\r\n")
        other.send(b"GET key\r\n")
        kvd.stop()
        cluster.nodes[0].resume()

    def test_a_full_etcd_refuses_changes_alone(self):
        cluster = self.cluster(quota_bytes=16 << 20)
        kvd = self.kvd(cluster).start()
        self.wait_for(kvd, "SET", "key", "1")
        cluster.fill()
        self.assertRegex(kvd.call("SET", "key", "2"), "^DISKFULL .*NOSPACE")
        self.assertEqual(kvd.call("GET", "key"), b"1")
        kvd.restart()
        self.assertEqual(self.wait_for(kvd, "GET", "key"), b"1")
        wait_until(lambda: "DISKFULL" in str(kvd.call("SET", "key", "2")),
                   "it knows")
        cluster.make_room()
        self.assertEqual(self.wait_for(kvd, "SET", "key", "3"), "OK")

    def test_an_etcd_that_wants_to_know_who_asks_is_told_of(self):
        cluster = self.cluster()
        kvd = self.kvd(cluster).start()
        self.assertEqual(kvd.call("SET", "key", "1"), "OK")
        cluster.call("/v3/auth/user/add", {"name": "root", "password": "x"})
        cluster.call("/v3/auth/role/add", {"name": "root"})
        cluster.call("/v3/auth/user/grant", {"user": "root", "role": "root"})
        cluster.call("/v3/auth/enable", {})
        for words in (["SET", "key", "2"], ["GET", "key"]):
            refused = kvd.call(*words)
            self.assertIsInstance(refused, ReplyError)
            self.assertIn("a client certificate whose CN", refused)
        wait_until(lambda: kvd.status()["state"] == b"degraded", "it is told")
        self.assertIn(b"etcd refuses what kvd asks: etcd at ",
                      kvd.kvctl("status").stdout)

    def test_a_backup_that_is_put_back_and_written_to(self):
        """When kvd sees etcd again, it is further than before."""
        cluster = self.cluster()
        link = cluster.link("kvd")
        kvd = self.kvd(cluster, link.endpoints).start()
        self.wait_for(kvd, "SET", "changed", "1")
        cluster.save()
        self.wait_for(kvd, "SET", "lost", "1")
        last = int(cluster.nodes[0].status()["header"]["revision"])
        link.cut()
        cluster.restore()
        while int(cluster.nodes[0].status()["header"]["revision"]) < last + 10:
            cluster.put("kvd/0/0/changed", "02")
        link.heal()
        self.assertEqual(self.wait_for(kvd, "GET", "changed"), b"2")
        self.assertIsNone(kvd.call("GET", "lost"))
        self.assertEqual(kvd.call("SET", "lost", "3"), "OK")
        self.assertEqual(kvd.call("MGET", "changed", "lost"), [b"2", b"3"])

    def test_another_kvd_writes_behind_a_backup(self):
        """It was taken before this life of the one that sees etcd again."""
        cluster = self.cluster()
        link = cluster.link("kvd")
        kvd = self.kvd(cluster, link.endpoints).start()
        self.wait_for(kvd, "SET", "changed", "1")
        cluster.save()
        kvd.stop()
        kvd.start()
        self.wait_for(kvd, "SET", "lost", "1")
        last = int(cluster.nodes[0].status()["header"]["revision"])
        link.cut()
        cluster.restore()
        other = self.kvd(cluster).start()
        while int(cluster.nodes[0].status()["header"]["revision"]) < last + 10:
            self.wait_for(other, "SET", "changed", "2")
        link.heal()
        self.assertEqual(self.wait_for(kvd, "GET", "changed"), b"2")
        self.assertIsNone(kvd.call("GET", "lost"))
        self.assertEqual(self.wait_for(kvd, "SET", "lost", "3"), "OK")
        self.assertEqual(other.call("MGET", "changed", "lost"), [b"2", b"3"])

    def test_two_with_one_id_do_not_both_go_on(self):
        cluster = self.cluster()
        first = self.kvd(cluster).start()
        self.wait_for(first, "SET", "key", "1")
        folder = self.new_folder()
        shutil.copytree(first.data_dir, os.path.join(folder, "data"))
        second = self.kvd(cluster, folder=folder).start()
        self.assertEqual(self.wait_for(second, "SET", "key", "2"), "OK")
        connection = first.connect()
        connection.send(b"SET key 3\r\n")
        self.assertEqual(first.process.wait(), 3)
        self.assertIn("another kvd writes to etcd under this one's id",
                      first.log())
        self.assertEqual(self.wait_for(second, "GET", "key"), b"2")


if __name__ == "__main__":
    unittest.main()
