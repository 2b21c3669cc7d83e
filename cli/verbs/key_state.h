// SPDX-License-Identifier: MIT
//
// A key with all that kvd knows about it, and the answer when it is not there.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "cli/failure.h"
#include "cli/session.h"

namespace kvctl {

// What is known of a key beside its value.
struct KeyMeta {
  int64_t size;  // Of the value.
  int64_t revision;
  int64_t ttl_ms;  // -1: lives for ever.
};

struct KeyState {
  std::string value;
  KeyMeta meta;
};

// KV.GET; nothing when there is no such key.
Attempt<std::optional<KeyState>> ReadKeyState(Session& session,
                                              std::string_view key);

// The same without moving the value, which may be large.
Attempt<std::optional<KeyMeta>> ReadKeyMeta(Session& session,
                                            std::string_view key);

// The reply to KV.GET … META.
Attempt<std::optional<KeyMeta>> ToKeyMeta(const kvd::Reply& reply);

// The negative answer of a verb that needs the key. `more` follows its name.
tl::unexpected<Failure> NoSuchKey(std::string_view key,
                                  std::string_view more = "");

}  // namespace kvctl
