// SPDX-License-Identifier: MIT
//
// For lib/fs alone: system calls that signals interrupt, and what is said of
// those that fail.
#pragma once

#include <cerrno>
#include <utility>

#include "base/error.h"

namespace kvd {

// Makes a system call, again if a signal interrupts it.
template <typename Call>
auto Retry(Call call) {
  while (true) {
    const auto result = call();
    if (result >= 0 || errno != EINTR) return result;
  }
}

// The error of the system call that just failed.
template <typename... Args>
tl::unexpected<Error> FailErrno(fmt::format_string<Args...> what,
                                Args&&... args) {
  const int sys_errno = errno;
  return Unexpected(Error::FromErrno(
      sys_errno, fmt::format(what, std::forward<Args>(args)...)));
}

}  // namespace kvd
