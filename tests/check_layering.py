# SPDX-License-Identifier: MIT
"""Each file includes only what its layer may see.

    daemon -> store -> log -> fs -> base        cli -> client -> resp -> base
    daemon -> resp, config                      config -> base
    store -> backup -> base                     cli -> backup
    daemon -> salvage -> log                    etcd -> base
    daemon/etcd -> daemon, etcd/engine          etcd/engine -> store, etcd

What a layer may include is open to the layers above it, too. The folders of a
layer are layers again, below the files that are in none. Some libraries and the
file system calls have one room each.
"""

import re
import sys

import source_tree

# What is within another one comes first.
_MAY_INCLUDE = {
    "lib/base": [],
    "lib/fs": ["lib/base"],
    "lib/log": ["lib/fs"],
    "lib/backup": ["lib/base"],
    "lib/salvage": ["lib/log"],
    "lib/store": ["lib/log", "lib/backup"],
    "lib/resp": ["lib/base"],
    "lib/client": ["lib/resp"],
    "lib/config": ["lib/base"],
    "lib/etcd/engine": ["lib/store", "lib/etcd"],
    "lib/etcd": ["lib/base"],
    "daemon/etcd": ["daemon", "lib/etcd/engine"],
    "daemon": ["lib/store", "lib/salvage", "lib/resp", "lib/config"],
    "cli": ["lib/client", "lib/backup"],
}

# The same between the folders of a layer; "" has the layer's own files.
_FOLDERS = {
    "lib/log": {
        "": ["write", "read"],
        "write": ["format"],
        "read": ["format"],
        "format": [],
    },
    "lib/store": {
        "": ["background", "start"],
        "background": ["values"],
        "start": ["memory"],
        "values": ["memory"],
        "memory": [],
    },
    "daemon": {
        "": ["loop"],
        "loop": ["commands"],
        "commands": ["script"],
        "commands/pubsub": ["commands"],
        "commands/server": ["commands"],
        "script": ["state"],
        "state": ["host", "pubsub"],
        "host": [],
        "pubsub": [],
    },
}

# An include that starts so may stand only in paths that start so.
_ROOMS = {
    "uv.h": ["daemon/"],
    "lua": ["daemon/script/"],
    "toml++/": ["lib/config/"],
    "nlohmann/": ["cli/"],
    "grpc": ["lib/etcd/"],
    "google/protobuf/": ["lib/etcd/"],
    # Others know etcd by api.h, and who makes a client by client.h.
    "etcd/wire.pb.h": ["lib/etcd/"],
    "liburing": ["lib/fs/"],
    "systemd/": ["daemon/"],
    "spdlog/": ["daemon/"],
    # Others know the store by store.h and operation.h; a value that is sent
    # without a copy is held where it is.
    "store/background/": ["lib/store/"],
    "store/memory/": ["lib/store/", "lib/etcd/engine/",
                      "daemon/state/lent_value.h"],
    "store/start/": ["lib/store/"],
    "store/values/": ["lib/store/"],
    "histedit.h": ["cli/"],
    "ncurses": ["cli/"],
    "zstd": ["lib/backup/", "cli/records/compression"],
    "hiredis": [],
    "CLI/": [],  # It splits and interprets words of users: base/arguments.h.
    "gtest/": [],
    "gmock/": [],
}

# Calls that touch files. They stand behind the seam; the daemon's listener
# owns the names of sockets, and lib/client connects to one.
_FILE_CALLS = re.compile(
    r"(?<![\w.>:])(?:::)?(open|openat|creat|pread|pwrite|preadv|pwritev"
    r"|pwritev2|rename|renameat|renameat2|unlink|unlinkat|fsync|fdatasync|ftruncate"
    r"|fallocate|posix_fallocate|sync_file_range|mkdir|mkdirat|rmdir|flock"
    r"|opendir|readdir|link|symlink)\s*\(")
