// SPDX-License-Identifier: MIT
//
// What settings mean depends on where the data is.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "config/config.h"

namespace kvd {

// Has `config` keep to what its backend can do: sizes are cut down to it, and
// what is of no meaning there gets its default. Returns a line, for people, for
// each kind of thing that was changed.
std::vector<std::string> AdaptToBackend(Config* config);

}  // namespace kvd
