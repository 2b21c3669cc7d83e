// SPDX-License-Identifier: MIT
//
// A message on its way to everybody who gets it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace kvd {

// What clients subscribe to. Channels of shards have names of their own; in all
// else they are like channels.
enum class TopicKind : uint8_t { kChannel, kPattern, kShard };
inline constexpr size_t kTopicKinds = 3;

// Channel and payload as all of its receivers read them, made once. Thread:
// loop.
class Message {
 public:
  // `held` counts the bytes of messages that are there.
  Message(TopicKind kind, std::string_view channel, std::string_view payload,
          std::shared_ptr<uint64_t> held);
  ~Message();
  Message(const Message&) = delete;
  Message& operator=(const Message&) = delete;

  // kChannel or kShard.
  TopicKind kind() const { return kind_; }
  std::string_view channel() const {
    return std::string_view(text_).substr(channel_at_, channel_bytes_);
  }

  // What comes before text(), for a client of that version of the protocol,
  // appended to `out`. `pattern` is the one that it is sent for; null if it is
  // for the channel's name.
  void AppendHead(int protocol, const std::string* pattern,
                  std::string* out) const;
  // Channel and payload, line ends included.
  std::string_view text() const { return text_; }
  // What both take at most.
  size_t BytesFor(const std::string* pattern) const;

 private:
  const TopicKind kind_;
  std::string text_;
  size_t channel_at_ = 0;
  size_t channel_bytes_;
  std::shared_ptr<uint64_t> held_;
};

using SharedMessage = std::shared_ptr<const Message>;

// Who gets messages.
class Inbox {
 public:
  // The message, sent for `pattern` or, if that is null, for the channel's
  // name. With `wait` it must not be seen before `seq` is durable.
  virtual void Take(const SharedMessage& message, const std::string* pattern,
                    uint64_t seq, bool wait) = 0;

  // Bytes of messages that its client has not read yet, shared ones included …
  virtual size_t UnsentMessageBytes() = 0;
  // … and what they take of memory of its own.
  virtual size_t OwnMessageBytes() = 0;
  // Ends the conversation with a client that does not read.
  virtual void CloseAsSlow() = 0;

 protected:
  ~Inbox() = default;
};

}  // namespace kvd
