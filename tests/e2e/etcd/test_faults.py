# SPDX-License-Identifier: MIT
"""Two kvds on one etcd that suffers faults at random: nothing acknowledged is
lost, nothing done twice, and no read is stale.

KVD_ETCD_FAULTS says how many faults, KVD_SEED replays a run.
"""

import json
import os
import random
import time
import unittest

import etcd
from harness import E2eTest, KVD_ETCD, ReplyError, say, scaled
from harness import seed_from_environment, wait_until
from workload import Workload

FAULTS = int(os.environ.get("KVD_ETCD_FAULTS", scaled(15, 5)))
CLIENTS = 8
# Of each kvd's requests; the second is the default.
TIMEOUTS_MS = {"a": 2000, "b": 5000}
TIMEOUT_MS = min(TIMEOUTS_MS.values())
# Between the end of a fault and the next.
CALM_SECONDS = 0.5
# What clients have to get done there.
CALM_COMMANDS = 100


class Host:
    """A kvd and its ways to all nodes."""

    def __init__(self, test, cluster, name, timeout_ms):
        self.link = cluster.link(name)
        self.kvd = test.daemon(program=KVD_ETCD)
        self.config = os.path.join(self.kvd.folder, "kvd.toml")
        with open(self.config, "w", encoding="utf-8") as stream:
            stream.write(f'[storage]\nbackend = "etcd"\n[etcd]\n'
                         f'endpoints = {json.dumps(self.link.endpoints)}\n'
                         f'timeout = "{timeout_ms}ms"\n')

    def start(self):
        return self.kvd.start("--config", self.config)

    def serves(self):
        """Whether it writes and reads."""
        if not self.kvd.process.running():
            raise AssertionError(f"kvd ended:\n{self.kvd.log()}")
        key = f"probe:{self.kvd.socket_path}"
        replies = [self.kvd.call("SET", key, "1"), self.kvd.call("GET", key)]
        return not any(isinstance(reply, ReplyError) for reply in replies)


class RandomFaults(E2eTest):

    def setUp(self):
        etcd.require_etcd(self)
        if not os.path.exists(KVD_ETCD):
            self.skipTest("kvd-etcd is not built")
        self.seed = seed_from_environment(1)
        self.random = random.Random(self.seed)
        self.cluster = etcd.Cluster(self).start()
        self.hosts = [Host(self, self.cluster, name, timeout_ms)
                      for name, timeout_ms in TIMEOUTS_MS.items()]
        self.without_leader = 0.0
        for host in self.hosts:
            host.start()

    def test_faults_at_random(self):
        faults = [self.kill_leader, self.pause_leader, self.isolate_leader,
                  self.pause_any, self.stop_quorum, self.kill_kvd,
                  self.hold_link, self.cut_link, self.delay_answers,
                  self.compact]
        load = Workload([host.kvd.socket_path for host in self.hosts], CLIENTS,
                        self.seed)
        load.start()
        for number in range(FAULTS):
            fault = self.random.choice(faults)
            say(f"{number}: {fault.__name__} (seed {self.seed})")
            fault()
            self.cluster.wait_healthy()
            for host in self.hosts:
                wait_until(host.serves, f"service after {fault.__name__}")
            enough = load.done + CALM_COMMANDS
            wait_until(lambda: load.failed() or load.done >= enough,
                       f"progress after {fault.__name__}")
            if load.failed():
                break
            self.rest(CALM_SECONDS)
        load.stop()
        for host in self.hosts:
            load.check(host.kvd.socket_path)
        say(f"{load.done} done, {load.refused} refused, {load.unknown} unknown,"
            f" longest gap {load.gap():.1f} s, after a leader's death "
            f"{self.without_leader:.1f} s")

    def rest(self, most):
        time.sleep(self.random.uniform(0, most))

    def host(self):
        return self.random.choice(self.hosts)

    # --- Faults, each with its end -------------------------------------------

    def kill_leader(self):
        leader = self.cluster.leader()
        killed = time.monotonic()
        leader.kill()
        for host in self.hosts:
            wait_until(host.serves, "service without the leader")
        seconds = time.monotonic() - killed
        self.without_leader = max(self.without_leader, seconds)
        say(f"  served again after {seconds:.1f} s")
        leader.start()

    def pause_leader(self):
        self.pause(self.cluster.leader())

    def pause_any(self):
        self.pause(self.random.choice(self.cluster.nodes))

    def pause(self, *nodes):
        for node in nodes:
            node.pause()
        self.rest(2 * TIMEOUT_MS / 1000)
        for node in nodes:
            node.resume()

    def stop_quorum(self):
        self.pause(*self.random.sample(self.cluster.nodes, 2))

    def isolate_leader(self):
        leader = self.cluster.leader()
        self.cluster.isolate(leader, self.random.choice(["hold", "cut"]))
        self.rest(2 * TIMEOUT_MS / 1000)
        self.cluster.heal()

    def kill_kvd(self):
        """Between commit and reply, with some luck: answers are slow."""
        host = self.host()
        host.link.delay(self.random.randint(0, 50))
        self.rest(0.5)
        host.kvd.kill()
        host.link.heal()
        host.start()

    def hold_link(self):
        link = self.host().link
        link.hold(self.random.choice([None, *self.cluster.nodes]))
        self.rest(2 * TIMEOUT_MS / 1000)
        link.heal()

    def cut_link(self):
        link = self.host().link
        link.cut(self.random.choice([None, *self.cluster.nodes]))
        self.rest(TIMEOUT_MS / 1000)
        link.heal()

    def delay_answers(self):
        link = self.host().link
        link.delay(self.random.randint(TIMEOUT_MS // 2, 2 * TIMEOUT_MS))
        self.rest(3 * TIMEOUT_MS / 1000)
        link.heal()

    def compact(self):
        self.cluster.compact()


if __name__ == "__main__":
    unittest.main()
