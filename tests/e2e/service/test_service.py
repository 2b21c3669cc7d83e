# SPDX-License-Identifier: MIT
"""kvd as a service: what it says to systemd and what it takes from it."""

import os
import shutil
import signal
import socket
import unittest

from harness import KVD, Connection, E2eTest, Manager, activate, command
from harness import scaled, wait_until


class Notify(E2eTest):
    """READY, STATUS, STOPPING, EXTEND_TIMEOUT_USEC, WATCHDOG."""

    def setUp(self):
        self.manager = Manager(self)
        self.kvd = self.daemon(env={"NOTIFY_SOCKET": self.manager.path})

    def test_ready_status_stopping(self):
        self.kvd.launch()
        self.manager.wait_for("READY=1")
        # Ready means ready: the very next connection is served.
        self.assertEqual(self.kvd.call("PING"), "PONG")
        self.assertIn("STATUS=Serving", self.manager.lines())
        self.assertNotIn("STOPPING=1", self.manager.lines())
        self.kvd.stop()
        self.manager.wait_for("STOPPING=1")
        lines = self.manager.lines()
        self.assertLess(lines.index("READY=1"), lines.index("STOPPING=1"))

    def test_a_refused_start_is_never_ready(self):
        self.kvd.start()
        self.manager.wait_for("READY=1")
        other = Manager(self)
        second = self.daemon(data_dir=self.kvd.data_dir,
                             env={"NOTIFY_SOCKET": other.path})
        code, _ = second.refuses_to_start()
        self.assertEqual(code, 3)
        self.assertNotIn("READY=1", other.lines())

    def test_loading_extends_the_timeout_and_shows_progress(self):
        self.kvd.settings["log.segment_size"] = "256KiB"
        self.kvd.start()
        with self.kvd.connect() as client:
            client.pipeline([("SET", f"k{i}", "x" * 1000)
                             for i in range(scaled(5000, 1000))])
        self.kvd.kill()
        self.manager.forget()
        self.kvd.launch()
        self.manager.wait_for("READY=1")
        lines = self.manager.lines()
        before_ready = lines[:lines.index("READY=1")]
        extensions = [line for line in before_ready
                      if line.startswith("EXTEND_TIMEOUT_USEC=")]
        self.assertGreater(len(extensions), 2)
        self.assertGreater(int(extensions[0].split("=")[1]), 1_000_000)
        progress = [line for line in before_ready
                    if line.startswith("STATUS=Loading: segment ")]
        self.assertIn(" 0 %", progress[0])
        self.assertIn("100 %", progress[-1])

    def test_the_watchdog_is_fed(self):
        self.kvd.env["WATCHDOG_USEC"] = "2000000"
        self.kvd.start()
        self.kvd.env.pop("WATCHDOG_USEC")
        for _ in range(3):
            self.manager.forget()
            self.manager.wait_for("WATCHDOG=1")

    def test_sigint_and_sigterm_stop_in_the_middle_of_clients(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            self.kvd.start()
            clients = [self.kvd.connect() for _ in range(20)]
            for client in clients:
                client.send(command("INCR", "n") * 100)
            answered = clients[0].reply()
            self.assertGreater(answered, 0)
            self.kvd.signal(number)
            self.assertEqual(self.kvd.process.wait(), 0, self.kvd.log())
            highest = answered
            for client in clients:
                # What was answered before the end counts, whole replies only.
                replies = client.rest().split(b"\r\n")
                self.assertEqual(replies[-1], b"")
                highest = max([highest] + [int(line[1:]) for line
                                           in replies[:-1]
                                           if line.startswith(b":")])
            self.kvd.start()
            self.assertGreaterEqual(int(self.kvd.call("GET", "n")), highest)
            self.kvd.call("DEL", "n")
            self.kvd.stop()

    def test_sighup_does_not_end_it(self):
        self.kvd.start()
        self.kvd.signal(signal.SIGHUP)
        self.assertEqual(self.kvd.call("PING"), "PONG")
        self.assertTrue(self.kvd.process.running())

    def test_a_stop_does_not_wait_for_a_client_that_never_reads(self):
        self.kvd.start()
        self.kvd.call("SET", "big", b"x" * 1_000_000)
        client = self.kvd.connect()
        client.send(command("GET", "big") * 50)
        self.assertEqual(self.kvd.call("PING"), "PONG")
        self.kvd.stop()

    def test_a_stop_during_the_start(self):
        self.kvd.settings["log.segment_size"] = "256KiB"
        self.kvd.start()
        with self.kvd.connect() as client:
            client.pipeline([("SET", f"k{i}", "x" * 1000)
                             for i in range(2000)])
        self.kvd.stop()
        self.manager.forget()
        self.kvd.launch()
        self.manager.wait_for("STATUS=Loading")
        self.kvd.signal(signal.SIGTERM)
        self.assertEqual(self.kvd.process.wait(), 0, self.kvd.log())
        self.kvd.start()
        self.assertEqual(self.kvd.call("DBSIZE"), 2000)


class Journal(E2eTest):
    """Log lines as the journal wants them."""

    def log_of_a_life(self, journal_names_stderr):
        """The log of a daemon whose JOURNAL_STREAM names its stderr or not."""
        folder = self.new_folder()
        daemon = self.daemon(folder=folder)
        # The harness opens this very file for stderr.
        path = os.path.join(folder, "log.1")
        with open(path, "wb"):
            pass
        status = os.stat(path)
        daemon.env = {"JOURNAL_STREAM":
                      f"{status.st_dev}:{status.st_ino}"
                      if journal_names_stderr else "1:1"}
        daemon.start()
        daemon.stop()
        return daemon.log().splitlines()

    def test_priorities_go_to_the_journal(self):
        lines = self.log_of_a_life(True)
        self.assertTrue(lines)
        for line in lines:
            self.assertRegex(line, r"^<[3-7]>\S")
        self.assertTrue(any("ready" in line for line in lines))

    def test_elsewhere_lines_have_a_time_and_a_level(self):
        for line in self.log_of_a_life(False):
            self.assertRegex(line, r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} "
                                   r"(info|warning|error)  ?\S")


