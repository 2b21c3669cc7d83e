// SPDX-License-Identifier: MIT
#include "cli/advice.h"

#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <optional>
#include <string_view>

#include "cli/duration.h"
#include "cli/text.h"

namespace kvctl {
namespace {

using kvd::ClientFault;

constexpr const char* kNotRunning =
    "\n  kvd is not running. Start it:  sudo systemctl start kvd.socket"
    "\n  Without systemd:  kvd --config etc/kvd.toml    "
    "Another socket:  --socket PATH";

std::string UserName(uid_t uid) {
  const passwd* user = ::getpwuid(uid);
  return user != nullptr ? user->pw_name : std::to_string(uid);
}

std::string GroupName(gid_t gid) {
  const group* found = ::getgrgid(gid);
  return found != nullptr ? found->gr_name : std::to_string(gid);
}

Failure PermissionDenied(const std::string& socket) {
  const std::string me = UserName(::geteuid());
  struct stat status = {};
  if (::stat(socket.c_str(), &status) != 0) {
    return {ExitCode::kPermission,
            fmt::format("permission denied on {} (a directory above it "
                        "does not let you in; you are {})",
                        socket, me)};
  }
  const std::string group = GroupName(status.st_gid);
  const std::string what =
      fmt::format("permission denied on {} ({}:{} {:04o}; you are {})", socket,
                  UserName(status.st_uid), group, status.st_mode & 07777, me);
  // Connecting takes the permission to write.
  const std::string how =
      (status.st_mode & S_IWGRP) != 0
          ? fmt::format(
                "\n  Join the group:  sudo usermod -aG {} {}   "
                "(then log in again)",
                group, me)
          : fmt::format("\n  Only its owner may use it:  sudo -u {} kvctl …",
                        UserName(status.st_uid));
  return {ExitCode::kPermission, what + how};
}

Failure OutcomeUnknown(const std::string& what, bool writes) {
  if (!writes) return {ExitCode::kUnknown, what};
  return {ExitCode::kUnknown,
          what +
              "; the write may or may not have happened"
              "\n  Check with \"kvctl get KEY\" before retrying."};
}

// Takes the code off an error's text.
std::string_view WithoutCode(std::string_view text) {
  const size_t space = text.find(' ');
  return space == std::string_view::npos ? text : text.substr(space + 1);
}

}  // namespace

Failure DescribeFault(const kvd::ClientError& error,
                      const CallContext& context) {
  const std::string unreachable =
      fmt::format("cannot reach kvd at {}: {}", context.socket, error.message);
  switch (error.fault) {
    case ClientFault::kNoSocket:
    case ClientFault::kRefused:
      return {ExitCode::kUnreachable, unreachable + kNotRunning};
    case ClientFault::kBadPath:
      return {ExitCode::kUnreachable,
              unreachable + "\n  Another socket:  --socket PATH"};
    case ClientFault::kBusy:
      return {ExitCode::kUnreachable,
              unreachable + "\n  Wait for longer:  --wait 30s"};
    case ClientFault::kPermission:
      return PermissionDenied(context.socket);
    case ClientFault::kLoading:
      return {ExitCode::kUnreachable,
              fmt::format("{}; use --wait 30s",
                          Escape(WithoutCode(error.message)))};
    case ClientFault::kTimeout:
      return OutcomeUnknown(
          "no reply within " + FormatDuration(context.timeout), context.writes);
    case ClientFault::kClosed:
      return OutcomeUnknown("kvd closed the connection before it replied",
                            context.writes);
    case ClientFault::kProtocol:
      return {ExitCode::kServerError,
              fmt::format("what answers at {} is not kvd: {}", context.socket,
                          error.message)};
    case ClientFault::kSystem:
      break;
  }
  return {ExitCode::kLocalIo, unreachable};
}

Failure DescribeErrorReply(const std::string& text) {
  const auto begins = [&](const char* code) { return text.starts_with(code); };
  ExitCode code = ExitCode::kServerError;
  if (begins("NOPERM") || begins("NOAUTH")) code = ExitCode::kPermission;
  // Nothing was done, and it may work later.
  if (begins("ERR max number of clients")) code = ExitCode::kUnreachable;
  if (begins("UNKNOWN")) code = ExitCode::kUnknown;
  if (begins("DAMAGED")) code = ExitCode::kDamage;
  // ERR tells nothing; the other codes are what people search for.
  const std::string_view shown =
      begins("ERR ") ? WithoutCode(text) : std::string_view(text);
  return {code, Escape(shown)};
}

}  // namespace kvctl
