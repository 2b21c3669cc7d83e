# SPDX-License-Identifier: MIT
"""No file holds a mark of unfinished work."""

import re
import sys

import source_tree

# Written in halves: this file is checked as well.
_MARKS = ["TO" "DO", "FIX" "ME", "XX" "X", "HA" "CK"]
_MARK = re.compile(r"\b(" + "|".join(_MARKS) + r")\b")
_DATA_FOLDERS = ("tests/fuzz/corpus/", "tests/golden/")


def problems(root=source_tree.ROOT):
    found = []
    for path in source_tree.files(root):
        if path.startswith(_DATA_FOLDERS):
            continue
        for number, line in enumerate(source_tree.lines(path, root), 1):
            if _MARK.search(line):
                found.append(f"{path}:{number}: {line.strip()}")
    return found


if __name__ == "__main__":
    sys.exit(source_tree.report(problems()))
