// SPDX-License-Identifier: MIT
//
// SHA-1, by which clients name scripts. It names and does not protect: whoever
// makes two scripts of one name only deceives himself.
#pragma once

#include <array>
#include <string_view>

namespace kvd {

// Forty hexadecimal digits in lower case.
using Sha1Text = std::array<char, 40>;

Sha1Text Sha1(std::string_view bytes);

inline std::string_view View(const Sha1Text& text) {
  return {text.data(), text.size()};
}

}  // namespace kvd
