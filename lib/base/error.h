// SPDX-License-Identifier: MIT
//
// Errors as values. An Error says once, where it happened, what went wrong with
// which path, offset and errno; callers pass it up unchanged or decide on its
// code. No exception crosses code of ours.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace kvd {

enum class ErrorCode {
  kInvalid = 1,  // Bad usage, configuration or argument.
  kNotFound,     // No such file, key or name.
  kExists,       // The name is taken.
  kPermission,   // The system forbids it.
  kNoSpace,      // ENOSPC, EDQUOT, EFBIG: the disk or a quota is full.
  kResources,    // EMFILE, ENFILE, ENOMEM and such: try again later.
  kHeld,         // Another process holds the directory or the socket.
  kIo,           // The device failed, or takes no writes any more.
  kCorruption,   // Stored bytes are not what was written.
  kFormat,       // Written by a newer kvd, or not by kvd.
  kUnavailable,  // Not reachable, or not now.
  kCancelled,    // The caller asked to give up.
  kTimeout,      // No answer in time: nobody knows whether it was done.
  kCompacted,    // What was asked for is history that is kept no longer.
};

class [[nodiscard]] Error {
 public:
  Error(ErrorCode code, std::string message)
      : code_(code), message_(std::move(message)) {}

  // The error of a failed system call: "<what>: <strerror>", with the code that
  // fits the errno.
  static Error FromErrno(int sys_errno, std::string_view what);

  ErrorCode code() const { return code_; }
  // One or more lines for a person; no trailing newline.
  const std::string& message() const { return message_; }
  // The errno that caused it, or 0.
  int sys_errno() const { return sys_errno_; }

 private:
  ErrorCode code_;
  std::string message_;
  int sys_errno_ = 0;
};

// A value or an Error; ignoring one is a compiler warning.
template <typename T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using tl::expected<T, Error>::expected;
  bool ok() const { return this->has_value(); }
};

// What to expect after an error. Each errno is classified here, by its code,
// and nowhere else.
enum class Outlook {
  kPasses,     // It is temporary: the same may work a little later.
  kNeedsRoom,  // Until somebody frees space or raises a quota.
  kFinal,      // It lasts until a person has looked.
};
Outlook OutlookOf(const Error& error);

inline bool NeedsRoom(const Error& error) {
  return OutlookOf(error) == Outlook::kNeedsRoom;
}
inline bool IsFinal(const Error& error) {
  return OutlookOf(error) == Outlook::kFinal;
}

inline tl::unexpected<Error> Unexpected(Error error) {
  return tl::unexpected<Error>(std::move(error));
}

template <typename... Args>
tl::unexpected<Error> Fail(ErrorCode code, fmt::format_string<Args...> format,
                           Args&&... args) {
  return tl::unexpected<Error>(
      Error(code, fmt::format(format, std::forward<Args>(args)...)));
}

}  // namespace kvd

#define KVD_CONCAT_INNER(a, b) a##b
#define KVD_CONCAT(a, b) KVD_CONCAT_INNER(a, b)

// Evaluates a Result<void>, or any tl::expected, and returns its error from the
// calling function.
#define KVD_TRY(expression)                                            \
  do {                                                                 \
    if (auto kvd_try_result = (expression); !kvd_try_result) {         \
      return ::tl::make_unexpected(std::move(kvd_try_result).error()); \
    }                                                                  \
  } while (false)

// Evaluates a Result<T>, or any tl::expected; declares `name` with its value or
// returns its error.
#define KVD_TRY_ASSIGN(declaration, expression)                \
  auto KVD_CONCAT(kvd_result_, __LINE__) = (expression);       \
  if (!KVD_CONCAT(kvd_result_, __LINE__)) {                    \
    return ::tl::make_unexpected(                              \
        std::move(KVD_CONCAT(kvd_result_, __LINE__)).error()); \
  }                                                            \
  declaration = std::move(*KVD_CONCAT(kvd_result_, __LINE__))
