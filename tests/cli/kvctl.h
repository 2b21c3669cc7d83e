// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace kvctl {

// How a run of kvctl ended, and what it printed.
struct Ran {
  int code = -1;  // As a shell tells it: 128 + n after signal n.
  std::string out;
  std::string err;
};

// What a run finds. The environment is empty but for `env`.
struct RunOptions {
  std::string input = {};
  // Then standard input and output are a terminal, `input` is not used, and
  // what is printed has the terminal's line ends.
  bool terminal = false;
  std::vector<std::string> env = {};
  // Become this user first, if not root's.
  unsigned uid = 0;
  // Write standard output there instead.
  std::optional<std::string> output_path = {};
  // Send this signal once the run has lasted for a moment.
  int signal = 0;
};

// Runs the kvctl that has just been built.
Ran RunKvctl(const std::vector<std::string>& args,
             const RunOptions& options = {});

// Whether this machine has pseudo terminals: a bare chroot may lack them.
bool HasTerminals();

}  // namespace kvctl
