// SPDX-License-Identifier: MIT
#include "cli/verbs/key_state.h"

#include <utility>

#include "cli/text.h"

namespace kvctl {

using kvd::Reply;
using kvd::ReplyType;

namespace {

// Whether the reply has the three elements, the last two being integers.
bool IsState(const Reply& reply) {
  return reply.elements.size() == 3 &&
         reply.elements[1].type == ReplyType::kInteger &&
         reply.elements[2].type == ReplyType::kInteger;
}

}  // namespace

Attempt<std::optional<KeyState>> ReadKeyState(Session& session,
                                              std::string_view key) {
  KVD_TRY_ASSIGN(Reply reply, session.Call({"KV.GET", key}));
  if (reply.is_null()) return std::nullopt;
  if (!IsState(reply) || !reply.elements[0].is_text()) {
    return UnforeseenReply("KV.GET");
  }
  std::string value = std::move(reply.elements[0].text);
  const auto size = static_cast<int64_t>(value.size());
  return KeyState{.value = std::move(value),
                  .meta = {.size = size,
                           .revision = reply.elements[1].integer,
                           .ttl_ms = reply.elements[2].integer}};
}

Attempt<std::optional<KeyMeta>> ReadKeyMeta(Session& session,
                                            std::string_view key) {
  KVD_TRY_ASSIGN(const Reply reply, session.Call({"KV.GET", key, "META"}));
  return ToKeyMeta(reply);
}

Attempt<std::optional<KeyMeta>> ToKeyMeta(const Reply& reply) {
  if (reply.is_null()) return std::nullopt;
  if (!IsState(reply) || reply.elements[0].type != ReplyType::kInteger) {
    return UnforeseenReply("KV.GET");
  }
  return KeyMeta{.size = reply.elements[0].integer,
                 .revision = reply.elements[1].integer,
                 .ttl_ms = reply.elements[2].integer};
}

tl::unexpected<Failure> NoSuchKey(std::string_view key, std::string_view more) {
  return Refuse(ExitCode::kNegative, "no such key: {}{}", Escape(key), more);
}

}  // namespace kvctl
