# SPDX-License-Identifier: MIT
"""The comparison of kvd with others judges, and draws, what it was given.

No benchmark runs here: this is about what is made of their figures.
"""

import argparse
import contextlib
import io
import os
import sys
import unittest
import unittest.mock
import xml.etree.ElementTree

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "bench"))
import bench
import deployed
import draw_growth
from rows import before, filled, sets, table
from rows.row import (MEASUREMENTS_MAX, at_least, at_most, at_most_above,
                      least_disturbed)


def rounds(**sides):
    return {side: [{"throughput_rps": value, "p99_ms": value}
                   for value in values] for side, values in sides.items()}


class Targets(unittest.TestCase):

    def test_the_median_of_the_ratios_of_each_round_counts(self):
        target = at_least("p99_ms", 2, "redis", goal=3)
        # 1, 2.5 and 10: the medians alone would give 5.
        measured = rounds(kvd=[10, 50, 100], redis=[10, 20, 10])
        self.assertEqual(target.values(measured), [1, 2.5, 10])
        self.assertEqual(target.verdict(measured), "yes")

    def test_goal_limit_and_miss_differ(self):
        target = at_most("p99_ms", 1.0, goal=0.6)
        for value, verdict in ((0.6, "goal"), (1.0, "yes"), (1.01, "NO")):
            self.assertEqual(target.verdict(rounds(kvd=[value])), verdict)

    def test_a_difference_is_no_ratio(self):
        target = at_most_above("p99_ms", 0.25, "ceiling")
        self.assertEqual(
            target.verdict(rounds(kvd=[0.75], ceiling=[0.5])), "yes")
        self.assertEqual(
            target.verdict(rounds(kvd=[0.76], ceiling=[0.5])), "NO")
        self.assertEqual(str(target), "≤ ceiling + 0.25")


class Rows(unittest.TestCase):

    def test_targets_speak_of_figures_and_sides_that_their_row_has(self):
        for row in sets.TARGETS:
            for target in row.targets:
                self.assertIn(target.than, (None, *row.sides), row.name)

    def test_names_tell_rows_apart(self):
        for name, some in sets.SETS.items():
            if name != "all":
                self.assertEqual(len(sets.unique(some)), len(some), name)

    def test_what_has_a_target_keeps_it_among_all(self):
        every = sets.unique(sets.SETS["all"])
        for row in sets.TARGETS:
            self.assertIs(every[row.name], row)

    def test_filling_sets_every_key_once(self):
        sent = b"".join(filled.fill_commands(b"key", 7, b"vv", 3))
        self.assertEqual(sent.count(b"MSET"), 3)
        for number in range(7):
            pair = b"$16\r\nkey:%012d\r\n$2\r\nvv\r\n" % number
            self.assertEqual(sent.count(pair), 1)


class Before(unittest.TestCase):

    def test_each_figure_with_a_target_is_to_be_kept_once(self):
        kept = before.kept((at_least("throughput_rps", 4, "redis"),
                            at_most("p99_ms", 2), at_most("p99_ms", 1, "no")))
        self.assertEqual([str(target) for target in kept],
                         ["≥ 0.95 × before", "≤ 1.05 × before"])
        measured = rounds(kvd=[9.4], before=[10])
        self.assertEqual([target.verdict(measured) for target in kept],
                         ["NO", "yes"])

    def test_both_builds_measure_the_same_row(self):
        class Row:
            targets, sides, rounds_max = (), ("kvd", "redis"), 3

            @contextlib.contextmanager
            def prepared(self, options):
                yield {"kvd": lambda kvd=options.kvd: kvd}
        row = before.beside_before(Row(), "old")
        options = argparse.Namespace(kvd="new")
        with row.prepared(options) as measures:
            self.assertEqual({side: measure() for side, measure in
                              measures.items()},
                             {"kvd": "new", "before": "old"})


