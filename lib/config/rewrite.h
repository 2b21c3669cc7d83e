// SPDX-License-Identifier: MIT
//
// CONFIG REWRITE: a person's file with a few values changed. Comments, order
// and all that is not a changed value stay byte by byte.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace kvd {

// The text of a configuration file with these settings, names and values as
// GetSetting() has them. A setting that is not there is put behind the others
// of its section, and a missing section at the end. The result is read again
// and says exactly that. Errors: kInvalid when `text` is no good
// configuration or cannot be changed so; `file` is its name in messages.
Result<std::string> RewriteConfig(
    std::string_view text, const std::string& file,
    const std::vector<std::pair<std::string, std::string>>& changes);

}  // namespace kvd
