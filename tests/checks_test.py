# SPDX-License-Identifier: MIT
"""The checks of the source tree find what they are there to find."""

import os
import tempfile
import unittest

import check_classes
import check_format
import check_layering
import check_marks
import check_pages
import check_readme
import check_rooms

LICENCE = "// SPDX-License-Identifier: MIT\n"


class Tree(unittest.TestCase):
    """A source tree of its own."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = folder.name

    def write(self, path, text, mode=0o644):
        full = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as stream:
            stream.write(text)
        os.chmod(full, mode)


class LayeringCheck(Tree):

    def problems_of(self, path, line):
        self.write(path, LICENCE + line + "\n")
        problems = check_layering.problems(self.root)
        os.remove(os.path.join(self.root, path))
        return problems

    def test_refuses_what_a_layer_may_not_see(self):
        for path, line in [
                ("lib/log/a.cc", '#include "store/store.h"'),
                ("lib/base/a.h", '#include "fs/file_system.h"'),
                ("lib/client/a.cc", '#include "config/config.h"'),
                ("lib/resp/a.cc", '#include "log/format/record.h"'),
                ("cli/a.cc", '#include "store/store.h"'),
                ("cli/a.cc", '#include "daemon/loop/turn.h"'),
                ("lib/store/a.cc", '#include "daemon/loop/turn.h"'),
                ("lib/store/memory/a.cc", '#include "store/store.h"'),
                ("lib/store/memory/a.h", '#include "store/values/a.h"'),
                ("lib/store/start/a.cc", '#include "store/background/b.h"'),
                ("lib/store/values/a.cc", '#include "store/background/b.h"'),
                ("lib/log/write/a.cc", '#include "log/read/tail.h"'),
                ("lib/log/read/a.cc", '#include "log/write/b.h"'),
                ("lib/log/format/a.h", '#include "log/write/room.h"'),
                ("daemon/loop/a.cc", '#include "daemon/server.h"'),
                ("daemon/commands/a.cc", '#include "daemon/loop/turn.h"'),
                ("daemon/state/a.h", '#include "daemon/commands/table.h"'),
                ("daemon/host/a.h", '#include "daemon/state/session.h"'),
                ("daemon/a.cc", '#include "client/client.h"'),
                ("daemon/a.cc", '#include "tests/support/x.h"'),
                ("lib/store/a.cc", "#include <uv.h>"),
                ("lib/store/a.cc", "#  include <toml++/toml.h>"),
                ("daemon/a.cc", "#include <toml++/toml.h>"),
                ("daemon/commands/a.cc", '#include "store/memory/index.h"'),
                ("daemon/a.cc", "#include <nlohmann/json.hpp>"),
                ("lib/config/a.cc", "#include <spdlog/spdlog.h>"),
                ("cli/a.cc", "#include <CLI/CLI.hpp>"),
                ("cli/a.cc", '  fmt::print(stderr, "text");'),
                ("lib/log/a.cc", "#include <liburing.h>"),
                ("lib/log/a.cc", "#include <gtest/gtest.h>"),
                ("lib/log/a.cc", "  int fd = ::open(path, 0);"),
                ("lib/log/a.cc", "  if (fsync(fd) != 0) return;"),
                ("lib/store/a.cc", "  ::rename(a, b);"),
                ("daemon/main.cc", "  unlink(path);"),
                ("daemon/loop/listener.cc", "  ::fsync(fd);"),
                ("lib/log/a.cc", "  std::ofstream out(path);"),
                ("lib/log/a.cc", "  std::filesystem::remove(path);"),
                ("other/a.cc", "int a;"),
        ]:
            with self.subTest(path=path, line=line):
                problems = self.problems_of(path, line)
                self.assertEqual(len(problems), 1, problems)
                place = 1 if path.startswith("other") else 2
                self.assertTrue(problems[0].startswith(f"{path}:{place}: "),
                                problems[0])

    def test_permits_what_the_layers_are_for(self):
        for path, line in [
                ("lib/log/a.cc", '#include "base/error.h"'),
                ("lib/store/a.cc", '#include "log/format/record.h"'),
                ("lib/store/a.cc", '#include "base/error.h"'),
                ("lib/store/a.cc", '#include "store/memory/entry.h"'),
                ("lib/store/background/a.cc", '#include "store/memory/b.h"'),
                ("lib/store/background/a.cc", '#include "store/values/b.h"'),
                ("lib/store/start/a.cc", '#include "store/start/b.h"'),
                ("lib/store/memory/a.cc", '#include "log/log_writer.h"'),
                ("lib/log/read/a.cc", '#include "log/format/record.h"'),
                ("daemon/a.cc", '#include "config/config.h"'),
                ("daemon/a.cc", '#include "daemon/loop/turn.h"'),
                ("daemon/commands/a.cc", '#include "store/operation.h"'),
                ("daemon/loop/a.cc", '#include "daemon/commands/dispatch.h"'),
                ("daemon/loop/a.cc", '#include "daemon/loop/turn.h"'),
                ("daemon/a.cc", '#include "fs/file_system.h"'),
                ("daemon/a.cc", "#include <uv.h>"),
                ("cli/a.cc", '#include "resp/reply_parser.h"'),
                ("lib/config/a.cc", "#include <toml++/toml.h>"),
                ("lib/fs/posix_file_system.cc", "  ::open(path, 0);"),
                ("daemon/loop/listener.cc", "  ::rename(a, b);"),
                ("lib/log/a.cc", "  // fsync(fd) would come too late."),
                ("lib/log/a.cc", '  Fail("open(%s) failed");'),
                ("lib/log/a.cc", "  file->Sync(); reader.open(x); reopen(y);"),
                ("tests/log/a.cc", "  ::open(path, 0);"),
        ]:
            with self.subTest(path=path, line=line):
                self.assertEqual(self.problems_of(path, line), [])

    def test_refuses_a_folder_that_it_does_not_know(self):
        self.assertEqual(self.problems_of("lib/store/other/a.cc", "int a;"),
                         ["lib/store/other/a.cc:1: belongs to no folder of "
                          "lib/store"])

    def test_no_two_depend_on_each_other(self):
        for arrows in [check_layering._MAY_INCLUDE,
                       *check_layering._FOLDERS.values()]:
            for start, targets in arrows.items():
                for target in targets:
                    self.assertNotIn(
                        start, check_layering._reachable(arrows, target))


class FormatCheck(Tree):

    def test_refuses_a_file_without_a_licence(self):
        self.write("lib/a.cc", "int a;\n")
        self.write("tests/b.py", "#!/bin/sh\n# SPDX-License-Identifier: MIT\n")
        self.assertEqual(check_format.licence_problems(self.root),
                         ['lib/a.cc:1: no "SPDX-License-Identifier: MIT"'])

    def test_refuses_what_clang_format_would_change(self):
        self.write(".clang-format", "BasedOnStyle: Google\n")
        self.write("lib/good.cc", "int a;\n")
        self.assertEqual(check_format.format_problems(self.root), [])
        self.write("lib/bad.cc", "int  a ;\n")
        problems = check_format.format_problems(self.root)
        self.assertEqual(len(problems), 1, problems)
        self.assertTrue(problems[0].startswith("lib/bad.cc:1:"), problems)


class MarksCheck(Tree):

    def test_refuses_every_mark(self):
        marks = ["TO" "DO", "FIX" "ME", "XX" "X", "HA" "CK"]
        for mark in marks:
            self.write("lib/a.cc", f"int a;\n// {mark}(ann): later\n")
            self.assertEqual(check_marks.problems(self.root),
                             [f"lib/a.cc:2: // {mark}(ann): later"])

    def test_permits_words_that_contain_one(self):
        self.write("lib/a.cc", "// mkstemp wants XX" "XX" "XX, a methodology\n")
        self.assertEqual(check_marks.problems(self.root), [])


class PagesCheck(Tree):

    GOOD = ("See [a](a.md), `a.h` and `fs/a`.\n\n| File | Is |\n|---|---|\n"
            "| `b`, `c_*` | two |\n")

    def setUp(self):
        super().setUp()
        for page in check_pages._LINES_MAX:
            self.write(page, "# Page\n")
        for path in ["lib/a.md", "lib/fs/a.h", "lib/b.cc", "lib/c_d.h"]:
            self.write(path, "")
        self.write("lib/README.md", self.GOOD)

    def test_accepts_names_of_what_is_there(self):
        self.assertEqual(check_pages.problems(self.root), [])

    def test_refuses_each_name_of_what_is_not(self):
        for path in ["lib/a.md", "lib/fs/a.h", "lib/b.cc", "lib/c_d.h"]:
            text = "" if path.endswith(".cc") else "int a;\n"
            os.remove(os.path.join(self.root, path))
            self.assertNotEqual(check_pages.problems(self.root), [], path)
            self.write(path, text)

    def test_refuses_a_page_that_nobody_has_time_for(self):
        self.write("lib/README.md", "line\n" * 251)
        self.assertEqual(
            check_pages.problems(self.root),
            ["lib/README.md: has 251 lines; a reader has time for 250"])

    # This file is checked as well: no line of it has a mark before such a name.
    COMMENT = "#"

    def test_comments_name_files_that_are_there(self):
        for path, line in [
                ("lib/fs/b.cc", "int a;  // As a.h and fs/a.h do."),
                ("tests/b.py", self.COMMENT + " lib/fs/a.h, no x.h/y, no *.h"),
                ("b.toml", 'a = "gone.md"')]:
            self.write(path, line + "\n")
        self.assertEqual(check_pages.problems(self.root), [])

    def test_refuses_comments_that_name_what_is_not(self):
        for path, line in [
                ("lib/fs/b.cc", "int a;  // See gone.h."),
                ("tests/b.py", self.COMMENT + " As lib/gone/a.h has it"),
                ("lib/CMakeLists.txt", self.COMMENT + " (tests/gone.py)")]:
            self.write(path, line + "\n")
            self.assertEqual(len(check_pages.problems(self.root)), 1, line)
            os.remove(os.path.join(self.root, path))

    def test_a_page_has_to_be_there(self):
        os.remove(os.path.join(self.root, "daemon/README.md"))
        self.assertEqual(check_pages.problems(self.root),
                         ["daemon/README.md: is not there"])


class ReadmeCheck(Tree):

    GOOD = "# kvd\n\n```\n$ ./daemon/quickstart\n./tests/run   # all\n```\n"

    def setUp(self):
        super().setUp()
        self.write("README.md", self.GOOD)
        self.write(".ci/run", "#!/bin/bash\nexec ./tests/run\n", 0o755)
        self.write("tests/run", "#!/bin/bash\n", 0o755)
        self.write("daemon/quickstart", "#!/bin/bash\n", 0o755)

    def test_accepts_the_promise_that_is_kept(self):
        self.assertEqual(check_readme.problems(self.root), [])

    def test_refuses_other_commands(self):
        for text in ["# kvd\n", self.GOOD.replace("tests/run", "tests/all"),
                     self.GOOD.replace("```", "")]:
            self.write("README.md", text)
            self.assertEqual(len(check_readme.problems(self.root)), 1, text)

    def test_refuses_a_ci_that_runs_something_else(self):
        self.write(".ci/run", "#!/bin/bash\n# ./tests/run\nctest\n", 0o755)
        self.assertEqual(check_readme.problems(self.root),
                         [".ci/run: does not run ./tests/run"])

    def test_refuses_what_cannot_be_executed(self):
        self.write("tests/run", "#!/bin/bash\n", 0o644)
        self.assertEqual(check_readme.problems(self.root),
                         ["./tests/run: is not executable"])


class RoomsCheck(Tree):

    def test_refuses_a_folder_of_too_many_files(self):
        for number in range(20):
            self.write(f"tests/a/{number}.cc", "")
            self.write(f"tests/a/{number}.h", "")
            self.write(f"tests/b/{number}.py", "")
        self.write("tests/a/data.txt", "")
        self.assertEqual(check_rooms.problems(self.root), [])
        self.write("tests/a/b.h", "")
        problems = check_rooms.problems(self.root)
        self.assertEqual(len(problems), 1, problems)
        self.assertTrue(problems[0].startswith("tests/a: has 21 "), problems)


class ClassesCheck(Tree):

    SOURCE = """class Hub final : public Base {
 public:
  void Act() const { int no_member = 0; }
  struct Part { int none_of_ours; };

 private:
%s%s  static constexpr int kNone = 1;  // int also_none;
};
"""

    def problems_of(self, members, methods):
        self.write("lib/a/hub.h", self.SOURCE % (
            "".join(f"  std::map<int, Fn(int)> m{i} = {{}};\n"
                    for i in range(members)),
            "".join(f"  bool Do{i}(int a = 1);\n" for i in range(methods))))
        return check_classes.problems(self.root)

    def test_refuses_a_hub(self):
        self.assertEqual(self.problems_of(30, 25), [])
        for members, methods in (31, 0), (0, 26):
            problems = self.problems_of(members, methods)
            self.assertEqual(len(problems), 1, problems)
            self.assertIn("class Hub has ", problems[0])


if __name__ == "__main__":
    unittest.main()
