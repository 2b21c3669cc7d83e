# SPDX-License-Identifier: MIT
"""A machine of its own for a test: systemd as its first process, with this
host's programs, a network of its own and nothing else of this host's.

systemd-nspawn needs root, and everything ends with the test.
"""

import contextlib
import os
import shutil
import subprocess
import uuid

from harness import BIN_DIR, Process, run, wait_until

BUILD = os.path.dirname(BIN_DIR)
# All that programs want to find below /etc.
_OF_THIS_HOST = ("ld.so.cache", "nsswitch.conf")
_USERS = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n"
_GROUPS = "root:x:0:\nnogroup:x:65534:\n"
_CGROUPS = ("/sys/fs/cgroup", "/sys/fs/cgroup/systemd",
            "/sys/fs/cgroup/unified")


def require(test):
    """Skips a test where there can be no such machine."""
    if os.getuid() != 0:
        test.skipTest("only root may start machines")
    if not shutil.which("systemd-nspawn"):
        test.skipTest("systemd-container is not installed")
    if run(["unshare", "--mount", "true"]).returncode != 0:
        test.skipTest("no namespaces can be made here")


class Machine:
    """.local is its /usr/local, to be changed from here: what "cmake --install"
    puts there."""

    def __init__(self, test, binds=()):
        require(test)
        self.root = os.path.join(test.new_folder(), "root")
        self.local = os.path.join(self.root, "installed/usr/local")
        self._make_root()
        name = f"kvd-{uuid.uuid4().hex[:8]}"
        # A host with systemd gives it a unit, and others this.
        self._cgroups = [] if os.path.exists("/run/systemd/system") else [
            os.path.join(folder, name) for folder in _CGROUPS
            if os.path.exists(os.path.join(folder, "cgroup.procs"))]
        test.addCleanup(self._remove_cgroups)
        for folder in self._cgroups:
            os.mkdir(folder)
        self._process = Process(
            ["sh", "-c", 'for f in $CGROUPS; do echo $$ > $f/cgroup.procs; '
             'done; exec "$@"', "sh",
             # A container outlives a systemd-nspawn that is killed, but not
             # what it takes for the first of all processes.
             "unshare", "--mount", "--propagation", "private", "--pid",
             "--mount-proc", "--fork", "--kill-child",
             "systemd-nspawn", "--quiet", "--register=no",
             *(["--keep-unit"] if self._cgroups else []),
             f"--machine={name}", f"--directory={self.root}",
             "--private-network", "--bind-ro=/usr",
             f"--bind-ro={self.local}:/usr/local",
             *(f"--bind-ro={bind}" for bind in binds),
             "--boot", "systemd.unit=basic.target"],
            os.path.join(os.path.dirname(self.root), "console"),
            env={"CGROUPS": " ".join(self._cgroups)})
        test.addCleanup(self._process.kill)
        self._init = None
        wait_until(self._has_booted, "it has booted")

    def _make_root(self):
        for folder in ("etc/systemd/system", "var", "run", "tmp", "proc", "sys",
                       "dev", "usr", "root"):
            os.makedirs(os.path.join(self.root, folder))
        for link in ("bin", "sbin", "lib", "lib64"):
            if os.path.exists(os.path.join("/usr", link)):
                os.symlink(f"usr/{link}", os.path.join(self.root, link))
        for name in _OF_THIS_HOST:
            if os.path.exists(f"/etc/{name}"):
                shutil.copy(f"/etc/{name}", os.path.join(self.root, "etc"))
        self.write("/etc/passwd", _USERS)
        self.write("/etc/group", _GROUPS)
        # Without one it would be a first boot, which asks at the console.
        self.write("/etc/machine-id", uuid.uuid4().hex + "\n")
        shutil.copy("/usr/lib/os-release", os.path.join(self.root, "etc"))
        done = run(["cmake", "--install", BUILD],
                   env={"DESTDIR": os.path.join(self.root, "installed")})
        assert done.returncode == 0, done.stderr.decode()

    def _remove_cgroups(self):
        for folder in self._cgroups:
            def removed(top=folder):
                for inner, _, _ in os.walk(top, topdown=False):
                    with contextlib.suppress(OSError):
                        os.rmdir(inner)
                return not os.path.exists(top)
            wait_until(removed, f"nobody is in {folder}")

    def _find_init(self):
        assert self._process.running(), self._process.log()
        pid = self._process.pid
        for _ in ("systemd-nspawn", "systemd"):
            children = run(["pgrep", "-P", str(pid)]).stdout.split()
            if not children:
                return None
            pid = int(children[0])
        return pid

    def _has_booted(self):
        # systemd-nspawn has other children before.
        self._init = self._find_init()
        return self._init and self.call("systemctl", "is-system-running").stdout.strip() in (
            b"running", b"degraded")

    def call(self, *words):
        """Runs a command in it, as root; the CompletedProcess."""
        return run(["nsenter", "--target", str(self._init), "--all", "env",
                    "-i", "PATH=/usr/local/bin:/usr/bin:/usr/sbin", "LANG=C",
                    *words])

    def do(self, *words):
        """The output of a command that has to succeed."""
        try:
            done = self.call(*words)
        except subprocess.TimeoutExpired as error:
            jobs = self.call("systemctl", "list-jobs").stdout.decode()
            raise AssertionError(f"{error}\n{jobs}{self.journal()}") from None
        assert done.returncode == 0, (
            f"{words}: {done.stdout.decode()}{done.stderr.decode()}"
            f"{self.journal()}")
        return done.stdout.decode()

    def write(self, path, text):
        """A file of its /etc or /usr/local."""
        base = self.local if path.startswith("/usr/local/") else self.root
        path = os.path.join(base, path.removeprefix("/usr/local")[1:])
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text)

    def journal(self, unit="kvd"):
        return self.call("journalctl", "--no-pager", "-o", "cat", "-u",
                         unit).stdout.decode()

    def unit(self, name, unit="kvd"):
        """One of what "systemctl show" has."""
        return self.do("systemctl", "show", "-p", name, "--value",
                       unit).strip()
