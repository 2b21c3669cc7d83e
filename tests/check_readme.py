# SPDX-License-Identifier: MIT
"""The commands that README.md promises are the ones that CI runs.

The first code block of README.md that names them must hold ./daemon/quickstart
and ./tests/run as lines of their own; .ci/run must run the second one, and both
must be executable.
"""

import os
import re
import sys

import source_tree

_COMMANDS = ["./daemon/quickstart", "./tests/run"]


def _commands_in(text):
    """The ./commands in the code blocks of a Markdown text, in order."""
    commands = []
    for block in re.findall(r"^```[^\n]*\n(.*?)^```", text, re.M | re.S):
        for line in block.splitlines():
            match = re.match(r"(?:\$ )?(\./\S+)", line)
            if match and match.group(1) not in commands:
                commands.append(match.group(1))
    return commands


def problems(root=source_tree.ROOT):
    try:
        with open(os.path.join(root, "README.md"), encoding="utf-8") as stream:
            promised = _commands_in(stream.read())
        with open(os.path.join(root, ".ci/run"), encoding="utf-8") as stream:
            ci = stream.read()
    except OSError as error:
        return [str(error)]
    found = []
    if promised[:2] != _COMMANDS:
        found.append(f"README.md: its first two commands are {promised[:2]}, "
                     f"not {_COMMANDS}")
    if not re.search(r"^(exec )?\./tests/run\b", ci, re.M):
        found.append(".ci/run: does not run ./tests/run")
    for command in _COMMANDS + [".ci/run"]:
        if not os.access(os.path.join(root, command), os.X_OK):
            found.append(f"{command}: is not executable")
    return found


if __name__ == "__main__":
    sys.exit(source_tree.report(problems()))
