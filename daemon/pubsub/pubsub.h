// SPDX-License-Identifier: MIT
//
// Who is subscribed to what, and which messages are under way.
//
// A message is handed out in two steps, so that none gets into the reply of the
// command that publishes it: Find() says who gets it, and behind the command
// TakeMail() gives it out. Where many patterns must be compared, it is worked
// off in slices; until then messages of the same channel wait behind it, and
// those of others do not. Subscriptions of a client that has gone with a
// million of them are removed in slices, too.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/pubsub/message.h"
#include "daemon/pubsub/pattern_index.h"

namespace kvd {

class PubSub;
class Subscriber;

// A channel or a pattern that somebody is subscribed to.
struct Topic {
  TopicKind kind;
  std::string name;
  std::vector<Subscriber*> subscribers = {};
  PatternPlace place = {};  // Of a pattern.
};

// One client's subscriptions. Its owner is the client; PubSub keeps it for as
// long as they are being removed.
class Subscriber {
 public:
  size_t count(TopicKind kind) const { return topics_[Index(kind)].size(); }
  // Of all kinds.
  size_t count() const;
  size_t name_bytes() const { return name_bytes_; }
  // What the names of channels and patterns take, with what is known of each.
  size_t memory_bytes() const;

  // One of the names; null if there is none.
  const std::string* Any(TopicKind kind) const;

 private:
  friend class PubSub;
  friend struct SubscriberLeaves;

  Subscriber(PubSub& home, Inbox& inbox) : home_(home), inbox_(&inbox) {}

  static size_t Index(TopicKind kind) { return static_cast<size_t>(kind); }

  PubSub& home_;
  Inbox* inbox_;  // Null once the client has gone.
  size_t name_bytes_ = 0;
  // With its place among the topic's subscribers.
  std::array<std::map<Topic*, size_t>, kTopicKinds> topics_;
};

// The client has gone, or wants nothing any more.
struct SubscriberLeaves {
  void operator()(Subscriber* subscriber) const;
};
using SubscriberPtr = std::unique_ptr<Subscriber, SubscriberLeaves>;

// One that gets a message, and for which pattern; null for the channel's name.
// Good for as long as the message is mail.
struct Receiver {
  Subscriber* subscriber;
  const Topic* pattern;
};

// A message that can be handed out.
struct Mail {
  SharedMessage message;
  // The change that must be durable before; nothing: the newest one that its
  // sender has seen.
  std::optional<uint64_t> seq;
  std::vector<Receiver> receivers;
};

// What has become of a message that takes several slices.
struct Posting {
  bool done = false;
  size_t receivers = 0;
};

// Thread: loop.
class PubSub {
 public:
  // A longer name, or pattern, is nobody's. Channels of keyspace events end
  // with a key.
  static constexpr size_t kChannelBytesMax = size_t{65} << 10;
  static constexpr size_t kPatternBytesMax = size_t{4} << 10;
  // Of one client, and of all.
  static constexpr size_t kSubscriptionsMax = size_t{1} << 20;
  static constexpr size_t kNameBytesMax = size_t{64} << 20;
  static constexpr size_t kAllSubscriptionsMax = size_t{4} << 20;
  static constexpr size_t kAllNameBytesMax = size_t{256} << 20;
  static constexpr size_t kAllPatternsMax = size_t{1} << 20;
  // What a subscription takes beside the name, about.
  static constexpr size_t kSubscriptionCost = 256;
  // Work of one slice: about a millisecond. A comparison with a pattern is 1, a
  // receiver is 1.
  static constexpr size_t kSliceWork = 8192;

  PubSub() = default;
  ~PubSub();
  PubSub(const PubSub&) = delete;
  PubSub& operator=(const PubSub&) = delete;

  SubscriberPtr NewSubscriber(Inbox& inbox);

  // Whether the subscriber may have so many more; the text of an error if not.
  std::string WhyNot(const Subscriber& subscriber, TopicKind kind, size_t names,
                     size_t bytes) const;
  // False if it was so already.
  bool Subscribe(Subscriber* subscriber, TopicKind kind, std::string_view name);
  bool Unsubscribe(Subscriber* subscriber, TopicKind kind,
                   std::string_view name);

