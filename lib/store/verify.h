// SPDX-License-Identifier: MIT
//
// Reads every byte of a data directory that counts and reports all damage, not
// only the first. For people, offline: the caller holds the lock.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/error.h"
#include "fs/file_system.h"

namespace kvd {

struct VerifyReport {
  uint64_t segments = 0;
  uint64_t records = 0;     // Intact ones.
  uint64_t bytes = 0;       // Read.
  uint64_t damages = 0;     // Reported.
  uint64_t torn_bytes = 0;  // A torn tail is no damage: the next start cuts it.
};

// Calls `report` once per damage, with path, offset and what is affected; a
// place that the device does not give is one, and what is behind it is read.
// Changes nothing. An Error only when the directory cannot be read or is no
// data directory of a format that this version knows.
Result<VerifyReport> VerifyDirectory(
    Directory& directory,
    const std::function<void(const std::string&)>& report);

}  // namespace kvd
