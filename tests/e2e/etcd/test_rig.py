# SPDX-License-Identifier: MIT
"""The faults that other tests have etcd suffer are what they say."""

import os
import socket
import unittest

import certificates
import etcd
from harness import E2eTest, wait_until

# A request that should not be answered is given up after this.
PATIENCE = 2
HOST = "127.0.0.1"


class EtcdTest(E2eTest):

    release_only = True  # There is no kvd in it.

    def started(self, **options):
        return etcd.Cluster(self, **options).start()

    def put_on(self, node, key, seconds_max=etcd.REQUEST_SECONDS_MAX):
        return node.call("/v3/kv/put", {"key": etcd.encoded(key),
                                        "value": etcd.encoded("1")},
                         seconds_max)

    def assert_silent(self, node):
        """It cannot do what needs a quorum."""
        with self.assertRaises((etcd.NoAnswer, etcd.EtcdError)):
            self.put_on(node, "silent", PATIENCE)


class Nodes(EtcdTest):

    def test_three_nodes_hold_the_same(self):
        cluster = self.started()
        leader = cluster.leader()
        self.assertIn(leader, cluster.nodes)
        self.assertEqual(len(cluster.followers()), 2)
        revision = cluster.put("a", b"\x00\xff")
        for node in cluster.nodes:
            self.assertEqual(cluster.get("a", node), b"\x00\xff")
        self.assertEqual(cluster.revision(), revision)
        self.assertEqual(cluster.all_with("a"), {b"a": b"\x00\xff"})
        self.assertIsNone(cluster.get("b"))
        pids = [node.pid for node in cluster.nodes]
        cluster.stop()
        self.assertFalse(any(os.path.exists(f"/proc/{pid}") for pid in pids))

    def test_a_killed_leader_is_followed_by_another_and_comes_back(self):
        cluster = self.started()
        first = cluster.leader()
        first.kill()
        self.assertIsNot(cluster.leader(), first)
        cluster.put("a", "1")
        first.start()
        self.assertEqual(cluster.get("a", first), b"1")

    def test_a_paused_leader_is_followed_by_another(self):
        cluster = self.started()
        first = cluster.leader()
        others = cluster.followers()
        first.pause()
        self.assertIn(cluster.leader(among=others), others)
        self.put_on(others[0], "a")
        self.assert_silent(first)
        first.resume()
        self.assertIn(cluster.leader(), others)
        self.assertEqual(cluster.get("a", first), b"1")

    def test_without_a_quorum_nothing_is_done(self):
        cluster = self.started()
        for node in cluster.followers():
            node.kill()
        (last,) = [node for node in cluster.nodes if node.running()]
        self.assert_silent(last)
        for node in cluster.nodes:
            if not node.running():
                node.launch()
        last.wait_healthy()
        self.put_on(last, "a")


class PeerLinks(EtcdTest):

    def check_isolation(self, mode):
        cluster = self.started()
        first = cluster.leader()
        others = cluster.followers()
        cluster.isolate(first, mode)
        self.assertIn(cluster.leader(among=others), others)
        self.put_on(others[1], "a")
        self.assert_silent(first)
        cluster.heal()
        self.assertIn(cluster.leader(), others)
        self.assertEqual(cluster.get("a", first), b"1")

    def test_a_leader_whose_packets_are_dropped(self):
        self.check_isolation("hold")

    def test_a_leader_whose_connections_are_cut(self):
        self.check_isolation("cut")

    def test_a_follower_is_isolated_alone(self):
        cluster = self.started()
        leader = cluster.leader()
        lost, kept = cluster.followers()
        cluster.isolate(lost)
        self.put_on(kept, "a")
        self.assert_silent(lost)
        self.assertIs(cluster.leader(among=[leader, kept]), leader)
        cluster.heal()
        wait_until(lost.is_healthy, "it is back")
        self.assertEqual(cluster.get("a", lost), b"1")

    def test_messages_may_be_slow(self):
        cluster = self.started()
        cluster.delay_peers(20)
        cluster.put("a", "1")
        cluster.heal()
        self.assertEqual(cluster.get("a"), b"1")