  // Channels with subscribers, or all patterns. Those that only clients have
  // which have gone count until they are removed.
  size_t topics(TopicKind kind) const { return topics_[Index(kind)].size(); }
  // How many clients are subscribed to it by name.
  size_t Subscribers(TopicKind kind, std::string_view name) const;
  // Calls `each` with all names, or those behind `after`, in byte order, until
  // it says false.
  void ForEachTopic(TopicKind kind, const std::string* after,
                    const std::function<bool(const std::string&)>& each) const;

  // For a message that is about to be published.
  SharedMessage NewMessage(TopicKind kind, std::string_view channel,
                           std::string_view payload) const;
  // Who gets a message on that channel. Nothing if that may take more than
  // `work`, or if earlier ones of this channel are still being worked off.
  std::optional<std::vector<Receiver>> Find(TopicKind kind,
                                            std::string_view channel,
                                            size_t work) const;
  // The same of an event of a key: behind others of these, whatever their
  // channels.
  std::optional<std::vector<Receiver>> FindForEvent(std::string_view channel,
                                                    size_t work) const;
  // To be handed out behind the command under way.
  void Send(Mail mail);
  // To be worked off in slices, behind what Find() has found until now.
  std::shared_ptr<const Posting> SendSlowly(SharedMessage message,
                                            std::optional<uint64_t> seq);
  void SendEventSlowly(SharedMessage message, uint64_t seq);
  // Of what is worked off in slices.
  size_t slow_messages() const { return slow_.size(); }

  bool has_mail() const { return !mail_.empty(); }
  std::vector<Mail> TakeMail();
  // Hands out one of them. With `wait`, not before `seq` is durable.
  void Deliver(const Mail& mail, uint64_t seq, bool wait);

  // Does a slice of what was put off. What it finds is mail then. Not while
  // there is other mail.
  void Work();
  bool has_work() const {
    return !slow_.empty() || !leaving_.empty() || !retired_.empty();
  }

  // While more has been handed out than kvd has come to send: who publishes
  // waits.
  bool has_backlog() const { return has_backlog_; }
  void set_has_backlog(bool has) { has_backlog_ = has; }

  // What messages take, each counted once.
  uint64_t held_bytes() const { return *held_; }
  // How often a message was handed out.
  uint64_t delivered() const { return delivered_; }
  // What was handed out, a message for each receiver.
  uint64_t delivered_bytes() const { return delivered_bytes_; }

 private:
  friend struct SubscriberLeaves;

  // Compared with patterns in slices.
  struct Slow {
    SharedMessage message;
    std::optional<uint64_t> seq;
    std::shared_ptr<Posting> posting;
    std::string lane;
    bool begun = false;
    std::vector<Topic*> candidates = {};
    size_t compared = 0;
  };

  static size_t Index(TopicKind kind) { return static_cast<size_t>(kind); }
  static std::string LaneOf(TopicKind kind, std::string_view channel);
  std::shared_ptr<const Posting> AddSlow(SharedMessage message,
                                         std::optional<uint64_t> seq,
                                         std::string lane);

  const Topic* Named(TopicKind kind, std::string_view name) const;
  static void AddReceivers(const Topic& topic, const Topic* pattern,
                           std::vector<Receiver>* receivers);
  void Leave(std::unique_ptr<Subscriber> subscriber);
  size_t RemoveSome(Subscriber* subscriber, size_t most);
  void Detach(Subscriber* subscriber, Topic* topic, size_t at);
  void Retire(Topic* topic);
  void WorkOnMessage();
  void WorkOnLeaving();
  void WorkOnRetired();

  // By their names.
  std::array<std::map<std::string_view, std::unique_ptr<Topic>>, kTopicKinds>
      topics_;
  PatternIndex patterns_;
  size_t subscriptions_ = 0;
  size_t name_bytes_ = 0;

  std::vector<Mail> mail_;
  std::deque<Slow> slow_;
  std::vector<Topic*> spare_candidates_;  // Memory for the next one's.
  // How many of a channel, or of events.
  std::map<std::string, size_t, std::less<>> slow_lanes_;
  std::deque<std::unique_ptr<Subscriber>> leaving_;
  // Without subscribers. Mail may mention them, and the slow message that has
  // begun the last `retired_in_use_` of them.
  std::deque<std::unique_ptr<Topic>> retired_;
  size_t retired_in_use_ = 0;

  std::shared_ptr<uint64_t> held_ = std::make_shared<uint64_t>(0);
  bool has_backlog_ = false;
  uint64_t delivered_ = 0;
  uint64_t delivered_bytes_ = 0;
};

}  // namespace kvd
