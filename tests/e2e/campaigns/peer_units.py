#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Valkey's own Tcl units against kvd.

    tests/e2e/campaigns/peer_units.py VALKEY [UNIT …]

VALKEY is a checkout of github.com/valkey-io/valkey; tclsh and socat are needed.
For each unit it prints how many tests were ok, and each that was not with the
first line of its error. One that was not is tried again alone: another may have
left the connection in MULTI. peer-tests.md has the counts and the reasons.
Nothing of the checkout is changed.
"""

import argparse
import os
import re
import socket
import subprocess
import sys

E2E = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(E2E, "rig"))

import harness  # noqa: E402

UNITS = ["type/string", "type/incr", "expire", "keyspace", "scan", "multi",
         "protocol", "introspection", "bitops", "bitfield", "info",
         "info-command", "querybuf", "slowlog", "latency-monitor", "other",
         "auth", "scripting", "pubsub"]
UNIT_SECONDS_MAX = 600
OPTIONS = ["--durable", "--ignore-encoding", "--ignore-digest",
           "--no-latency", "--tags", "-large-memory"]
SETTINGS = {"debug.commands": "true"}


class Units(harness.E2eTest):
    """A daemon and a bridge to it for each unit."""

    def run_unit(self, valkey, unit, *options):
        """How many were ok, [(name, error)] of the others, all that it said."""
        kvd = self.started(settings=SETTINGS)
        port = self.free_port()
        bridge = self.background(
            ["socat", f"TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr,"
             "nodelay", f"UNIX-CONNECT:{kvd.socket_path}"])
        output = self.run_tcl(valkey, unit, port, *options)
        bridge.kill()
        kvd.kill()
        ok = re.findall(r"^\[ok\]: (.*)$", output, re.M)
        errors = re.findall(r"^\[(?:err|exception)\]: (.*)\n(.*)$", output,
                            re.M)
        return len(ok), errors, output

    @staticmethod
    def free_port():
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return probe.getsockname()[1]

    @staticmethod
    def run_tcl(valkey, unit, port, *options):
        command = ["./runtest", "--host", "127.0.0.1", "--port", str(port),
                   "--single", f"unit/{unit}", *OPTIONS, *options]
        process = subprocess.Popen(
            command, cwd=valkey, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True)
        try:
            output, _ = process.communicate(timeout=UNIT_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            output, _ = process.communicate()
            output += b"\n[exception]: the unit did not end\n-\n"
        text = output.decode("utf-8", "replace")
        return re.sub(r"\x1b\[[0-9;]*m", "", text)

    def runTest(self):
        """unittest wants one; units run by run_unit()."""


def tried_alone(test, valkey, unit, errors):
    """Those of the errors that stay, and how many tests were ok alone."""
    left = []
    for name, error in errors:
        title = name.rsplit(" in tests/", 1)[0]
        ok, again, _ = test.run_unit(valkey, unit, "--only", title)
        if ok != 1 or again:
            left.append(again[0] if again else (name, error))
    return left, len(errors) - len(left)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("valkey")
    parser.add_argument("units", nargs="*", default=UNITS)
    parser.add_argument("--full", action="store_true",
                        help="print all that the units print")
    arguments = parser.parse_args()
    total_ok = total = 0
    for unit in arguments.units:
        test = Units()
        try:
            ok, errors, output = test.run_unit(arguments.valkey, unit)
            if arguments.full:
                print(output)
            errors, later = tried_alone(test, arguments.valkey, unit, errors)
        finally:
            test.doCleanups()
        ok += later
        total_ok += ok
        total += ok + len(errors)
        print(f"{unit}: {ok} of {ok + len(errors)} ok", flush=True)
        for name, error in errors:
            print(f"    {name}: {error}"[:240], flush=True)
    print(f"in all: {total_ok} of {total}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
