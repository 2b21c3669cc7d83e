// SPDX-License-Identifier: MIT
//
// A large value in a reply, sent from where the store keeps it. Copying one
// costs more than all else that a GET does: the copy, the page faults of the
// memory for it, and the cache that both take. Other large texts go the same
// way.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <variant>

#include "store/memory/value_pin.h"

namespace kvd {

// Values below this are copied: that is cheaper than keeping them.
inline constexpr size_t kLentBytesMin = size_t{16} << 10;
// In a reply that is large already, values that were read from disk are copied
// below this alone: they have a copy of their own.
inline constexpr size_t kLentColdBytesMin = 256;
inline constexpr size_t kLargeReplyBytes = size_t{256} << 10;

// Belongs into the text of replies, between a header and a line end of its own:
// no two have the same place.
struct LentValue {
  size_t at;              // In the text.
  std::string_view rest;  // What is not sent yet.
  // Keeps the bytes where they are.
  using Kept = std::shared_ptr<const void>;
  std::variant<ValuePin, Kept> owner;
};

// Calls `each` with the pieces, in order, of `text` from `from` on with the
// values that belong into it.
template <typename Each>
void ForEachPiece(std::string_view text, size_t from,
                  std::span<const LentValue> values, Each each) {
  for (const LentValue& value : values) {
    if (value.at >= text.size()) break;
    if (value.at > from) each(text.substr(from, value.at - from));
    each(value.rest);
    from = value.at;
  }
  if (from < text.size()) each(text.substr(from));
}

}  // namespace kvd
