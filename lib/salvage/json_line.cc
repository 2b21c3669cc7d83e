// SPDX-License-Identifier: MIT
#include "salvage/json_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "base/strings/base64.h"

namespace kvd {
namespace {

bool IsPlain(char c) { return c >= ' ' && c <= '~'; }

}  // namespace

std::string JsonEscaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (static_cast<unsigned char>(c) < ' ') {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}",
                     static_cast<unsigned>(c));
    } else {
      out.push_back(c);
    }
  }
  return out;
}

std::string Quoted(std::string_view bytes) {
  std::string out = "\"";
  for (const char c : bytes) {
    if (c == '"' || c == '\\') out.push_back('\\');
    if (IsPlain(c)) {
      out.push_back(c);
    } else {
      fmt::format_to(std::back_inserter(out), "\\x{:02x}",
                     static_cast<unsigned char>(c));
    }
  }
  out.push_back('"');
  return out;
}

JsonLine& JsonLine::Add(std::string_view name, uint64_t value) {
  return AddJson(name, fmt::format("{}", value));
}

JsonLine& JsonLine::Add(std::string_view name, bool value) {
  return AddJson(name, value ? "true" : "false");
}

JsonLine& JsonLine::Add(std::string_view name, std::string_view text) {
  return AddJson(name, fmt::format("\"{}\"", JsonEscaped(text)));
}

JsonLine& JsonLine::AddBytes(std::string_view name, std::string_view bytes) {
  if (std::all_of(bytes.begin(), bytes.end(), IsPlain)) return Add(name, bytes);
  return Add(fmt::format("{}_b64", name), std::string_view(Base64(bytes)));
}

JsonLine& JsonLine::AddJson(std::string_view name, std::string_view json) {
  fmt::format_to(std::back_inserter(line_), "{}\"{}\":{}",
                 line_.empty() ? "{" : ",", name, json);
  return *this;
}

}  // namespace kvd
