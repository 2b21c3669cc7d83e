// SPDX-License-Identifier: MIT
#include "base/error.h"

#include <cerrno>
#include <system_error>

#include "base/planted_bug.h"

namespace kvd {
namespace {

ErrorCode CodeOf(int sys_errno) {
  switch (sys_errno) {
    case ENOENT:
    case ENOTDIR:
      return ErrorCode::kNotFound;
    case EEXIST:
      return ErrorCode::kExists;
    case EACCES:
    case EPERM:
      return ErrorCode::kPermission;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return ErrorCode::kNoSpace;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
    case EINTR:
    case EAGAIN:
      return ErrorCode::kResources;
    case EINVAL:
    case ENAMETOOLONG:
    case ELOOP:
      return ErrorCode::kInvalid;
    default:
      return ErrorCode::kIo;
  }
}

}  // namespace

Error Error::FromErrno(int sys_errno, std::string_view what) {
  // Not strerror(), which is not safe with several threads.
  Error error(
      CodeOf(sys_errno),
      fmt::format("{}: {}", what, std::generic_category().message(sys_errno)));
  error.sys_errno_ = sys_errno;
  return error;
}

Outlook OutlookOf(const Error& error) {
  switch (error.code()) {
    case ErrorCode::kResources:
      return IsPlanted(PlantedBug::kPassingIsFinal) ? Outlook::kFinal
                                                    : Outlook::kPasses;
    case ErrorCode::kNoSpace:
      return Outlook::kNeedsRoom;
    default:
      return Outlook::kFinal;
  }
}

}  // namespace kvd
