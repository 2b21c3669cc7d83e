// SPDX-License-Identifier: MIT
#include "daemon/config_check.h"

#include "daemon/loop/listener.h"
#include "fs/posix_file_system.h"

namespace kvd {

Result<void> CheckConfig(const Config& config) {
  const auto directory = OpenPosixDirectory(
      config.data_dir, {.private_only = true, .read_only = true});
  if (!directory && directory.error().code() == ErrorCode::kInvalid) {
    return Unexpected(directory.error());
  }
  return ListeningSocket::Check(config.socket);
}

}  // namespace kvd
