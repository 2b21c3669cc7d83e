# SPDX-License-Identifier: MIT
"""The files of the project, for the checks that read them as text."""

import os

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# What is made by builds and tools.
_NOT_SOURCE = {"build", ".git", "__pycache__", ".cache"}


def files(root=ROOT):
    """Yields the paths of all files, relative to root, in order."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(set(folders) - _NOT_SOURCE)
        # In a worktree .git is a file.
        for name in sorted(set(names) - _NOT_SOURCE):
            yield os.path.relpath(os.path.join(folder, name), root)


def cxx_files(root=ROOT):
    return [path for path in files(root) if path.endswith((".h", ".cc"))]


def lines(path, root=ROOT):
    """The lines of a text file; none of a binary one."""
    with open(os.path.join(root, path), "rb") as stream:
        data = stream.read()
    if b"\0" in data:
        return []
    return data.decode("utf-8", "replace").splitlines()


def report(problems):
    """Prints the problems; the exit code for them."""
    for problem in problems:
        print(problem)
    return 1 if problems else 0
