// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>

#include "cli/failure.h"

namespace kvctl {

// Writes to a file descriptor that it borrows, in large pieces. A fault is kept
// until Flush, which must be called at the end: a full disk under a redirected
// output must not pass for success.
class Output {
 public:
  explicit Output(int fd);

  void Write(std::string_view bytes);
  // Everything written so far is out, or a Failure of kLocalIo.
  Attempt<void> Flush();
  bool is_terminal() const { return is_terminal_; }

 private:
  void WriteOut();

  int fd_;
  bool is_terminal_;
  int fault_ = 0;  // An errno.
  std::string pending_;
};

// Writes to standard error. What cannot be written there is lost; the exit code
// still tells.
void WriteError(std::string_view text);

// Whether to colour what goes to `fd`. `choice` is --color: always, never, or
// anything else for what the terminal, NO_COLOR and TERM say.
bool WantsColor(int fd, std::string_view choice);

}  // namespace kvctl
