// SPDX-License-Identifier: MIT
#pragma once

#include <string_view>

namespace kvd {

// Whether all of `text` matches `pattern`: `*`, `?`, `[a-z]`, `[^a]`, and `\`
// for the next byte as it is. Takes time proportional to the product of the
// sizes at worst. Source: stringmatchlen() of Redis, odd patterns included.
bool GlobMatches(std::string_view pattern, std::string_view text,
                 bool ignore_case = false);

}  // namespace kvd
