// SPDX-License-Identifier: MIT
//
// RFC 4648, with padding.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace kvd {

std::string Base64(std::string_view bytes);
// What Base64() gave; nothing for anything else.
std::optional<std::string> FromBase64(std::string_view text);

}  // namespace kvd
