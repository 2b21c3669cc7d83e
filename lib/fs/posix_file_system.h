// SPDX-License-Identifier: MIT
//
// The real disk: the one place of kvd that opens, writes and syncs files.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "fs/file_system.h"

namespace kvd {

struct PosixDirectoryOptions {
  // Makes the directory (mode 0700, durably) when there is none. Its parents
  // must exist.
  bool create = false;
  // Refuses a directory that its group or others may write: they could put
  // files of their own in the place of the store's.
  bool private_only = false;
  // Nothing in the directory is changed, not even LOCK; what would change
  // something fails with kPermission.
  bool read_only = false;
};

// Opens a directory. kNotFound when there is none and none is to be made,
// kInvalid when `path` is something else, not private, or on a network file
// system, whose locks and syncs promise less than kvd does.
//
// Files are created with mode 0600. SIGXFSZ must be ignored by the process for
// a file size limit to come back as kNoSpace.
Result<std::unique_ptr<Directory>> OpenPosixDirectory(
    const std::string& path, PosixDirectoryOptions options);

// The name of a network file system, by the f_type of statfs(2); empty for all
// others.
std::string_view NetworkFileSystemName(int64_t statfs_type);

}  // namespace kvd
