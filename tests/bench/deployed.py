# SPDX-License-Identifier: MIT
"""The limits that systemd's unit puts on kvd, for a process of the benchmarks.

What a person installs runs under the unit's filter of system calls, which costs
some time at each call and forbids some calls altogether; figures of a kvd without
it are not theirs. The groups of calls are taken from systemd-analyze, so that
they are those of the systemd that is installed. The unit's other settings are
namespaces, which cost nothing once the process runs.
"""

import functools
import os
import resource
import shlex
import subprocess
import sys

# Debian's, for which its package python3-seccomp is.
PYTHON = "/usr/bin/python3"
UNIT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..",
                    "systemd", "kvd.service.in")


def settings(name, unit=UNIT):
    """The unit's values of a setting, in order."""
    with open(unit, encoding="utf-8") as stream:
        return [line.split("=", 1)[1].strip() for line in stream
                if line.startswith(f"{name}=")]


def calls_in(word):
    """The system calls of a group such as @aio, groups within it included."""
    if not word.startswith("@"):
        return {word}
    text = subprocess.run(["systemd-analyze", "syscall-filter", word],
                          capture_output=True, text=True, check=True).stdout
    words = [line.strip() for line in text.splitlines()[1:]]
    return set().union(*(calls_in(word) for word in words
                         if word and not word.startswith("#")))


def allowed_calls(filters):
    """As systemd reads SystemCallFilter=: each line adds, or with ~ takes."""
    allowed = set(calls_in("@default"))
    for line in filters:
        calls = set().union(*map(calls_in, line.removeprefix("~").split()))
        allowed = allowed - calls if line.startswith("~") else allowed | calls
    return allowed


def why_no_seccomp(executable=None, python=PYTHON):
    """What to tell a person whose Python, this one if none is given, cannot
    import seccomp."""
    if subprocess.run([python, "-c", "import seccomp"],
                      capture_output=True).returncode == 0:
        command = shlex.join([python, *sys.argv])
        return (f"{executable or sys.executable} cannot import seccomp: "
                f"python3-seccomp is installed, but for {python} alone. Run "
                f"{command}, or add --form plain")
    return ("python3-seccomp is not installed: ./daemon/install-deps test, or "
            "add --form plain")


@functools.cache
def entering():
    """A function that puts the limits on the process that calls it."""
    try:
        import seccomp
    except ImportError:
        sys.exit(why_no_seccomp())
    rules = seccomp.SyscallFilter(seccomp.ERRNO(1))  # EPERM, as in the unit.
    rules.set_attr(seccomp.Attr.CTL_OPTIMIZE, 2)  # As systemd has it.
    for call in sorted(allowed_calls(settings("SystemCallFilter"))):
        try:
            rules.add_rule(seccomp.ALLOW, call)
        except (ValueError, RuntimeError):
            pass  # Of another architecture, or newer than the library.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = min(int(settings("LimitNOFILE")[-1]), most)

    def enter():
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
        rules.load()
    return enter
