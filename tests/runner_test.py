# SPDX-License-Identifier: MIT
"""The runner counts what happened, above all what went wrong."""

import json
import os
import tempfile
import time
import unittest
import unittest.mock

import runner


class Folder(unittest.TestCase):

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def script(self, text):
        path = os.path.join(self.folder, "script")
        with open(path, "w", encoding="utf-8") as stream:
            stream.write("#!/bin/bash\n" + text)
        os.chmod(path, 0o755)
        return path

    def unit_test(self, text, **properties):
        return runner.run_unit_test(self.folder, "some_test",
                                    [self.script(text)], properties)[0]


class UnitTests(Folder):

    REPORT = {"testsuites": [{"name": "Suite", "testsuite": [
        {"name": "Good", "status": "RUN", "result": "COMPLETED"},
        {"name": "Bad", "status": "RUN", "failures": [{"failure": "x"}]},
        {"name": "Off", "status": "NOTRUN"},
        {"name": "Later", "status": "RUN", "result": "SKIPPED"}]}]}

    def gtest(self, report, code):
        path = os.path.join(self.folder, "report")
        with open(path, "w", encoding="utf-8") as stream:
            json.dump(report, stream)
        return self.unit_test(
            f'cp {path} "${{GTEST_OUTPUT#json:}}"; exit {code}')

    def test_counts_the_cases_of_a_report(self):
        counts = self.gtest(self.REPORT, 1)
        self.assertEqual(counts.line(), "1 passed, 1 failed, 2 skipped")
        self.assertEqual(counts.failed, ["some_test: Suite.Bad"])

    def test_counts_a_failure_that_no_case_reports(self):
        good = {"testsuites": [{"name": "Suite", "testsuite": [
            {"name": "Good", "status": "RUN", "result": "COMPLETED"}]}]}
        self.assertEqual(self.gtest(good, 0).line(),
                         "1 passed, 0 failed, 0 skipped")
        self.assertEqual(self.gtest(good, 1).line(),
                         "1 passed, 1 failed, 0 skipped")

    def test_counts_a_crash_a_timeout_and_a_missing_binary(self):
        self.assertEqual(self.unit_test("kill -SEGV $$").failed,
                         ["some_test (SIGSEGV)"])
        self.assertEqual(self.unit_test("sleep 60", TIMEOUT=0.2).failed,
                         ["some_test (timeout)"])
        counts, _ = runner.run_unit_test(self.folder, "some_test", [], {})
        self.assertEqual(counts.failed, ["some_test"])

    def units(self, **options):
        tests = [("some_test", [self.script("exit 0")], {})]
        with unittest.mock.patch.multiple(
                runner, unit_tests=lambda *_: tests,
                log_folder=lambda _: self.folder):
            return runner.units("asan", **options)

    def test_counts_a_test_that_has_to_be_there_and_is_not(self):
        self.assertEqual(self.units(required=["some_test"]).failed, [])
        self.assertEqual(self.units(required=["other_test"]).failed,
                         ["asan: other_test is not built"])

    def test_an_older_report_does_not_speak_for_a_crash(self):
        self.gtest(self.REPORT, 1)
        self.assertEqual(self.unit_test("kill -KILL $$").line(),
                         "0 passed, 1 failed, 0 skipped")


class PythonTests(Folder):

    SOURCE = """
import unittest
class Some(unittest.TestCase):
  def test_good(self): pass
  def test_bad(self): self.fail("no")
  def test_parts(self):
    for part in range(3):
      with self.subTest(part=part): self.assertNotEqual(part, 1)
  @unittest.skip("later")
  def test_skipped(self): pass
class Slow(unittest.TestCase):
  release_only = True
  def test_slow(self): pass
class Threads(unittest.TestCase):
  def test_alone(self): pass
  def test_threads(self): pass
  test_threads.threaded = True
"""

    def counts_of(self, source, kind, **options):
        path = os.path.join(self.folder, "test_some.py")
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(source)
        os.chdir(runner.ROOT)
        folder = tempfile.mkdtemp(dir=self.folder)
        return runner.run_python_test(folder, path, {"KVD_E2E_KIND": kind},
                                      **options)[0]

    def run_python(self, kind):
        return self.counts_of(self.SOURCE, kind).line()

    def test_counts_outcomes_by_kind(self):
        self.assertEqual(self.run_python("release"),
                         "4 passed, 2 failed, 1 skipped")
        self.assertEqual(self.run_python("asan"),
                         "3 passed, 2 failed, 1 skipped")
        self.assertEqual(self.run_python("tsan"),
                         "1 passed, 0 failed, 0 skipped")

    def test_what_is_local_only_does_not_run_with_data_in_etcd(self):
        source = self.SOURCE + "Threads.local_only = True\n"
        self.assertEqual(self.counts_of(source, "release").passed, 4)
        with unittest.mock.patch.dict(os.environ, KVD_E2E_BACKEND="etcd"):
            self.assertEqual(self.counts_of(source, "release").passed, 2)

    def test_counts_a_file_that_does_not_load(self):
        self.assertEqual(self.counts_of("import nonsense_", "release").line(),
                         "0 passed, 1 failed, 0 skipped")

    def test_counts_a_failure_outside_the_cases(self):
        source = ("import unittest\nclass Some(unittest.TestCase):\n"
                  "  @classmethod\n  def setUpClass(cls): raise OSError('x')\n"
                  "  def test_good(self): pass\n")
        self.assertEqual(self.counts_of(source, "release").line(),
                         "0 passed, 1 failed, 0 skipped")

    def test_counts_what_there_was_no_time_for(self):
        counts = self.counts_of(self.SOURCE, "release",
                                deadline=time.monotonic() - 1)
        self.assertEqual(counts.line(), "0 passed, 1 failed, 0 skipped")
        self.assertIn("(timeout)", counts.failed[0])


class SharedTime(unittest.TestCase):

    def test_what_one_stage_takes_the_next_has_not(self):
        deadlines = []
        with unittest.mock.patch.object(runner.time, "monotonic") as clock:
            def stage(deadline):
                deadlines.append(deadline - clock.return_value)
                clock.return_value += 70
                return runner.Counts()

            clock.return_value = 1000
            shared = runner.SharedTime(100)
            for _ in range(3):
                shared.spend(stage)
        self.assertEqual(deadlines, [100, 30, -40])

    def test_tests_with_a_stage_of_their_own_run_in_no_other(self):
        with unittest.mock.patch.object(runner, "e2e_files") as files:
            os.chdir(runner.ROOT)
            runner.e2e("release")
            paths = files.call_args.args[2]
        self.assertIn("tests/e2e/commands/test_commands.py", paths)
        self.assertIn("tests/e2e/etcd/test_rig.py", runner.outside_tests())
        self.assertEqual(set(paths) & set(runner.outside_tests()), set())


if __name__ == "__main__":
    unittest.main()
