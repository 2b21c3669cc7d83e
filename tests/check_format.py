# SPDX-License-Identifier: MIT
"""C++ is formatted as .clang-format says; every source names its licence."""

import subprocess
import sys

import source_tree

_LICENCE = "SPDX-License-Identifier: MIT"

# Files whose format has no room for a comment, or which are data.
_NO_LICENCE = (".json", ".md", ".gitignore", "LICENSE", ".clang-format",
               ".editorconfig", "build-deps")
_DATA_FOLDERS = ("tests/fuzz/corpus/", "tests/golden/")


def licence_problems(root=source_tree.ROOT):
    problems = []
    for path in source_tree.files(root):
        if path.endswith(_NO_LICENCE) or path.startswith(_DATA_FOLDERS):
            continue
        # After the "#!" line of a script.
        head = source_tree.lines(path, root)[:2]
        if not any(_LICENCE in line for line in head):
            problems.append(f"{path}:1: no \"{_LICENCE}\"")
    return problems


def format_problems(root=source_tree.ROOT):
    paths = source_tree.cxx_files(root)
    if not paths:
        return []
    done = subprocess.run(
        ["clang-format", "--dry-run", "-Werror", "--style=file"] + paths,
        cwd=root, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True)
    if done.returncode == 0:
        return []
    # One place for each file is enough to act on.
    first = {}
    for line in done.stdout.splitlines():
        if ": error:" in line:
            first.setdefault(line.split(":")[0], line)
    return list(first.values()) or [done.stdout.strip()]


if __name__ == "__main__":
    sys.exit(source_tree.report(licence_problems() + format_problems()))
