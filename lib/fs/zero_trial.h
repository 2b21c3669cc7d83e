// SPDX-License-Identifier: MIT
//
// Measures what zeros written ahead of the log's writes save on a disk, and
// what they cost. The first synced write to a block that is only reserved has
// to make changed metadata durable, too; where zeros were written ahead it does
// not. They cost the time of writing every byte twice. So they pay for small
// writes.
#pragma once

#include <cstdint>
#include <vector>

#include "base/error.h"
#include "fs/posix_file.h"

namespace kvd {

struct ZeroTimes {
  // Of synced writes of one block each: to blocks that are only reserved, and
  // to the same once more. As many of the one as of the other, and not none.
  std::vector<int64_t> first_ns;
  std::vector<int64_t> again_ns;
  // Of an allocation of so many bytes of zeros, and of its sync.
  uint64_t zeros_bytes = 0;
  int64_t zeros_ns = 0;
};

// Of what ZeroingLimit() says.
inline constexpr uint64_t kZeroingLimitMin = 16 << 10;
inline constexpr uint64_t kZeroingLimitMax = 4 << 20;

// The size of a synced write, in bytes, from which on zeros cost more time than
// they save.
uint64_t ZeroingLimit(const ZeroTimes& times);

// Needs an empty file, and 4 MiB on the disk. Takes some ms on an SSD, a third
// of a second on a spinning disk.
Result<ZeroTimes> TryZeros(PosixFile& file);

}  // namespace kvd
