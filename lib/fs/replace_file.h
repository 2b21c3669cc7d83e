// SPDX-License-Identifier: MIT
//
// Replaces a file that is not of a data directory: a person's configuration.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace kvd {

// Gives the file at `path`, which must be there, these contents: at any moment,
// also after a power cut, it has either the old ones or the new ones. It keeps
// its permission bits, and its owner as far as the process may say so. Where
// `path` is a symbolic link, the file that it leads to is replaced. After an
// error everything is as it was, but the new contents may be there if only the
// last step failed, which makes the name durable.
Result<void> ReplaceFile(const std::string& path, std::string_view contents);

}  // namespace kvd
