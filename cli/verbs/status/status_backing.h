// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "cli/verbs/status/status_fields.h"

namespace kvctl {

// Lines about where the data is, if that is not kvd's data directory: of its
// members, of the kvds that share it, and warnings. Takes these fields, and
// those that mean nothing then; to be called before others look.
std::string BackingText(StatusFields& fields, bool color);

}  // namespace kvctl
