// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>

namespace kvd {

// What to do about damage in a data directory, as lines of a message: how to
// list it, and how to get back to work. The commands are whole, so that they
// can be copied; NEWDIR is the reader's to choose.
std::string DamageAdvice(std::string_view directory);

}  // namespace kvd
