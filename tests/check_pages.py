# SPDX-License-Identifier: MIT
"""The pages name files that exist, and stay short enough to be read.

A page's links, and what it sets in code type and looks like a path, must be
there: from the root, from lib/, or from the page's own folder. A source may be
named without its ending. In a table whose first column is "File", that column
names sources of the page's folder.
"""

import glob
import os
import re
import sys

import source_tree

# Lines that a page may have.
_LINES_MAX = {
    "CONTRIBUTING.md": None,
    "README.md": None,
    "daemon/README.md": 100,
    "lib/README.md": 250,
    "lib/log/FORMAT.md": None,
    "lib/log/README.md": 100,
    "lib/store/README.md": 100,
    "tests/bench/RESULTS.md": None,
}
_ENDINGS = (".h", ".cc", ".py", ".md", ".toml", ".svg", ".txt")
_PATH = re.compile(r"(\./)?[\w*.-]+(/[\w*.-]+)*/?$")
_NOT_OURS = ("build/", "application/")


def _exists(name, folders, root):
    patterns = [os.path.join(root, folder, name + ending)
                for folder in folders for ending in ("", ".h", ".cc", ".py")]
    return any(glob.glob(pattern) for pattern in patterns)


def _paths_in(line):
    """What in a line's code type looks like a path."""
    for code in re.findall(r"`([^`]+)`", line):
        words = code.split()
        if not words or not _PATH.match(words[0]):
            continue
        word = words[0]
        if word.startswith(_NOT_OURS) or word.startswith("//"):
            continue
        if "/" in word.strip("/") or word.endswith(_ENDINGS):
            yield word


def _page_problems(page, root):
    folder = os.path.dirname(page)
    lines = source_tree.lines(page, root)
    bases = {os.path.basename(path) for path in source_tree.files(root)}
    in_files, in_block = False, False
    for number, line in enumerate(lines, 1):
        where = f"{page}:{number}"
        if line.startswith("```"):
            in_block = not in_block
        if in_block:
            continue
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", line):
            if "://" not in target and not _exists(target, [folder], root):
                yield f"{where}: links to {target}, which is not there"
        for path in _paths_in(line):
            known = path in bases if "/" not in path else _exists(
                path, ["", "lib", folder], root)
            if not known:
                yield f"{where}: names {path}, which is not there"
        if not line.startswith("|"):
            in_files = False
        elif re.match(r"\|\s*File\s*\|", line):
            in_files = True
        elif in_files:
            for name in re.findall(r"`([^`]+)`", line.split("|")[1]):
                if not _exists(name, [folder], root):
                    yield f"{where}: names {name}, which is not in the folder"
    most = _LINES_MAX[page]
    if most is not None and len(lines) > most:
        yield f"{page}: has {len(lines)} lines; a reader has time for {most}"


def problems(root=source_tree.ROOT):
    found = []
    for page in _LINES_MAX:
        if os.path.exists(os.path.join(root, page)):
            found += _page_problems(page, root)
        else:
            found.append(f"{page}: is not there")
    return found


if __name__ == "__main__":
    sys.exit(source_tree.report(problems()))
