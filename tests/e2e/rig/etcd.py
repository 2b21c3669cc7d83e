# SPDX-License-Identifier: MIT
"""An etcd cluster of real nodes on loopback, with faults: nodes that are
killed, paused or restarted, and links that are slow, hold everything back, or
are cut, between a client and a node and between the nodes.

All nodes and the proxy between them end with the test.
"""

import atexit
import base64
import contextlib
import functools
import http.client
import json
import os
import shutil
import signal
import socket
import sys
import tempfile

import certificates
from harness import Process, ROOT, wait_until

ETCD = "etcd"
PROXY = os.path.join(ROOT, "tests", "e2e", "rig", "tcp_proxy.py")
SECONDS_MAX = 60
# Of one request to a node, when nothing is said.
REQUEST_SECONDS_MAX = 10


def require_etcd(test):
    """Skips a test where there is no etcd."""
    if not shutil.which(ETCD):
        test.skipTest("no etcd here")


class EtcdError(Exception):
    """A node refused a request; in etcd's words."""


class NoAnswer(Exception):
    """A node could not be reached, or did not answer in time."""


class Proxy:
    """tcp_proxy.py as a process, and how it is told what to do."""

    def __init__(self, test, folder):
        path = os.path.join(folder, "proxy")
        self.process = Process([sys.executable, PROXY, path],
                               os.path.join(folder, "proxy.log"))
        test.addCleanup(self.process.kill)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        test.addCleanup(self._socket.close)
        self._socket.settimeout(SECONDS_MAX)

        def reached():
            assert self.process.running(), self.process.log()
            with contextlib.suppress(OSError):
                self._socket.connect(path)
                return True
            return False

        wait_until(reached, "the proxy runs")
        self._answers = self._socket.makefile("rb")
        test.addCleanup(self._answers.close)

    def call(self, do, **request):
        self._socket.sendall(json.dumps({"do": do, **request}).encode() + b"\n")
        line = self._answers.readline()
        assert line, self.process.log()
        return json.loads(line)


class Node:
    """One member, over as many lives as the test wants."""

    def __init__(self, cluster, name):
        self.cluster = cluster
        self.name = name
        # Bound and not listening, they keep the ports; etcd may bind them, too.
        self._reserved = [self._reserve(), self._reserve()]
        self.client_port, self.peer_port = (
            reserved.getsockname()[1] for reserved in self._reserved)
        self.process = None
        self._lives = 0
        self.advertised = cluster.proxy.call(
            "open", target=self.peer_port, peer=name)["port"]

    def _reserve(self):
        reserved = socket.socket()
        self.cluster.test.addCleanup(reserved.close)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", 0))
        return reserved

    @property
    def endpoint(self):
        """Its URL without a proxy."""
        return self.cluster.url(self.client_port)

    @property
    def data(self):
        """Its data directory."""
        return os.path.join(self.cluster.folder, self.name)

    @property
    def pid(self):
        return self.process.pid

    def running(self):
        return self.process is not None and self.process.running()

    def launch(self):
        """Starts it and does not wait for anything."""
        assert not self.running()
        self._lives += 1
        peer = f"http://127.0.0.1:{self.peer_port}"
        tls = self.cluster.tls
        self.process = Process(
            [ETCD, "--name", self.name,
             "--data-dir", self.data,
             "--listen-client-urls", self.endpoint,
             "--advertise-client-urls", self.endpoint,
             "--listen-peer-urls", peer,
             "--initial-advertise-peer-urls", self._peer_url(),
             "--initial-cluster", ",".join(
                 f"{node.name}={node._peer_url()}"
                 for node in self.cluster.nodes),
             "--initial-cluster-token", self.cluster.folder,
             "--initial-cluster-state", "new",
             "--logger", "zap", "--log-level", "warn",
             "--log-outputs", "stderr", *(tls.options if tls else ()),
             *self.cluster.options],
            os.path.join(self.cluster.folder,
                         f"{self.name}.log.{self._lives}"))
        self.cluster.test.addCleanup(self.process.kill)
        self._tell_proxy(True)

    def _peer_url(self):
        return f"http://127.0.0.1:{self.advertised}"

    def _tell_proxy(self, up):
        self.cluster.proxy.call("up", target=self.peer_port, up=up,
                                peer=self.name, pid=self.pid)
        self.cluster.proxy.call("up", target=self.client_port, up=up)

    def start(self):
        """Starts it and waits until it serves."""
        self.launch()
        self.wait_healthy()

    def kill(self):
        """kill -9."""
        self.process.kill()
        self._tell_proxy(False)

    def pause(self):
        """SIGSTOP: connections stay, and nothing answers."""
        self.process.signal(signal.SIGSTOP)

    def resume(self):
        self.process.signal(signal.SIGCONT)

    def call(self, path, body=None, seconds_max=REQUEST_SECONDS_MAX):
        """A request to etcd's JSON gateway; its answer as a dict."""
        return self.cluster.call_port(self.client_port, path, body, seconds_max)

    def is_healthy(self):
        """Whether it does what needs a quorum."""
        assert self.process.running(), self.process.log()
        try:
            return self.call("/health", seconds_max=3).get("health") == "true"
        except (NoAnswer, EtcdError):
            return False

    def wait_healthy(self):
        wait_until(self.is_healthy, f"{self.name} is healthy", SECONDS_MAX)

    def status(self):
        return self.call("/v3/maintenance/status", {})


