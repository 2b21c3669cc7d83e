# SPDX-License-Identifier: MIT
"""The units are valid, tight, and agree with kvd's own defaults."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
BIN = os.environ.get("KVD_BIN_DIR", os.path.join(ROOT, "build/release/bin"))
BUILD = os.path.dirname(BIN)
KVD_ETCD = os.path.join(BIN, "kvd-etcd")

# Of 10.0; systemd-analyze takes tenths. Debian's redis-server has 1.2.
EXPOSURE_TENTHS_MAX = 4
# With the network open.
ETCD_EXPOSURE_TENTHS_MAX = 12


def run(*command, **options):
    return subprocess.run(command, stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          **options)


def settings_of(path):
    """The values of a unit's keys, each a list in order."""
    settings = {}
    with open(path, encoding="utf-8") as stream:
        for line in stream:
            key, equals, value = line.strip().partition("=")
            if equals and not key.startswith("#"):
                settings.setdefault(key, []).append(value)
    return settings


class Units(unittest.TestCase):

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.service = os.path.join(self.folder, "kvd.service")
        self.socket = os.path.join(self.folder, "kvd.socket")
        with open(os.path.join(BUILD, "systemd/kvd.service"),
                  encoding="utf-8") as stream:
            text = stream.read()
        # The programs of this build instead of those to be installed.
        installed = re.search(r"^ExecStart=(\S+)", text, re.M).group(1)
        with open(self.service, "w", encoding="utf-8") as stream:
            stream.write(text.replace(installed, os.path.join(BIN, "kvd")))
        shutil.copy(os.path.join(ROOT, "systemd/kvd.socket"), self.socket)

    @unittest.skipUnless(shutil.which("systemd-analyze"), "no systemd-analyze")
    def test_are_valid(self):
        done = run("systemd-analyze", "verify", "--man=no", self.service,
                   self.socket)
        self.assertEqual((done.returncode, done.stdout), (0, ""))

    @unittest.skipUnless(shutil.which("systemd-analyze"), "no systemd-analyze")
    def test_are_refused_when_wrong(self):
        with open(self.service, "a", encoding="utf-8") as stream:
            stream.write("\n[Service]\nNoSuchSetting=yes\n")
        done = run("systemd-analyze", "verify", "--man=no", self.service)
        self.assertIn("NoSuchSetting", done.stdout)

    @unittest.skipUnless(shutil.which("systemd-analyze"), "no systemd-analyze")
    def test_expose_little(self):
        done = run("systemd-analyze", "security", "--no-pager",
                   "--offline=yes", f"--threshold={EXPOSURE_TENTHS_MAX}",
                   self.service)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("Overall exposure level", done.stdout)

    def test_agree_with_the_default_settings(self):
        with open(os.path.join(ROOT, "etc/kvd.toml"),
                  encoding="utf-8") as stream:
            manual = stream.read()
        socket = settings_of(self.socket)
        service = settings_of(self.service)
        self.assertIn(f'\npath = "{socket["ListenStream"][0]}"\n', manual)
        self.assertIn(f'\nmode = "{socket["SocketMode"][0]}"\n', manual)
        self.assertIn(f'\ndata_dir = "/var/lib/{service["StateDirectory"][0]}"',
                      manual)

    def test_leave_to_a_person_what_a_restart_cannot_mend(self):
        service = settings_of(self.service)
        with open(os.path.join(ROOT, "daemon/exit_code.h"),
                  encoding="utf-8") as stream:
            codes = dict(re.findall(r"^  (k\w+) = (\d+),", stream.read(), re.M))
        # A later start may find the socket's folder; the last is of programs
        # that print.
        for passing in ("kStopped", "kCannotStart", "kLocalIo"):
            del codes[passing]
        self.assertEqual(
            set(service["RestartPreventExitStatus"][0].split()),
            set(codes.values()))
        # For which that setting is not asked.
        self.assertNotIn("ExecStartPre", service)

    def test_keep_the_socket_and_the_names_of_peers(self):
        service = settings_of(self.service)
        # Stopping the service would remove the folder of the socket.
        self.assertNotIn("RuntimeDirectory", service)
        # All peers would look like nobody.
        self.assertNotIn("PrivateUsers", service)

    @unittest.skipUnless(shutil.which("systemd-sysusers"),
                         "no systemd-sysusers")
    def test_user_and_folder_can_be_made(self):
        os.mkdir(os.path.join(self.folder, "etc"))
        users = run("systemd-sysusers", f"--root={self.folder}",
                    os.path.join(ROOT, "systemd/kvd.sysusers"))
        self.assertEqual(users.returncode, 0, users.stdout)
        with open(os.path.join(self.folder, "etc/passwd"),
                  encoding="utf-8") as stream:
            self.assertIn("kvd:", stream.read())
        if os.getuid() == 0:
            made = run("systemd-tmpfiles", f"--root={self.folder}", "--create",
                       os.path.join(ROOT, "systemd/kvd.tmpfiles"))
            self.assertEqual(made.returncode, 0, made.stdout)
            self.assertTrue(os.path.isdir(
                os.path.join(self.folder, "run/kvd")))

    def test_install_puts_everything_in_its_place(self):
        root = os.path.join(self.folder, "root")
        done = run("cmake", "--install", BUILD,
                   env={**os.environ, "DESTDIR": root})
        self.assertEqual(done.returncode, 0, done.stdout)
        installed = [os.path.relpath(os.path.join(folder, name), root)
                     for folder, _, names in os.walk(root)
                     for name in names]
        ends = ["bin/kvd", "bin/kvctl", "etc/kvd/kvd.toml",
                "lib/systemd/system/kvd.service",
                "lib/systemd/system/kvd.socket",
                "lib/sysusers.d/kvd.conf", "lib/tmpfiles.d/kvd.conf"]
        if os.path.exists(KVD_ETCD):
            ends += ["bin/kvd-etcd", "kvd/examples/kvd-etcd.conf",
                     "kvd/lib/etcd/OPERATING.md", "kvd/lib/etcd/REPAIRING.md"]
        for end in ends:
            self.assertTrue(any(path.endswith("/" + end) for path in installed),
                            f"{end} is not among {installed}")
        # It takes effect where a person puts it.
        self.assertFalse([path for path in installed
                          if path.endswith("kvd.service.d/kvd-etcd.conf")])


