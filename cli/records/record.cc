// SPDX-License-Identifier: MIT
#include "cli/records/record.h"

#include <fmt/format.h>

namespace kvctl {

std::string Describe(const Place& place) {
  if (place.line > 0) {
    return fmt::format("record {} (line {})", place.record, place.line);
  }
  if (place.byte > 0) {
    return fmt::format("record {} (byte {})", place.record, place.byte);
  }
  return fmt::format("record {}", place.record);
}

size_t BytesOf(const Record& record) {
  return sizeof(Record) + record.key.capacity() + record.value.capacity();
}

}  // namespace kvctl
