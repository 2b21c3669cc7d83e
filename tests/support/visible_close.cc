// SPDX-License-Identifier: MIT
//
// Linked into every program of a ThreadSanitizer build. libuv closes its
// descriptors by syscall(SYS_close), which ThreadSanitizer does not see: when
// another thread is then given the same number, what it does there looks like a
// race with what was done to the old descriptor. Here such a call becomes a
// close(), which ThreadSanitizer does see.

#include <dlfcn.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdarg>

extern "C" long syscall(long number, ...) noexcept {
  using SystemCall = long (*)(long, ...);
  static const auto next =
      reinterpret_cast<SystemCall>(dlsym(RTLD_NEXT, "syscall"));
  // No call has more than six; reading those that are not there is harmless.
  long words[6];
  va_list list;
  va_start(list, number);
  for (long& word : words) word = va_arg(list, long);
  va_end(list);
  if (number == SYS_close) return close(static_cast<int>(words[0]));
  return next(number, words[0], words[1], words[2], words[3], words[4],
              words[5]);
}