class Tls:
    """Certificates of nodes that show one to their clients and want one of them;
    between each other they need none."""

    def __init__(self, folder):
        self.authority = certificates.Authority(folder)
        server, server_key = self.authority.issue("server")
        self.client, self.client_key = self.authority.issue("client")
        self.context = self.authority.context(self.client, self.client_key)
        self.options = [
            "--cert-file", server, "--key-file", server_key,
            "--trusted-ca-file", self.authority.certificate,
            "--client-cert-auth"]


def call(port, path, body=None, seconds_max=REQUEST_SECONDS_MAX, context=None):
    """A request to the JSON gateway of whatever listens on a port: a GET without
    a body, TLS with a context. Raises EtcdError or NoAnswer."""
    connection = (
        http.client.HTTPSConnection("127.0.0.1", port, timeout=seconds_max,
                                    context=context) if context else
        http.client.HTTPConnection("127.0.0.1", port, timeout=seconds_max))
    try:
        if body is None:
            connection.request("GET", path)
        else:
            connection.request("POST", path, json.dumps(body))
        response = connection.getresponse()
        text = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise NoAnswer(f"{path}: {error!r}") from error
    finally:
        connection.close()
    answer = json.loads(text)
    if response.status != 200:
        raise EtcdError(answer.get("error") or text.decode())
    return answer


def encoded(word):
    """Bytes of a key or value as the gateway has them."""
    data = word if isinstance(word, bytes) else word.encode()
    return base64.b64encode(data).decode()


class _Program:
    """Stands for a test where something lasts as long as this program."""

    addCleanup = staticmethod(atexit.register)

    @staticmethod
    def new_folder():
        folder = tempfile.mkdtemp(prefix="kvd-", dir="/tmp")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        return folder


@functools.cache
def shared_node():
    """One node for all kvds of this program whose tests ask for no cluster."""
    return Cluster(_Program(), size=1).start().nodes[0]


class Link:
    """The ways of one client to all nodes, each through the proxy."""

    def __init__(self, cluster, name):
        self._cluster = cluster
        self._name = name
        self.ports = [
            cluster.proxy.call("open", target=node.client_port,
                               link=self._to(node))["port"]
            for node in cluster.nodes]
        for node in cluster.nodes:
            if node.running():
                cluster.proxy.call("up", target=node.client_port, up=True)

    @property
    def endpoints(self):
        """In the order of the cluster's nodes."""
        return [self._cluster.url(port) for port in self.ports]

    def port_to(self, node):
        return self.ports[self._cluster.nodes.index(node)]

    def _to(self, node):
        return f"{self._name}>{node.name}"

    def _set(self, node, mode, ms=0):
        for one in [node] if node else self._cluster.nodes:
            self._cluster.proxy.call("set", link=self._to(one), mode=mode,
                                     ms=ms)

    # Each for one node, or for all.

    def delay(self, ms, node=None):
        """Both ways, so that an answer takes twice that."""
        self._set(node, "delay", ms)

    def hold(self, node=None):
        """As if packets were dropped."""
        self._set(node, "hold")

    def cut(self, node=None):
        """Resets connections and refuses new ones."""
        self._set(node, "cut")

    def heal(self, node=None):
        self._set(node, "pass")


