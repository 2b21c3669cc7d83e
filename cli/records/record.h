// SPDX-License-Identifier: MIT
//
// What moves in and out: a key with all that belongs to it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace kvctl {

// Where a record stands in what was read, for messages. Counted from 1.
struct Place {
  int64_t record = 0;
  int64_t line = 0;  // 0: not a matter of lines.
  int64_t byte = 0;  // 0: not a matter of bytes.
};

// "record 3 (line 4)", "record 3 (byte 1205)", "record 3".
std::string Describe(const Place& place);

struct Record {
  std::string key;
  std::string value;
  std::optional<int64_t> expires_ms = {};  // Unix time; never without one.
  std::optional<int64_t> revision = {};
  std::optional<int64_t> database = {};  // None: wherever the reader wants.
  Place place = {};
};

// Roughly the memory that it takes.
size_t BytesOf(const Record& record);

}  // namespace kvctl