class ClientLinks(EtcdTest):

    def setUp(self):
        self.cluster = self.started(size=1)
        (self.node,) = self.cluster.nodes
        self.link = self.cluster.link("some")
        (self.port,) = self.link.ports

    def ask(self, port=None):
        return etcd.call(port or self.port, "/health")

    def connected(self, port):
        """A connection that asks, of which the answer is not read yet."""
        connection = socket.create_connection((HOST, port), etcd.SECONDS_MAX)
        self.addCleanup(connection.close)
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        return connection

    def test_it_passes(self):
        self.assertEqual(self.ask(), {"health": "true"})
        self.assertEqual(self.link.endpoints, [f"http://{HOST}:{self.port}"])
        self.assertEqual(self.link.port_to(self.node), self.port)

    def test_it_passes_much_in_both_directions(self):
        value = "v" * (1 << 20)
        body = {"key": etcd.encoded("a"), "value": etcd.encoded(value)}
        self.link.delay(5)
        for _ in range(5):
            etcd.call(self.port, "/v3/kv/put", body)
        answer = etcd.call(self.port, "/v3/kv/range", {"key": body["key"]})
        self.assertEqual(answer["kvs"][0]["value"], body["value"])

    def test_a_delayed_answer_comes_after_one_that_was_asked_for_later(self):
        self.link.delay(etcd.SECONDS_MAX * 1000)
        slow = self.connected(self.port)
        self.ask(self.node.client_port)
        slow.setblocking(False)
        with self.assertRaises(BlockingIOError):
            slow.recv(1)
        self.link.delay(1)
        slow.settimeout(etcd.SECONDS_MAX)
        self.assertIn(b"200 OK", slow.recv(1 << 16))

    def test_what_it_held_arrives_later(self):
        self.link.hold()
        held = self.connected(self.port)
        with self.assertRaises(etcd.NoAnswer):
            etcd.call(self.port, "/health", seconds_max=PATIENCE)
        self.link.heal()
        self.assertIn(b"200 OK", held.recv(1 << 16))

    def test_cut_resets_and_refuses(self):
        live = self.connected(self.port)
        self.assertTrue(live.recv(1 << 16))
        self.link.cut()
        with self.assertRaises(ConnectionResetError):
            live.recv(1)
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection((HOST, self.port))
        self.link.heal()
        self.assertEqual(self.ask(), {"health": "true"})

    def test_links_of_others_are_not_touched(self):
        (other,) = self.cluster.link("other").ports
        self.link.cut()
        self.assertEqual(self.ask(other), {"health": "true"})

    def test_who_asks_a_dead_node_is_refused(self):
        self.node.kill()
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection((HOST, self.port))
        self.node.start()
        self.assertEqual(self.ask(), {"health": "true"})


class Certificates(EtcdTest):

    def test_nodes_want_a_certificate_of_their_authority(self):
        cluster = self.started(size=1, tls=True)
        self.assertTrue(cluster.endpoints[0].startswith("https://"))
        cluster.put("a", "1")
        self.assertEqual(cluster.get("a"), b"1")
        (port,) = cluster.link("some").ports
        self.assertEqual(cluster.call_port(port, "/health"),
                         {"health": "true"})
        with self.assertRaises(etcd.NoAnswer):
            etcd.call(port, "/health")
        strange = certificates.Authority(self.new_folder(), "strange")
        context = cluster.tls.authority.context(*strange.issue("client"))
        with self.assertRaises(etcd.NoAnswer):
            etcd.call(port, "/health", context=context)


class NoSpace(EtcdTest):

    def test_puts_are_refused_until_there_is_room(self):
        cluster = self.started(quota_bytes=16 << 20)
        self.assertEqual(cluster.alarms(), set())
        cluster.fill()
        with self.assertRaisesRegex(etcd.EtcdError, "space exceeded"):
            cluster.put("a", "1")
        self.assertIsNone(cluster.get("a"))
        cluster.make_room()
        self.assertEqual(cluster.alarms(), set())
        cluster.put("a", "1")
        self.assertEqual(cluster.get("a"), b"1")


if __name__ == "__main__":
    unittest.main()