_FILE_CALL_ROOMS = {
    "lib/fs/": None,  # All of them.
    "daemon/loop/listener": {"rename", "unlink"},
    "cli/": {"open"},  # A person's own files.
    "cli/moving/record_sorter": {"pread"},  # A temporary one.
    "cli/backup/": {"open", "pread", "unlink", "rename", "fsync"},
    "lib/base/standard_streams": {"open"},  # /dev/null.
}
# They throw when the stream cannot be written.
_THROWING_PRINTS = re.compile(r"\b(fmt::v?print(?:ln)?|std::v?print(?:ln)?)\s*\(")
_STANDARD_FILES = re.compile(r"\b(std::filesystem|std::[io]?fstream|fopen)\b")
_STANDARD_FILE_ROOMS = ("lib/config/", "lib/etcd/certificates", "cli/", "daemon/")

_INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def _reachable(arrows, start):
    seen, todo = {start}, [start]
    while todo:
        for below in arrows[todo.pop()]:
            if below not in seen:
                seen.add(below)
                todo.append(below)
    return seen


def _layer_of(path):
    for layer in _MAY_INCLUDE:
        if path.startswith(layer + "/"):
            return layer
    return None


def _layer_of_include(name):
    """The layer of "log/format/record.h" (below lib/) or "daemon/loop/turn.h"."""
    return _layer_of(name) or _layer_of("lib/" + name)


def _folder_of(layer, path):
    """Of lib/store/memory/entry.h, or an include of it, it is memory."""
    inside = path.removeprefix("lib/")[len(layer.removeprefix("lib/")) + 1:]
    return inside.rpartition("/")[0]


def _folder_problem(layer, path, name):
    folders = _FOLDERS.get(layer)
    if folders is None or _layer_of_include(name) != layer:
        return None
    source, target = _folder_of(layer, path), _folder_of(layer, name)
    if source not in folders or target in _reachable(folders, source):
        return None
    return " may not include from ".join(
        f"{layer}/{folder}".rstrip("/") for folder in (source, target))


def _include_problem(layer, path, name):
    for start, rooms in _ROOMS.items():
        if name.startswith(start) and not path.startswith(tuple(rooms)):
            return f"<{name}> belongs to {' and '.join(rooms) or 'tests'}"
    if name.startswith("tests/"):
        return "nothing outside tests/ may include from it"
    target = _layer_of_include(name)
    if target and target not in _reachable(_MAY_INCLUDE, layer):
        return f"{layer} may not include from {target}"
    return _folder_problem(layer, path, name)


def _call_problem(path, line):
    call = _FILE_CALLS.search(line)
    if call:
        for room, allowed in _FILE_CALL_ROOMS.items():
            if path.startswith(room) and (
                    allowed is None or call.group(1) in allowed):
                return None
        return f"{call.group(1)}() belongs behind lib/fs/file_system.h"
    standard = _STANDARD_FILES.search(line)
    if standard and not path.startswith(_STANDARD_FILE_ROOMS):
        return f"{standard.group(1)} belongs behind lib/fs/file_system.h"
    throwing = _THROWING_PRINTS.search(line)
    if throwing:
        return f"{throwing.group(1)} throws when the stream is full or closed"
    return None


def _code_of(line):
    """The line without a comment at its end and without strings."""
    return re.sub(r'"(\\.|[^"\\])*"', '""', line).split("//")[0]


def problems(root=source_tree.ROOT):
    found = []
    for path in source_tree.cxx_files(root):
        layer = _layer_of(path)
        if layer is None:
            if not path.startswith("tests/"):
                found.append(f"{path}:1: belongs to no layer")
            continue
        folders = _FOLDERS.get(layer)
        if folders and _folder_of(layer, path) not in folders:
            found.append(f"{path}:1: belongs to no folder of {layer}")
        for number, line in enumerate(source_tree.lines(path, root), 1):
            include = _INCLUDE.match(line)
            problem = (_include_problem(layer, path, include.group(2))
                       if include else _call_problem(path, _code_of(line)))
            if problem:
                found.append(f"{path}:{number}: {problem}: {line.strip()}")
    return found


if __name__ == "__main__":
    sys.exit(source_tree.report(problems()))
