// SPDX-License-Identifier: MIT
//
// fmt's own code, compiled here because Debian has no static libfmt, and
// loading the shared one takes longer than all that "kvctl get" does.
// CMakeLists.txt has the compiler keep every function, so that the linker finds
// what it needs here and leaves the shared library out.
#define FMT_HEADER_ONLY
#include <fmt/format.h>
