# SPDX-License-Identifier: MIT
"""kvd-etcd as a service of a machine with systemd, as lib/etcd/OPERATING.md has
it: kvd.service, the drop-in, certificates by LoadCredential=, and an etcd that
wants them."""

import os
import shutil
import signal
import time
import unittest

import certificates
import etcd
from harness import E2eTest, KVD_ETCD, wait_until
from machine import Machine

CREDENTIALS = "/run/credentials/kvd.service"
FILES = "/usr/local/etc/kvd/etcd"
DROP_INS = "/etc/systemd/system/kvd.service.d"
SETTINGS = """
[storage]
backend = "etcd"
[etcd]
endpoints = ["https://127.0.0.1:2379"]
timeout = "1s"
ca_file = "{0}ca.pem"
cert_file = "{0}cert.pem"
key_file = "{0}key.pem"
"""
ETCD_UNIT = """
[Service]
Type=notify
StateDirectory=etcd
ExecStart=/opt/etcd --data-dir /var/lib/etcd --log-level warn \
  --listen-client-urls https://127.0.0.1:2379 \
  --advertise-client-urls https://127.0.0.1:2379 \
  --listen-peer-urls http://127.0.0.1:2380 \
  --cert-file /etc/etcd/cert.pem --key-file /etc/etcd/key.pem \
  --trusted-ca-file /etc/etcd/ca.pem --client-cert-auth
"""


