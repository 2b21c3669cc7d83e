// SPDX-License-Identifier: MIT
//
// kvctl's machine output: one JSON value per line. Bytes that are not UTF-8 are
// kept: "value" becomes "value_b64".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "resp/reply_parser.h"

namespace kvctl {

// Builds one object, fields in the order of the calls.
class JsonObject {
 public:
  // "name" with the text, or "name_b64" when the bytes are no UTF-8.
  JsonObject& Bytes(std::string_view name, std::string_view bytes);
  JsonObject& Integer(std::string_view name, int64_t value);
  JsonObject& Null(std::string_view name);
  // A time to live as kvd gives it: null for none (negative).
  JsonObject& Ttl(std::string_view name, int64_t ms);
  // Any reply, see ToJson.
  JsonObject& Value(std::string_view name, const kvd::Reply& reply);

  // The object and a line feed.
  std::string Line() const { return "{" + fields_ + "}\n"; }

 private:
  void Field(std::string_view name, std::string_view json);

  std::string fields_;
};

// A reply as JSON: maps are objects, other aggregates arrays, bytes that are no
// UTF-8 are {"b64": …}, errors {"error": …}.
std::string ToJson(const kvd::Reply& reply);

}  // namespace kvctl
