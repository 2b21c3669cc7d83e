# SPDX-License-Identifier: MIT
"""Programs in other languages that use kvd as people do."""

import contextlib
import os
import subprocess
import tempfile
import threading

from harness import SECONDS_MAX


def run_with_restarts(test, kvd, arguments):
    """Runs a program with the path of kvd's socket as its last word; it must
    print "ok" as its last line and end with 0.

    When it prints "restart", kvd is killed and started again, and then gets a
    line on its stdin.
    """
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen([*arguments, kvd.socket_path],
                                   stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=errors)
        watchdog = threading.Timer(2 * SECONDS_MAX, process.kill)
        watchdog.start()
        try:
            lines = []
            for line in process.stdout:
                lines.append(line)
                if line == b"restart\n":
                    kvd.kill()
                    kvd.start()
                    with contextlib.suppress(BrokenPipeError):
                        process.stdin.write(b"\n")
                        process.stdin.flush()
            code = process.wait()
        finally:
            watchdog.cancel()
            process.kill()
            process.wait()
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            process.stdout.close()
        errors.seek(os.SEEK_SET)
        text = errors.read().decode(errors="replace")
    test.assertEqual(code, 0, text)
    test.assertEqual(lines[-1:], [b"ok\n"], text)
