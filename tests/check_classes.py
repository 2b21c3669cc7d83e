# SPDX-License-Identifier: MIT
"""No class is a hub: few data members, few private methods.

Plain structs of figures and settings may be longer: they do nothing.
"""

import re
import sys

import source_tree

_MEMBERS_MAX = 30
_PRIVATE_METHODS_MAX = 25

_CLASS = re.compile(r"\bclass\s+([\w:]+)(?:\s+final)?(?:\s*:(?!:)[^{;]*)?\s*\{")
_ACCESS = re.compile(r"\b(public|private|protected)\s*:(?!:)")
_NO_MEMBER = ("using", "friend", "template", "static constexpr", "enum", "struct",
              "class", "typedef", "static_assert")


def _code(text):
    """Without comments and the insides of strings."""
    return re.sub(r'"(\\.|[^"\\])*"', '""', re.sub(r"//[^\n]*", "", text))


def _own(text, start):
    """What stands in the braces that open before `start`, but in no others; a
    block that ends counts as a semicolon."""
    own, depth = [], 1
    for char in text[start:]:
        if char == "{":
            depth += 1
        elif char == "}":
            depth -= 1
            if depth == 0:
                break
            if depth == 1:
                own.append(";")
        elif depth == 1:
            own.append(char)
    return "".join(own)


def _without_templates(text):
    while True:
        shorter = re.sub(r"<[^<>]*>", "", text)
        if shorter == text:
            return text
        text = shorter


def sizes(text):
    """Of each class in a source: name, data members, private methods."""
    text = _code(text)
    for found in _CLASS.finditer(text):
        members = methods = 0
        parts = _ACCESS.split(_own(text, found.end()))
        for access, part in zip(["private"] + parts[1::2], parts[::2]):
            for line in part.split(";"):
                words = _without_templates(" ".join(line.split()))
                if words.startswith(_NO_MEMBER) or " " not in words:
                    continue
                if "(" in words.split("=")[0]:
                    methods += access == "private"
                else:
                    members += 1
        yield found.group(1), members, methods


def problems(root=source_tree.ROOT):
    found = []
    for path in source_tree.cxx_files(root):
        if path.startswith("tests/"):
            continue
        for name, members, methods in sizes(
                "\n".join(source_tree.lines(path, root))):
            for count, what, most in ((members, "data members", _MEMBERS_MAX),
                                      (methods, "private methods",
                                       _PRIVATE_METHODS_MAX)):
                if count > most:
                    found.append(f"{path}: class {name} has {count} {what}; split "
                                 f"it, so that it has no more than {most}")
    return found


if __name__ == "__main__":
    sys.exit(source_tree.report(problems()))