@unittest.skipUnless(os.path.exists(KVD_ETCD), "kvd-etcd is not built")
class DropInForEtcd(Units):
    """kvd.service with kvd-etcd.conf is still what the others ask of it."""

    def setUp(self):
        super().setUp()
        with open(os.path.join(BUILD, "systemd/kvd-etcd.conf"),
                  encoding="utf-8") as stream:
            self.text = stream.read()
        installed = re.search(r"^ExecPaths=(\S+)", self.text, re.M).group(1)
        self.text = self.text.replace(installed, KVD_ETCD)
        folder = self.service + ".d"
        os.mkdir(folder)
        self.drop_in = os.path.join(folder, "kvd-etcd.conf")
        self.write(self.text)

    def write(self, text):
        with open(self.drop_in, "w", encoding="utf-8") as stream:
            stream.write(text)

    def test_is_valid_with_certificates(self):
        self.write(self.text.replace("#LoadCredential", "LoadCredential"))
        self.test_are_valid()

    @unittest.skipUnless(shutil.which("systemd-analyze"), "no systemd-analyze")
    def test_expose_little(self):
        done = run("systemd-analyze", "security", "--no-pager",
                   "--offline=yes", f"--threshold={ETCD_EXPOSURE_TENTHS_MAX}",
                   self.service)
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_opens_the_network_and_nothing_else(self):
        with open(self.drop_in, encoding="utf-8") as stream:
            keys = set(re.findall(r"^(\w+)=", stream.read(), re.M))
        self.assertEqual(keys, {
            "Wants", "After", "ExecStart", "ExecPaths", "PrivateNetwork",
            "RestrictAddressFamilies", "IPAddressDeny"})

    def test_kvd_etcd_reaches_etcd_under_the_filter_of_the_unit(self):
        # The groups of calls and addresses that are left, without systemd.
        if not shutil.which("etcd"):
            self.skipTest("no etcd here")
        sys.path.insert(0, os.path.join(ROOT, "tests/bench"))
        sys.path.insert(0, os.path.join(ROOT, "tests/e2e/rig"))
        try:
            import seccomp  # noqa: F401
        except ImportError:
            self.skipTest("python3-seccomp is not installed")
        import deployed
        import etcd
        node = etcd.Cluster(self, size=1).start().nodes[0]
        path = os.path.join(self.new_folder(), "sock")
        enter = deployed.entering()
        log_path = os.path.join(self.folder, "log")
        with open(log_path, "wb") as log:
            process = subprocess.Popen(
                [KVD_ETCD, "--data-dir", os.path.join(self.folder, "data"),
                 "--socket", path, "--set", "storage.backend=etcd",
                 "--set", f"etcd.endpoints={node.endpoint}"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                preexec_fn=enter)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        done = run(os.path.join(BIN, "kvctl"), "--socket", path, "--wait",
                   "30s", "set", "k", "v")
        with open(log_path, encoding="utf-8") as log:
            self.assertEqual(done.returncode, 0, done.stdout + log.read())

    def new_folder(self):
        folder = tempfile.TemporaryDirectory(prefix="kvd-", dir="/tmp")
        self.addCleanup(folder.cleanup)
        return folder.name


if __name__ == "__main__":
    unittest.main()
