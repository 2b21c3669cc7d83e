// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace kvctl {

// The candidate that `word` was probably meant to be, or "" when none is near:
// at most two typing slips away (a letter added, lost or changed, or two
// swapped), and not more than one slip for two letters.
std::string_view Nearest(std::string_view word,
                         std::span<const std::string> candidates);

}  // namespace kvctl
