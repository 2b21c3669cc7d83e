// SPDX-License-Identifier: MIT
#include "daemon/pubsub/message.h"

#include <utility>

#include "resp/reply_writer.h"

namespace kvd {
namespace {

// Of head and framing beside pattern, channel and payload.
constexpr size_t kFramingBytes = 96;

}  // namespace

Message::Message(TopicKind kind, std::string_view channel,
                 std::string_view payload, std::shared_ptr<uint64_t> held)
    : kind_(kind), channel_bytes_(channel.size()), held_(std::move(held)) {
  text_.reserve(channel.size() + payload.size() + kFramingBytes);
  ReplyWriter writer(&text_, kRespProtocolMax);
  writer.Bulk(channel);
  constexpr size_t kLineEndBytes = 2;
  channel_at_ = text_.size() - kLineEndBytes - channel.size();
  writer.Bulk(payload);
  *held_ += text_.capacity();
}

Message::~Message() { *held_ -= text_.capacity(); }

void Message::AppendHead(int protocol, const std::string* pattern,
                         std::string* out) const {
  ReplyWriter writer(out, protocol);
  writer.PushHeader(pattern != nullptr ? 4 : 3);
  if (pattern != nullptr) {
    writer.Bulk("pmessage");
    writer.Bulk(*pattern);
  } else {
    writer.Bulk(kind_ == TopicKind::kShard ? "smessage" : "message");
  }
}

size_t Message::BytesFor(const std::string* pattern) const {
  return text_.size() + kFramingBytes +
         (pattern != nullptr ? pattern->size() : 0);
}

}  // namespace kvd
