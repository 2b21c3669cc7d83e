# SPDX-License-Identifier: MIT
"""No folder has more files than a person takes in at a glance.

A source and its header count once.
"""

import collections
import os
import sys

import source_tree

_FILES_MAX = 20
_SOURCES = (".cc", ".h", ".py")


def problems(root=source_tree.ROOT):
    folders = collections.defaultdict(set)
    for path in source_tree.files(root):
        name, ending = os.path.splitext(path)
        if ending in _SOURCES:
            folders[os.path.dirname(path)].add(name)
    return [f"{folder}: has {len(names)} files; give some of them a folder of "
            f"their own, so that none has more than {_FILES_MAX}"
            for folder, names in sorted(folders.items())
            if len(names) > _FILES_MAX]


if __name__ == "__main__":
    sys.exit(source_tree.report(problems()))
