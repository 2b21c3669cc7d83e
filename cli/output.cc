// SPDX-License-Identifier: MIT
#include "cli/output.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <system_error>
#include <tuple>

namespace kvctl {
namespace {

constexpr size_t kPendingBytesMax = 64 * 1024;

}  // namespace

Output::Output(int fd) : fd_(fd), is_terminal_(::isatty(fd) == 1) {}

void Output::Write(std::string_view bytes) {
  pending_.append(bytes);
  if (pending_.size() >= kPendingBytesMax) WriteOut();
}

Attempt<void> Output::Flush() {
  WriteOut();
  if (fault_ == 0) return {};
  return Refuse(ExitCode::kLocalIo, "cannot write the output: {}",
                std::generic_category().message(fault_));
}

void Output::WriteOut() {
  std::string_view rest = pending_;
  while (!rest.empty() && fault_ == 0) {
    const ssize_t size = ::write(fd_, rest.data(), rest.size());
    if (size >= 0) {
      rest.remove_prefix(static_cast<size_t>(size));
    } else if (errno == EAGAIN) {
      // Another program has made it non-blocking.
      pollfd room = {fd_, POLLOUT, 0};
      ::poll(&room, 1, -1);
    } else if (errno != EINTR) {
      fault_ = errno;
    }
  }
  pending_.clear();
}

void WriteError(std::string_view text) {
  Output output(STDERR_FILENO);
  output.Write(text);
  std::ignore = output.Flush();
}

bool WantsColor(int fd, std::string_view choice) {
  if (choice == "always") return true;
  if (choice == "never" || ::isatty(fd) != 1) return false;
  const char* no_color = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  return (no_color == nullptr || *no_color == '\0') &&
         (term == nullptr || std::string_view(term) != "dumb");
}

}  // namespace kvctl
