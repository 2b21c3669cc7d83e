# SPDX-License-Identifier: MIT
"""Runs one file of Python tests and writes what became of each.

    /usr/bin/python3 tests/e2e/run.py FILE [REPORT.json]

What a test finds in its environment:
  KVD_BIN_DIR      the folder of kvd and kvctl (build/release/bin by default)
  KVD_E2E_KIND     how they were built: release, asan, tsan or bare
  KVD_E2E_BACKEND  where kvds have their data: local or etcd

A class or a method may say where it makes sense:
  release_only = True   what a sanitizer would only slow down or falsify
  threaded = True       is what the tsan run consists of
  bare_only = True      is what the run without optional parts consists of
  local_only = True     what is not so, or makes no sense, with data in etcd
Others run in release and asan. A test that is not selected is not a skip: it
has run in another kind.
"""

import importlib.util
import json
import os
import sys
import unittest

_HERE = os.path.dirname(os.path.abspath(__file__))
_ROOT = os.path.dirname(os.path.dirname(_HERE))


def _load(path):
    name = os.path.splitext(os.path.basename(path))[0]
    for folder in (os.path.dirname(os.path.abspath(path)),
                   os.path.join(_HERE, "rig")):
        if folder not in sys.path:
            sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return unittest.defaultTestLoader.loadTestsFromModule(module)


def _flatten(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from _flatten(test)
        else:
            yield test


def _is_marked(test, mark):
    method = getattr(test, getattr(test, "_testMethodName", ""), None)
    return bool(getattr(method, mark, False) or getattr(test, mark, False))


def _is_selected(test, kind, backend):
    if backend != "local" and _is_marked(test, "local_only"):
        return False
    if kind == "bare" or _is_marked(test, "bare_only"):
        return kind == "bare" and _is_marked(test, "bare_only")
    if kind == "release":
        return True
    if _is_marked(test, "release_only"):
        return False
    return kind != "tsan" or _is_marked(test, "threaded")


class _Result(unittest.TextTestResult):
    """Remembers the outcome of each test by name."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.outcomes = {}

    def addSuccess(self, test):
        super().addSuccess(test)
        self.outcomes.setdefault(test.id(), ("passed", ""))

    def addError(self, test, err):
        super().addError(test, err)
        self.outcomes[test.id()] = ("failed", str(err[1]))

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.outcomes[test.id()] = ("failed", str(err[1]))

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.outcomes[test.id()] = ("failed", str(err[1]))

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.outcomes[test.id()] = ("skipped", reason)

    def addExpectedFailure(self, test, err):
        super().addExpectedFailure(test, err)
        self.outcomes[test.id()] = ("passed", "")

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self.outcomes[test.id()] = ("failed", "unexpected success")


def main(path, report=None):
    kind = os.environ.setdefault("KVD_E2E_KIND", "release")
    os.environ.setdefault("KVD_BIN_DIR",
                          os.path.join(_ROOT, "build", "release", "bin"))
    backend = os.environ.setdefault("KVD_E2E_BACKEND", "local")
    selected = unittest.TestSuite(
        test for test in _flatten(_load(path))
        if _is_selected(test, kind, backend))
    runner = unittest.TextTestRunner(verbosity=2, resultclass=_Result)
    result = runner.run(selected)
    if report:
        with open(report, "w", encoding="utf-8") as stream:
            json.dump(result.outcomes, stream)
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    sys.exit(main(*sys.argv[1:]))
