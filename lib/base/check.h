// SPDX-License-Identifier: MIT
//
// Checks for bugs in kvd itself. They stay on in release builds: a store that
// goes on after a broken invariant writes the breakage to disk.
#pragma once

namespace kvd {

// Prints the failed condition with its place to stderr and aborts.
[[noreturn]] void CheckFailed(const char* condition, const char* file,
                              int line);

}  // namespace kvd

#define KVD_CHECK(condition)                         \
  (__builtin_expect(static_cast<bool>(condition), 1) \
       ? static_cast<void>(0)                        \
       : ::kvd::CheckFailed(#condition, __FILE__, __LINE__))