class Deployed(unittest.TestCase):

    def test_the_filter_is_the_units(self):
        allowed = deployed.allowed_calls(deployed.settings("SystemCallFilter"))
        self.assertLessEqual({"read", "io_uring_enter", "execve"}, allowed)
        self.assertFalse({"mount", "sched_setaffinity"} & allowed)

    def test_a_later_line_takes_calls_away(self):
        self.assertEqual(
            deployed.allowed_calls(["read write mount", "~mount"]),
            deployed.allowed_calls(["read", "write"]))

    def test_who_has_the_wrong_python_is_told_which_is_right(self):
        self.assertRegex(deployed.why_no_seccomp("/opt/python", "/bin/true"),
                         "^/opt/python cannot .* Run /bin/true ")
        self.assertRegex(deployed.why_no_seccomp(python="/bin/false"),
                         "is not installed: ./daemon/install-deps test")


class Stolen(unittest.TestCase):

    def test_share_of_the_time_with_work(self):
        self.assertEqual(bench.stolen_percent((100, 10), (106, 14)), 40)

    def test_no_work(self):
        self.assertEqual(bench.stolen_percent((100, 10), (100, 10)), 0)

    def test_fields_of_proc_stat(self):
        # user nice system idle iowait irq softirq steal guest guest_nice
        line = "cpu  100 20 30 9000 90 4 5 600 70 8\n"
        tick = 1 / os.sysconf("SC_CLK_TCK")
        with unittest.mock.patch("builtins.open",
                                 unittest.mock.mock_open(read_data=line)):
            busy, stolen = bench.busy_and_stolen_seconds()
        self.assertAlmostEqual(busy, 159 * tick)
        self.assertAlmostEqual(stolen, 600 * tick)


class Repetition(unittest.TestCase):

    def measured(self, *percents, stolen_max=2):
        """What counts, and how often it was measured."""
        figures = [{"stolen_percent": percent} for percent in percents]
        left = iter(figures)
        with contextlib.redirect_stdout(io.StringIO()):
            counts = least_disturbed(lambda: next(left), stolen_max)
        return counts["stolen_percent"], len(figures) - len(list(left))

    def test_ends_with_what_was_left_alone(self):
        self.assertEqual(self.measured(2, 0), (2, 1))
        self.assertEqual(self.measured(9, 3, 1, 0), (1, 3))

    def test_is_bounded_and_the_least_disturbed_counts(self):
        percents = [9, 5, 7, 8, 0, 0]
        self.assertEqual(self.measured(*percents), (5, MEASUREMENTS_MAX))

    def test_figures_that_do_not_say_are_taken(self):
        self.assertEqual(least_disturbed(lambda: {"p99_ms": 1}, 0),
                         {"p99_ms": 1})


class Output(unittest.TestCase):

    def test_lines_have_as_many_cells_as_the_table_has_columns(self):
        row = sets.TARGETS[0]
        measured = rounds(**{side: [1000, 3000] for side in row.sides})
        for line in table.lines(row, measured):
            self.assertEqual(line.count("|"), len(table.COLUMNS) + 7, line)

    def test_percents_are_not_compared(self):
        row = sets.TARGETS[0]
        measured = {side: [{"stolen_percent": 12.0}] for side in row.sides}
        line, = table.lines(row, measured)
        self.assertIn("| stolen, % | 12.0 | 12.0 | 12.0 |", line)
        self.assertNotIn("×", line)
        self.assertNotIn("1.00", line)

    def test_a_drawing_is_well_formed_and_has_a_mark_for_each_median(self):
        curve = draw_growth.CURVES[0]
        data = {"machine": "a <machine>", "rounds": 1, "quick": False, "rows": [
            {"name": point.load.name, "medians": {
                side: {"throughput_rps": 1000.0 * point.x}
                for side in draw_growth.SIDES}} for point in curve.points]}
        root = xml.etree.ElementTree.fromstring(draw_growth.draw(data))
        marks = root.findall(".//{http://www.w3.org/2000/svg}circle")
        self.assertEqual(len(marks), len(curve.points) * len(draw_growth.SIDES))


if __name__ == "__main__":
    unittest.main()
