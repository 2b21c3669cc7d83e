// SPDX-License-Identifier: MIT
//
// One JSON object as a line, for programs. Bytes that are not plain text go out
// in base64, under a name that ends in "_b64".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace kvd {

// Escapes a JSON string's content; bytes beyond ASCII stay as they are.
std::string JsonEscaped(std::string_view text);

// For terminals: in quotes, what is not printable as \xNN.
std::string Quoted(std::string_view bytes);

class JsonLine {
 public:
  // "type" comes first.
  explicit JsonLine(std::string_view type) { Add("type", type); }

  JsonLine& Add(std::string_view name, uint64_t value);
  JsonLine& Add(std::string_view name, int value) {
    return Add(name, static_cast<uint64_t>(value));
  }
  JsonLine& Add(std::string_view name, bool value);
  // Of text of kvd's own.
  JsonLine& Add(std::string_view name, std::string_view text);
  JsonLine& Add(std::string_view name, const char* text) {
    return Add(name, std::string_view(text));
  }
  // Of bytes of a user's: "name", or "name_b64".
  JsonLine& AddBytes(std::string_view name, std::string_view bytes);
  // What already is JSON.
  JsonLine& AddJson(std::string_view name, std::string_view json);

  std::string Take() { return line_ + "}"; }

 private:
  std::string line_;
};

}  // namespace kvd