@unittest.skipUnless(os.path.exists(KVD_ETCD), "kvd-etcd is not built")
class KvdOnEtcd(E2eTest):

    def setUp(self):
        etcd.require_etcd(self)
        self.machine = Machine(
            self, binds=[f"{shutil.which(etcd.ETCD)}:/opt/etcd"])
        self.authority = certificates.Authority(self.new_folder())
        self.client = self.authority.issue("kvd", "DNS:kvd")
        self.install_etcd()
        self.install_kvd()

    def install_etcd(self):
        certificate, key = self.authority.issue("server")
        for name, path in (("ca", self.authority.certificate),
                           ("cert", certificate), ("key", key)):
            self.copy(path, f"/etc/etcd/{name}.pem")
        self.machine.write("/etc/systemd/system/etcd.service", ETCD_UNIT)

    def install_kvd(self):
        self.give(self.authority.certificate, *self.client)
        self.machine.write("/usr/local/etc/kvd/kvd.toml",
                           SETTINGS.format(f"{CREDENTIALS}/etcd-"))
        with open(os.path.join(self.machine.local,
                               "share/doc/kvd/examples/kvd-etcd.conf"),
                  encoding="utf-8") as stream:
            self.machine.write(
                f"{DROP_INS}/kvd-etcd.conf",
                stream.read().replace("#LoadCredential", "LoadCredential"))
        self.machine.do("systemd-sysusers")
        self.machine.do("systemctl", "daemon-reload")
        self.machine.do("systemctl", "enable", "--now", "kvd.socket")

    def copy(self, path, to):
        with open(path, encoding="utf-8") as stream:
            self.machine.write(to, stream.read())

    def give(self, ca, certificate, key):
        """The files that kvd gets at its next start; they are root's alone."""
        for name, path in (("ca", ca), ("cert", certificate), ("key", key)):
            self.copy(path, f"{FILES}/{name}.pem")
            os.chmod(os.path.join(self.machine.local, "etc/kvd/etcd",
                                  f"{name}.pem"), 0o600)

    def set_unit(self, text):
        """More of the unit."""
        self.machine.write(f"{DROP_INS}/test.conf", text)
        self.machine.do("systemctl", "daemon-reload")

    def restart(self):
        # By "restart" the socket's would stop the service while it starts, and
        # with cgroups of version 1 a container is not told when the last of
        # its processes has gone.
        self.machine.do("systemctl", "stop", "kvd.service", "kvd.socket")
        self.machine.do("systemctl", "start", "kvd.socket", "kvd.service")

    def kvctl(self, *words):
        return self.machine.do("kvctl", "--wait", "30s", *words).strip()

    def wait_status(self, *words):
        """Until "systemctl status" shows them."""
        def shown():
            status = self.machine.unit("StatusText")
            return all(word in status for word in words)
        try:
            wait_until(shown, f"{words} in the unit's status")
        except AssertionError as error:
            raise AssertionError(
                f"{error}\n{self.machine.unit('StatusText')}\n"
                f"{self.machine.journal()}") from None

    def test_serves_with_the_certificates_of_the_unit(self):
        self.machine.do("systemctl", "start", "etcd")
        self.restart()
        self.assertIn("OK  rev ", self.kvctl("set", "k", "v"))
        self.assertIn("leader", self.kvctl("status"))
        self.wait_status("Serving")
        pid = self.machine.unit("MainPID")
        status = self.machine.do("cat", f"/proc/{pid}/status")
        # A filter of calls, and no way to more rights.
        self.assertIn("Seccomp:\t2", status)
        self.assertIn("NoNewPrivs:\t1", status)
        self.assertEqual(self.machine.do("stat", "-c", "%U",
                                         f"/proc/{pid}").strip(), "kvd")

        self.machine.do("systemctl", "stop", "kvd.service")
        self.assertEqual(self.machine.unit("Result"), "success")
        # The socket starts it again.
        self.assertEqual(self.kvctl("get", "k"), "v")

    def test_waits_for_etcd_and_stops_without_it(self):
        self.set_unit("[Service]\nTimeoutStartSec=3s\n")
        self.machine.do("systemctl", "restart", "--no-block", "kvd")
        began = time.monotonic()
        self.wait_status("waits for etcd", "nobody listens there")
        pid = self.machine.unit("MainPID")
        wait_until(lambda: time.monotonic() - began > 5,
                   "it has waited longer than a start may take")
        self.machine.do("systemctl", "start", "etcd")
        self.wait_status("Serving")
        self.assertEqual(self.machine.unit("MainPID"), pid)
        self.kvctl("set", "k", "v")

        self.machine.do("systemctl", "stop", "etcd")
        refused = self.machine.call("kvctl", "get", "k")
        self.assertIn(b"etcd", refused.stderr)
        self.assertNotEqual(refused.returncode, 0)
        self.machine.do("systemctl", "stop", "kvd.service")
        self.assertEqual(self.machine.unit("Result"), "success")

    def test_is_started_again_when_it_hangs(self):
        self.set_unit("[Service]\nWatchdogSec=2s\nTimeoutAbortSec=1s\n")
        self.machine.do("systemctl", "start", "etcd")
        self.restart()
        self.kvctl("set", "k", "v")
        pid = self.machine.unit("MainPID")
        self.machine.do("kill", f"-{signal.SIGSTOP.value}", pid)
        wait_until(lambda: self.machine.unit("NRestarts") == "1",
                   "it is started again")
        self.assertEqual(self.kvctl("get", "k"), "v")
        self.assertIn("Watchdog timeout", self.machine.journal())

    def test_says_what_is_wrong_with_certificates(self):
        self.machine.do("systemctl", "start", "etcd")
        strangers = certificates.Authority(self.new_folder(), "strangers")
        ours = self.authority.certificate
        for words, *files in (
                ("signed by its CA", ours, *strangers.issue("kvd")),
                ("not expired", ours, *self.authority.issue("old", days="-1")),
                ("name the CA", strangers.certificate, *self.client)):
            with self.subTest(words):
                self.give(*files)
                self.machine.do("systemctl", "restart", "--no-block", "kvd")
                self.wait_status("waits for etcd", words)
                self.assertIn(words, self.machine.journal())
        self.give(ours, *self.client)
        self.restart()
        self.kvctl("set", "k", "v")

    def test_does_not_start_without_its_files(self):
        self.machine.do("systemctl", "start", "etcd")
        key = os.path.join(self.machine.local, "etc/kvd/etcd/key.pem")
        os.rename(key, key + ".away")
        self.machine.call("systemctl", "restart", "kvd.service")
        self.assertIn("243/CREDENTIALS", self.machine.journal())
        os.rename(key + ".away", key)
        self.machine.do("systemctl", "reset-failed", "kvd.service")
        self.restart()
        self.kvctl("set", "k", "v")

        # Named where they lie: kvd must not read them there, and nobody starts
        # it again for that.
        self.machine.write("/usr/local/etc/kvd/kvd.toml",
                           SETTINGS.format(f"{FILES}/"))
        self.machine.call("systemctl", "restart", "kvd.service")
        self.assertIn("Permission denied", self.machine.journal())
        self.assertEqual(self.machine.unit("NRestarts"), "0")
        self.assertEqual(self.machine.unit("ActiveState"), "failed")


if __name__ == "__main__":
    unittest.main()