class SocketActivation(E2eTest):
    """The socket comes from the service manager."""

    def test_systemd_socket_activate(self):
        tool = shutil.which("systemd-socket-activate")
        if tool is None:
            self.skipTest("systemd-socket-activate is not installed")
        folder = self.new_folder()
        path = os.path.join(folder, "s")
        process = self.background(
            [tool, "--listen", path, KVD, "--data-dir",
             os.path.join(folder, "data"), "--set", "log.segment_size=1MiB"])

        def listens():
            self.assertTrue(process.running(), process.log())
            # The name is there before anybody listens.
            with open("/proc/net/unix", encoding="utf-8") as stream:
                return any(line.split()[3] == "00010000"
                           for line in stream if line.rstrip().endswith(path))

        wait_until(listens, "the manager listens")
        # The first client starts kvd, and waits in the queue until it answers.
        with Connection(path) as client:
            self.assertEqual(client.call_when_loaded("SET", "k", "v"), "OK")
            self.assertEqual(client.call("GET", "k"), b"v")
            self.assertIn(f"unixsocket:{path}\r\n".encode(),
                          client.call("INFO", "server"))
        process.signal(signal.SIGTERM)
        self.assertEqual(process.wait(), 0, process.log())
        # The socket is the manager's: kvd leaves its name alone.
        self.assertTrue(os.path.exists(path))

    def test_clients_queue_over_a_restart(self):
        # As kvd.socket does it: the listening socket outlives the daemon.
        folder = self.new_folder()
        path = os.path.join(folder, "s")
        listening = socket.socket(socket.AF_UNIX)
        self.addCleanup(listening.close)
        listening.bind(path)
        listening.listen(100)
        daemon = self.daemon(folder=folder, socket_path=path,
                             wrap=activate(listening),
                             pass_fds=(listening.fileno(),))
        for life in range(3):
            waiting = Connection(path)
            self.addCleanup(waiting.close)
            waiting.send(command("PING"))
            daemon.launch()
            self.assertEqual(waiting.reply(), "PONG")
            self.assertEqual(waiting.call_when_loaded("INCR", "n"), life + 1)
            daemon.stop()

    def test_something_else_than_a_listening_socket_is_refused(self):
        folder = self.new_folder()
        with socket.socket(socket.AF_UNIX) as plain:
            daemon = self.daemon(folder=folder, wrap=activate(plain),
                                 pass_fds=(plain.fileno(),))
            code, log = daemon.refuses_to_start()
        self.assertEqual(code, 1, log)
        self.assertIn("service manager", log)


if __name__ == "__main__":
    unittest.main()
