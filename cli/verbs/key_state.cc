// SPDX-License-Identifier: MIT
#include "cli/verbs/key_state.h"

#include <utility>

#include "cli/text.h"

namespace kvd {

Attempt<std::optional<KeyState>> ReadKeyState(Session& session,
                                              std::string_view key) {
  KVD_TRY_ASSIGN(Reply reply, session.Call({"KV.GET", key}));
  return ToKeyState(std::move(reply));
}

Attempt<std::optional<KeyState>> ToKeyState(Reply reply) {
  if (reply.is_null()) return std::nullopt;
  if (reply.elements.size() != 3 || !reply.elements[0].is_text() ||
      reply.elements[1].type != ReplyType::kInteger ||
      reply.elements[2].type != ReplyType::kInteger) {
    return UnforeseenReply("KV.GET");
  }
  return KeyState{.value = std::move(reply.elements[0].text),
                  .revision = reply.elements[1].integer,
                  .ttl_ms = reply.elements[2].integer};
}

tl::unexpected<Failure> NoSuchKey(std::string_view key, std::string_view more) {
  return Refuse(ExitCode::kNegative, "no such key: {}{}", Escape(key), more);
}

}  // namespace kvd
