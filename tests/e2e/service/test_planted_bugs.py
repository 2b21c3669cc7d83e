# SPDX-License-Identifier: MIT
"""A release holds none of the bugs that tests plant, nor their switch; builds
for tests alone do, which shows that it would be found."""

import os
import re
import unittest

from harness import KIND, KVCTL, KVD, ROOT

HEADER = os.path.join(ROOT, "lib", "base", "planted_bug.h")


def _header():
    with open(HEADER, encoding="utf-8") as stream:
        return stream.read()


def _mark():
    return re.search(r'char mark\[\d+\] = "(.+)";', _header()).group(1)


def _bugs():
    body = re.search(r"enum class PlantedBug \{(.*?)\n\};", _header(),
                     re.DOTALL).group(1)
    return set(re.findall(r"^ +(k\w+),", body, re.MULTILINE)) - {"kNone"}


def _words():
    """The mark of the switch, the symbols, the names of the bugs."""
    return _bugs() | {_mark(), "planted_bug_switch", "PlantedBug", "IsPlanted"}


def traces(path):
    """What in a file comes from planted bugs."""
    with open(path, "rb") as stream:
        data = stream.read()
    return {word for word in _words() if word.encode() in data}


class PlantedBugs(unittest.TestCase):

    def test_are_not_in_a_release_and_are_in_other_builds(self):
        for path in (KVD, KVCTL):
            with self.subTest(path=path):
                found = traces(path)
                if KIND == "release":
                    self.assertEqual(found, set(), "this is no release: it was "
                                     "built with KVD_PLANTED_BUGS=ON")
                else:
                    self.assertIn(_mark(), found)

    def test_every_trace_would_be_found(self):
        self.assertGreater(len(_bugs()), 30)
        self.assertEqual(traces(HEADER), _words())


if __name__ == "__main__":
    unittest.main()
