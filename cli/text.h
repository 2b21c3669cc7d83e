// SPDX-License-Identifier: MIT
//
// Bytes as text: for terminals, which obey control sequences, and for formats
// that hold no arbitrary bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/strings/base64.h"

namespace kvctl {

// Whether `bytes` is well-formed UTF-8 (RFC 3629).
bool IsUtf8(std::string_view bytes);

// What is printable stays, the rest becomes \n, \t, \r, \\ or \xNN. With
// `keep_lines`, line feeds and tabs stay as well.
std::string Escape(std::string_view bytes, bool keep_lines = false);

// Escape() in double quotes, which are escaped too.
std::string Quote(std::string_view bytes);

std::string Hex(std::string_view bytes);
using kvd::Base64;
using kvd::FromBase64;

// "1,204,331".
std::string Grouped(int64_t number);
// "12 B", "312 MiB", "2.1 GiB".
std::string HumanBytes(int64_t bytes);

// The pattern of SCAN's MATCH for keys that begin with `prefix`.
std::string PrefixPattern(std::string_view prefix);

}  // namespace kvctl
