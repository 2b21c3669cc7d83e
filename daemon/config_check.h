// SPDX-License-Identifier: MIT
#pragma once

#include "base/error.h"
#include "config/config.h"

namespace kvd {

// Refuses (kInvalid) what a start would refuse of settings that can be read,
// and changes nothing: a socket path or group, or a data directory, that only a
// person can mend. What may be there later, such as a folder, is not looked
// for.
Result<void> CheckConfig(const Config& config);

}  // namespace kvd
