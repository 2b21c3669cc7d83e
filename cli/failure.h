// SPDX-License-Identifier: MIT
//
// How kvctl fails: with a text that says what happened, why and what to type,
// and an exit code. Made once, where it happened; printed once, in main.
#pragma once

#include <fmt/format.h>

#include <string>
#include <tl/expected.hpp>
#include <utility>

#include "base/error.h"
#include "cli/exit_code.h"

namespace kvctl {

struct Failure {
  ExitCode code;
  // The first line is printed after "kvctl: "; further lines, the advice, are
  // indented.
  std::string text;
};

// A value or a Failure; ignoring one is a compiler warning. Works with KVD_TRY.
template <typename T>
class [[nodiscard]] Attempt : public tl::expected<T, Failure> {
 public:
  using tl::expected<T, Failure>::expected;
  bool ok() const { return this->has_value(); }
};

inline tl::unexpected<Failure> Unexpected(Failure failure) {
  return tl::unexpected<Failure>(std::move(failure));
}

template <typename... Args>
tl::unexpected<Failure> Refuse(ExitCode code,
                               fmt::format_string<Args...> format,
                               Args&&... args) {
  return Unexpected({code, fmt::format(format, std::forward<Args>(args)...)});
}

}  // namespace kvctl
