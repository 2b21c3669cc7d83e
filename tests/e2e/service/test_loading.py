# SPDX-License-Identifier: MIT
"""What clients, people and the service manager meet while kvd loads.

Loading is held at a segment for as long as a test likes: strace delays whoever
reads it.
"""

import os
import re
import signal
import socket
import tempfile
import threading
import unittest
from unittest.mock import ANY

from harness import Closed, Connection, E2eTest, Manager, ReplyError
from harness import activate, as_map, wait_until

KEYS = 2000
LOADING = re.compile(r"LOADING kvd is loading the data; \d+% done"
                     r"(, about \d+ s left)?")


class Gate:
    """Holds up whoever reads the file, until open()."""

    def __init__(self, test, path):
        handle, self._log = tempfile.mkstemp(dir=test.new_folder())
        os.close(handle)
        reads = "pread64,preadv,read"
        # -D makes the program, not strace, the child of the test.
        self.wrap = ["strace", "-D", "-f", "-q", "-o", self._log, "-P", path,
                     "-e", f"trace={reads}",
                     "-e", f"inject={reads}:delay_enter=600s"]

    def wait_until_reached(self):
        def reached():
            with open(self._log, encoding="utf-8") as log:
                return "read" in log.read()

        wait_until(reached, "somebody reads the held file")

    @staticmethod
    def open(pid):
        """Lets all threads of that process go on: they lose their tracer."""
        def tracer():
            with open(f"/proc/{pid}/status", encoding="utf-8") as status:
                return int(re.search(r"TracerPid:\s+(\d+)", status.read())[1])

        if tracer() != 0:
            os.kill(tracer(), signal.SIGKILL)
            # A signal that reaches a dying tracer instead is lost.
            wait_until(lambda: tracer() == 0, "the tracer is gone")


