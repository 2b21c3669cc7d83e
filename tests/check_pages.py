# SPDX-License-Identifier: MIT
"""Pages and comments name files that exist; pages are short enough to be read.

A page's links, and what it sets in code type and looks like a path, must be
there: from the root, from lib/, or from the page's own folder. A source may be
named without its ending. In a table whose first column is "File", that column
names sources of the page's folder. In comments, what ends like a file's name
must be there as well.
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
    "cli/README.md": 100,
    "daemon/README.md": 100,
    "daemon/commands/COMMANDS.md": None,
    "lib/README.md": 250,
    "lib/backup/FORMAT.md": None,
    "lib/etcd/OPERATING.md": 200,
    "lib/etcd/README.md": 100,
    "lib/log/FORMAT.md": None,
    "lib/log/README.md": 100,
    "lib/salvage/README.md": 100,
    "lib/store/README.md": 100,
    "tests/bench/RESULTS.md": None,
    "tests/e2e/libraries/README.md": 100,
}
_ENDINGS = (".h", ".cc", ".py", ".md", ".toml", ".svg", ".txt")
_PATH = re.compile(r"(\./)?[\w*.-]+(/[\w*.-]+)*/?$")
_NOT_OURS = ("build/", "application/")
# In comments of these, behind that mark.
_COMMENTS = {".h": "//", ".cc": "//", ".py": "#", ".toml": "#", ".txt": "#"}
_NAME = re.compile(r"(?<![\w./*<-])((?:[\w.-]+/)*[\w-]+\.(?:h|cc|py|md|toml))"
                   r"(?![\w*/])")


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


def _is_known(path, folder, bases, root):
    return path in bases if "/" not in path else _exists(
        path, ["", "lib", folder], root)


def _comment_problems(source, bases, root):
    mark = _COMMENTS.get(os.path.splitext(source)[1])
    if mark is None:
        return
    for number, line in enumerate(source_tree.lines(source, root), 1):
        comment = line.partition(mark)[2]
        if comment.startswith("include"):
            continue
        for name in _NAME.findall(comment):
            if not _is_known(name, os.path.dirname(source), bases, root):
                yield f"{source}:{number}: names {name}, which is not there"


def _page_problems(page, bases, root):
    folder = os.path.dirname(page)
    lines = source_tree.lines(page, root)
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
            if not _is_known(path, folder, bases, root):
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
    sources = list(source_tree.files(root))
    bases = {os.path.basename(path) for path in sources}
    for page in _LINES_MAX:
        if os.path.exists(os.path.join(root, page)):
            found += _page_problems(page, bases, root)
        else:
            found.append(f"{page}: is not there")
    for source in sources:
        found += _comment_problems(source, bases, root)
    return found


if __name__ == "__main__":
    sys.exit(source_tree.report(problems()))