class Cluster:
    """`quota_bytes`: beyond it etcd takes no puts (NOSPACE). `tls`: with
    certificates, of clients, too; .tls has them then."""

    def __init__(self, test, size=3, quota_bytes=None, options=(), tls=False):
        require_etcd(test)
        self.test = test
        self.folder = test.new_folder()
        self.options = list(options)
        if quota_bytes:
            self.options += ["--quota-backend-bytes", str(quota_bytes)]
        self.tls = Tls(self.folder) if tls else None
        self.proxy = Proxy(test, self.folder)
        self.nodes = []
        for number in range(1, size + 1):
            self.nodes.append(Node(self, f"n{number}"))

    def start(self):
        """Starts all nodes and waits until they serve."""
        for node in self.nodes:
            node.launch()
        self.wait_healthy()
        return self

    def wait_healthy(self):
        """Until all nodes are."""
        for node in self.nodes:
            node.wait_healthy()

    def stop(self):
        for node in self.nodes:
            if node.running():
                node.kill()

    def save(self):
        """Kills all nodes, puts their data aside, and starts them again."""
        self.stop()
        for node in self.nodes:
            shutil.copytree(node.data, node.data + ".saved")
        return self.start()

    def restore(self):
        """The same, with the data of save()."""
        self.stop()
        for node in self.nodes:
            shutil.rmtree(node.data)
            os.rename(node.data + ".saved", node.data)
        return self.start()

    def link(self, name):
        return Link(self, name)

    def url(self, port):
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{port}"

    def call_port(self, port, path, body=None, seconds_max=REQUEST_SECONDS_MAX):
        """call() with the certificates that it takes."""
        return call(port, path, body, seconds_max,
                    self.tls.context if self.tls else None)

    @property
    def endpoints(self):
        """Without a proxy."""
        return [node.endpoint for node in self.nodes]

    # --- Who leads -----------------------------------------------------------

    def leader(self, among=None):
        """The node that all of those (that run) take for the leader, once they
        agree on one of them."""
        nodes = among or [node for node in self.nodes if node.running()]
        return wait_until(lambda: self._agreed(nodes), "there is a leader",
                          SECONDS_MAX)

    def followers(self):
        leader = self.leader()
        return [node for node in self.nodes if node is not leader]

    @staticmethod
    def _agreed(nodes):
        try:
            statuses = [node.call("/v3/maintenance/status", {}, seconds_max=3)
                        for node in nodes]
        except (NoAnswer, EtcdError):
            return None
        leaders = {status.get("leader") for status in statuses}
        for node, status in zip(nodes, statuses):
            if leaders == {status["header"]["member_id"]}:
                return node
        return None

    # --- Faults between nodes ------------------------------------------------

    def isolate(self, node, mode="hold"):
        """Lets nothing pass between it and the others; clients reach it. The
        mode may also be "cut"."""
        for other in self.nodes:
            if other is not node:
                self._set_peers(node, other, mode)

    def delay_peers(self, ms):
        """Each message between nodes takes so long."""
        for node in self.nodes:
            for other in self.nodes[:self.nodes.index(node)]:
                self._set_peers(node, other, "delay", ms)

    def heal(self):
        """All links between nodes pass again."""
        for node in self.nodes:
            for other in self.nodes[:self.nodes.index(node)]:
                self._set_peers(node, other, "pass")

    def _set_peers(self, one, other, mode, ms=0):
        self.proxy.call("set", link="-".join(sorted((one.name, other.name))),
                        mode=mode, ms=ms)

    # --- What is in it -------------------------------------------------------

    def call(self, path, body, seconds_max=REQUEST_SECONDS_MAX):
        """The answer of the first node that gives one."""
        for node in self.nodes:
            if node.running():
                with contextlib.suppress(NoAnswer):
                    return node.call(path, body, seconds_max)
        raise NoAnswer(path)

    def put(self, key, value):
        """The revision that it makes."""
        answer = self.call("/v3/kv/put", {"key": encoded(key),
                                          "value": encoded(value)})
        return int(answer["header"]["revision"])

    def delete(self, key):
        self.call("/v3/kv/deleterange", {"key": encoded(key)})

    def get(self, key, node=None):
        """The value, or None; linearizable."""
        ask = node.call if node else self.call
        pairs = ask("/v3/kv/range", {"key": encoded(key)}).get("kvs")
        return base64.b64decode(pairs[0].get("value", "")) if pairs else None

    def all_with(self, prefix):
        """{key: value} of all keys that begin so, as bytes."""
        first = prefix.encode()
        end = first[:-1] + bytes([first[-1] + 1])
        pairs = self.call("/v3/kv/range", {"key": encoded(first),
                                           "range_end": encoded(end)})
        return {base64.b64decode(pair["key"]):
                base64.b64decode(pair.get("value", ""))
                for pair in pairs.get("kvs", [])}

    def revision(self):
        answer = self.call("/v3/kv/range", {"key": encoded("-")})
        return int(answer["header"]["revision"])

    def compact(self, revision=None):
        """Forgets older revisions, for good, unless that has been done."""
        try:
            self.call("/v3/kv/compaction", {
                "revision": str(revision or self.revision()),
                "physical": True})
        except EtcdError as error:
            if "has been compacted" not in str(error):
                raise

    # --- No space left -------------------------------------------------------

    def alarms(self):
        answer = self.call("/v3/maintenance/alarm", {"action": "GET"})
        return {alarm["alarm"] for alarm in answer.get("alarms", [])}

    def fill(self, prefix="filling/"):
        """Puts values until there is no space left; a quota has to be small."""
        value = "x" * (512 << 10)
        for number in range(1000):
            try:
                self.put(f"{prefix}{number}", value)
            except EtcdError as error:
                if "space exceeded" not in str(error):
                    raise
                # A member that had room for it has not raised the alarm yet.
                wait_until(lambda: "NOSPACE" in self.alarms(), "the alarm")
                return
        raise AssertionError("the quota is too large to fill")

    def make_room(self, prefix="filling/"):
        """Removes what fill() has put, and lets etcd write again."""
        for key in self.all_with(prefix):
            self.delete(key)
        self.compact()
        for node in self.nodes:
            if node.running():
                node.call("/v3/maintenance/defragment", {},
                          seconds_max=SECONDS_MAX)
        for alarm in self.call("/v3/maintenance/alarm",
                               {"action": "GET"}).get("alarms", []):
            self.call("/v3/maintenance/alarm", {**alarm,
                                                "action": "DEACTIVATE"})