class LoadingTest(E2eTest):
    """A store of several segments, of which one is held."""

    threaded = True

    def setUp(self):
        self.manager = Manager(self)
        self.kvd = self.daemon(settings={"log.segment_size": "256KiB"},
                               env={"NOTIFY_SOCKET": self.manager.path})
        self.kvd.start()
        with self.kvd.connect() as client:
            client.pipeline([("SET", f"k{i}", "x" * 1000)
                             for i in range(KEYS)])
        self.kvd.stop()
        # Else nobody would read a segment.
        for hint in self.kvd.files(".hint"):
            os.unlink(hint)
        self.manager.forget()

    def launch_and_hold(self, wrap=()):
        """A daemon that waits in the middle of the log."""
        segments = self.kvd.files(".seg")
        self.assertGreater(len(segments), 5)
        gate = Gate(self, segments[len(segments) // 2])
        self.kvd.wrap = [*gate.wrap, *wrap]
        self.kvd.launch()
        self.addCleanup(self.let_go)
        gate.wait_until_reached()

    def let_go(self):
        """Nothing holds the loading any more."""
        self.kvd.wrap = []
        if self.kvd.process.running():
            Gate.open(self.kvd.process.pid)

    def content(self):
        """The bytes of the MANIFEST and the segments."""
        found = {}
        for path in self.kvd.files("MANIFEST") + self.kvd.files(".seg"):
            with open(path, "rb") as stream:
                found[path] = stream.read()
        return found

    def assert_loading(self, reply):
        self.assertIsInstance(reply, ReplyError)
        self.assertRegex(reply, LOADING)

    def assert_all_there(self):
        self.assertEqual(self.kvd.call("DBSIZE"), KEYS)


class WhileItLoads(LoadingTest):
    """Whoever asks gets an answer."""

    def test_clients_are_answered(self):
        self.launch_and_hold()
        client = self.kvd.connect()
        self.assertEqual(client.call("PING"), "PONG")
        self.assert_loading(client.call("GET", "k1"))
        self.assert_loading(client.call("SET", "k1", "v"))
        self.assert_loading(client.call("DBSIZE"))
        self.assertEqual(client.call("CLIENT", "SETNAME", "early"), "OK")
        self.assertEqual(client.call("SELECT", "0"), "OK")
        self.assertIn(b"early", client.call("CLIENT", "LIST"))
        self.assertGreater(client.call("COMMAND", "COUNT"), 50)
        # A pipeline is answered in order.
        replies = client.pipeline([("PING",), ("INCR", "n"), ("ECHO", "end")])
        self.assertEqual((replies[0], replies[2]), ("PONG", b"end"))
        self.assert_loading(replies[1])
        with self.kvd.connect() as other:
            self.assertEqual(as_map(other.call("HELLO", "3"))["proto"], 3)
            self.assert_loading(other.call("GET", "k1"))
            self.assertEqual(other.call("RESET"), "RESET")
            self.assertEqual(other.call("QUIT"), "OK")
            self.assertEqual(other.rest(), b"")

        # The same connection goes on when the data is there.
        self.let_go()
        self.assertEqual(client.call_when_loaded("GET", "k1"), b"x" * 1000)
        self.assertEqual(client.call("SET", "k1", "v"), "OK")
        self.assertEqual(client.call("CLIENT", "GETNAME"), b"early")
        self.assertEqual(client.call("EXISTS", "n"), 0)
        self.assert_all_there()

    def test_info_and_status_show_the_progress(self):
        self.launch_and_hold()
        info = self.kvd.info()
        self.assertEqual(info["loading"], "1")
        total = int(info["loading_total_bytes"])
        loaded = int(info["loading_loaded_bytes"])
        self.assertGreater(total, KEYS * 1000)
        self.assertGreater(loaded, 0)
        self.assertLess(loaded, total)
        self.assertAlmostEqual(float(info["loading_loaded_perc"]),
                               100 * loaded / total, delta=0.01)
        self.assertGreater(int(info["loading_start_time"]), 1_700_000_000)
        self.assertGreaterEqual(int(info["loading_eta_seconds"]), 0)
        status = self.kvd.status()
        self.assertEqual(status["state"], b"loading")
        self.assertEqual(status["loaded_bytes"], loaded)
        self.assertEqual(status["loading_bytes"], total)
        self.assertNotIn("keys", status)

        self.let_go()
        self.kvd.wait_ready()
        info = self.kvd.info()
        self.assertEqual(info["loading"], "0")
        self.assertNotIn("loading_total_bytes", info)
        self.assertEqual(self.kvd.status()["state"], b"ok")
        self.assertEqual(self.kvd.status()["keys"], KEYS)

    def test_the_manager_hears_of_progress_and_of_readiness_only_then(self):
        self.launch_and_hold()
        self.manager.wait_for("STATUS=Loading: segment ")
        self.manager.wait_for("EXTEND_TIMEOUT_USEC=")
        # It answers clients by now, and still is not ready.
        self.assertEqual(self.kvd.call("PING"), "PONG")
        self.assertNotIn("READY=1", self.manager.lines())
        self.let_go()
        self.manager.wait_for("READY=1")
        self.assert_all_there()

    def test_the_watchdog_is_fed(self):
        self.kvd.env["WATCHDOG_USEC"] = "1000000"
        self.launch_and_hold()
        for _ in range(3):
            self.manager.forget()
            self.manager.wait_for("WATCHDOG=1")

    def test_a_passed_socket(self):
        listening = socket.socket(socket.AF_UNIX)
        self.addCleanup(listening.close)
        listening.bind(self.kvd.socket_path)
        listening.listen(10)
        self.kvd.pass_fds = (listening.fileno(),)
        self.launch_and_hold(activate(listening))
        client = self.kvd.connect()
        self.assert_loading(client.call("GET", "k1"))
        self.let_go()
        self.assertEqual(client.call_when_loaded("GET", "k1"), b"x" * 1000)
        self.kvd.stop()

    def test_a_second_daemon_is_refused(self):
        self.launch_and_hold()
        for options, code in (({"data_dir": self.kvd.data_dir}, 3),
                              ({"socket_path": self.kvd.socket_path}, 1)):
            second = self.daemon(**options)
            self.assertEqual(second.refuses_to_start(), (code, ANY))
        self.assertEqual(self.kvd.call("PING"), "PONG")


class Kvctl(LoadingTest):
    """The command line while kvd loads."""

    def test_commands_say_how_long_it_takes(self):
        self.launch_and_hold()
        for words in (["get", "k1"], ["set", "k1", "v"], ["ls"], ["ping"],
                      ["--db", "1", "exists", "k1"]):
            result = self.kvd.kvctl(*words)
            self.assertEqual(result.returncode, 3, words)
            self.assertEqual(result.stdout, b"")
            self.assertRegex(
                result.stderr.decode(),
                r"^kvctl: kvd is loading the data; \d+% done"
                r"(, about \d+ s left)?; use --wait 30s\n$")
        result = self.kvd.kvctl("ls", "--wait", "20ms")
        self.assertEqual(result.returncode, 3)
        self.assertEqual(self.kvd.kvctl("call", "PING").stdout, b"PONG\n")

    def test_status_shows_the_progress(self):
        self.launch_and_hold()
        result = self.kvd.kvctl("status")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertRegex(
            result.stdout.decode(),
            r"(?m)^loading: \d+% done, about \d+ s left\n"
            r"loaded \S+ \S+ of \S+ MiB   sync always\n")

    def wait_for_the_end(self, *words):
        """What kvctl answers that was told to wait before the gate opened."""
        self.launch_and_hold()
        results = []
        worker = threading.Thread(target=lambda: results.append(
            self.kvd.kvctl(*words, "--wait", "100s")))
        worker.start()
        # It asks, is refused, and asks again.
        wait_until(lambda: self.refusals() > 1, "kvctl asks again")
        self.assertEqual(results, [])
        self.let_go()
        worker.join()
        self.assertEqual(results[0].returncode, 0, results[0].stderr)
        return results[0].stdout

    def refusals(self):
        text = self.kvd.call("INFO", "commandstats").decode()
        return sum(int(count) for count
                   in re.findall(r"rejected_calls=(\d+)", text))

    def test_ping_waits_until_the_data_is_there(self):
        self.assertEqual(self.wait_for_the_end("ping"), b"PONG\n")

    def test_get_waits_until_the_data_is_there(self):
        self.assertEqual(self.wait_for_the_end("get", "k1"), b"x" * 1000)


class EndsWhileItLoads(LoadingTest):
    """A stop does not wait for the data, and damage does not leave clients."""

    def stop_at_the_gate(self, stop):
        before = self.content()
        self.launch_and_hold()
        client = self.kvd.connect()
        self.assertEqual(client.call("PING"), "PONG")
        stop(client)
        self.assertEqual(client.rest(), b"")
        wait_until(lambda: "gave up loading" in self.kvd.log(), "it gives up")
        self.let_go()
        self.assertEqual(self.kvd.process.wait(), 0, self.kvd.log())
        self.assertNotIn("READY=1", self.manager.lines())
        self.assertIn("STOPPING=1", self.manager.lines())
        self.assertFalse(os.path.exists(self.kvd.socket_path))
        self.assertTrue(self.content() == before, "a file was changed")
        self.kvd.start()
        self.assert_all_there()

    def test_sigterm(self):
        self.stop_at_the_gate(lambda _: self.kvd.signal(signal.SIGTERM))

    def test_sigint(self):
        self.stop_at_the_gate(lambda _: self.kvd.signal(signal.SIGINT))

    def test_shutdown(self):
        def shutdown(_):
            with self.kvd.connect() as other:
                with self.assertRaises(Closed):
                    other.call("SHUTDOWN")

        self.stop_at_the_gate(shutdown)

    def test_kill(self):
        self.launch_and_hold()
        self.kvd.kill()
        self.let_go()
        self.kvd.start()
        self.assert_all_there()

    def test_damage_ends_it_with_its_exit_code_and_closes_clients(self):
        with open(self.kvd.files(".seg")[-2], "r+b") as damaged:
            damaged.seek(100_000)
            byte = damaged.read(1)
            damaged.seek(100_000)
            damaged.write(bytes([byte[0] ^ 1]))
        self.launch_and_hold()
        client = self.kvd.connect()
        self.assertEqual(client.call("PING"), "PONG")
        queued = Connection(self.kvd.socket_path)
        self.addCleanup(queued.close)
        self.let_go()
        self.assertEqual(self.kvd.process.wait(), 7, self.kvd.log())
        self.assertEqual(client.rest() + queued.rest(), b"")
        self.assertIn("kvd verify", self.kvd.log())
        self.assertNotIn("READY=1", self.manager.lines())
        self.assertFalse(os.path.exists(self.kvd.socket_path))


if __name__ == "__main__":
    unittest.main()
