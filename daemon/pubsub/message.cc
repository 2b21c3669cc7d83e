// SPDX-License-Identifier: MIT
#include "daemon/pubsub/message.h"

#include <fmt/format.h>

#include <iterator>
#include <utility>

namespace kvd {
namespace {

// Of head and framing beside pattern, channel and payload.
constexpr size_t kFramingBytes = 96;

}  // namespace

Message::Message(TopicKind kind, std::string_view channel,
                 std::string_view payload, std::shared_ptr<uint64_t> held)
    : kind_(kind), channel_bytes_(channel.size()), held_(std::move(held)) {
  text_.reserve(channel.size() + payload.size() + kFramingBytes);
  fmt::format_to(std::back_inserter(text_), "${}\r\n", channel.size());
  channel_at_ = text_.size();
  text_.append(channel);
  fmt::format_to(std::back_inserter(text_), "\r\n${}\r\n", payload.size());
  text_.append(payload).append("\r\n");
  *held_ += text_.capacity();
}

Message::~Message() { *held_ -= text_.capacity(); }

void Message::AppendHead(int protocol, const std::string* pattern,
                         std::string* out) const {
  out->push_back(protocol >= 3 ? '>' : '*');
  if (pattern != nullptr) {
    fmt::format_to(std::back_inserter(*out), "4\r\n$8\r\npmessage\r\n${}\r\n",
                   pattern->size());
    out->append(*pattern).append("\r\n");
  } else {
    out->append(kind_ == TopicKind::kShard ? "3\r\n$8\r\nsmessage\r\n"
                                           : "3\r\n$7\r\nmessage\r\n");
  }
}

size_t Message::BytesFor(const std::string* pattern) const {
  return text_.size() + kFramingBytes +
         (pattern != nullptr ? pattern->size() : 0);
}

}  // namespace kvd
