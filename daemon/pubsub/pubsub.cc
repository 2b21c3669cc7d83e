// SPDX-License-Identifier: MIT
#include "daemon/pubsub/pubsub.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/planted_bug.h"

namespace kvd {
namespace {

// Subscriptions that are removed without slices: what a client usually has.
constexpr size_t kRemovedAtOnce = 1024;
// What it costs to remove one, in the measure of slices.
constexpr size_t kRemovalWork = 8;

// Where events of keys wait for each other. Other lanes begin with a kind.
constexpr std::string_view kEventLane = "events";

}  // namespace

size_t Subscriber::count() const {
  size_t count = 0;
  for (const auto& topics : topics_) count += topics.size();
  return count;
}

size_t Subscriber::memory_bytes() const {
  return sizeof(Subscriber) + name_bytes_ + count() * PubSub::kSubscriptionCost;
}

const std::string* Subscriber::Any(TopicKind kind) const {
  const auto& topics = topics_[Index(kind)];
  return topics.empty() ? nullptr : &topics.begin()->first->name;
}

void SubscriberLeaves::operator()(Subscriber* subscriber) const {
  subscriber->home_.Leave(std::unique_ptr<Subscriber>(subscriber));
}

// Nobody is left who would mind how long it takes.
PubSub::~PubSub() = default;

SubscriberPtr PubSub::NewSubscriber(Inbox& inbox) {
  return SubscriberPtr(new Subscriber(*this, inbox));
}

std::string PubSub::WhyNot(const Subscriber& subscriber, TopicKind kind,
                           size_t names, size_t bytes) const {
  const bool too_many = subscriber.count() + names > kSubscriptionsMax;
  const bool too_long = subscriber.name_bytes_ + bytes > kNameBytesMax;
  if (too_many || too_long) {
    return fmt::format(
        "ERR too many subscriptions: a client may have {}, with names of {} "
        "bytes together. Nothing was changed; unsubscribe from some, or use a "
        "pattern",
        kSubscriptionsMax, kNameBytesMax);
  }
  const bool all_have_too_many =
      subscriptions_ + names > kAllSubscriptionsMax ||
      name_bytes_ + bytes > kAllNameBytesMax ||
      (kind == TopicKind::kPattern && topics(kind) + names > kAllPatternsMax);
  if (all_have_too_many) {
    return fmt::format(
        "ERR all clients together have too many subscriptions: {} are allowed, "
        "{} different patterns among them. Nothing was changed; CLIENT LIST "
        "shows who has how many",
        kAllSubscriptionsMax, kAllPatternsMax);
  }
  return {};
}

bool PubSub::Subscribe(Subscriber* subscriber, TopicKind kind,
                       std::string_view name) {
  auto& topics = topics_[Index(kind)];
  auto found = topics.find(name);
  if (found == topics.end()) {
    auto topic = std::make_unique<Topic>(kind, std::string(name));
    const std::string_view key = topic->name;
    if (kind == TopicKind::kPattern) patterns_.Add(topic.get());
    found = topics.emplace(key, std::move(topic)).first;
  }
  Topic* const topic = found->second.get();
  auto& own = subscriber->topics_[Index(kind)];
  if (!own.emplace(topic, topic->subscribers.size()).second) return false;
  topic->subscribers.push_back(subscriber);
  subscriber->name_bytes_ += name.size();
  name_bytes_ += name.size();
  ++subscriptions_;
  return true;
}

bool PubSub::Unsubscribe(Subscriber* subscriber, TopicKind kind,
                         std::string_view name) {
  const auto topic = topics_[Index(kind)].find(name);
  if (topic == topics_[Index(kind)].end()) return false;
  auto& own = subscriber->topics_[Index(kind)];
  const auto found = own.find(topic->second.get());
  if (found == own.end()) return false;
  const size_t at = found->second;
  own.erase(found);
  Detach(subscriber, topic->second.get(), at);
  return true;
}

// The topic forgets the subscriber, which is its `at`th.
void PubSub::Detach(Subscriber* subscriber, Topic* topic, size_t at) {
  subscriber->name_bytes_ -= topic->name.size();
  name_bytes_ -= topic->name.size();
  --subscriptions_;
  Subscriber* const last = topic->subscribers.back();
  topic->subscribers[at] = last;
  topic->subscribers.pop_back();
  if (last != subscriber) last->topics_[Index(topic->kind)][topic] = at;
  if (topic->subscribers.empty()) Retire(topic);
}

void PubSub::Retire(Topic* topic) {
  auto& topics = topics_[Index(topic->kind)];
  if (topic->kind == TopicKind::kPattern) patterns_.Remove(topic);
  auto node = topics.extract(topic->name);
  retired_.push_back(std::move(node.mapped()));
  if (!slow_.empty() && slow_.front().begun) ++retired_in_use_;
}

size_t PubSub::Subscribers(TopicKind kind, std::string_view name) const {
  const Topic* const topic = Named(kind, name);
  if (topic == nullptr) return 0;
  if (leaving_.empty()) return topic->subscribers.size();
  return static_cast<size_t>(std::ranges::count_if(
      topic->subscribers,
      [](const Subscriber* s) { return s->inbox_ != nullptr; }));
}

const Topic* PubSub::Named(TopicKind kind, std::string_view name) const {
  const auto found = topics_[Index(kind)].find(name);
  return found == topics_[Index(kind)].end() ? nullptr : found->second.get();
}

void PubSub::ForEachTopic(
    TopicKind kind, const std::string* after,
    const std::function<bool(const std::string&)>& each) const {
  const auto& topics = topics_[Index(kind)];
  for (auto it = after == nullptr ? topics.begin() : topics.upper_bound(*after);
       it != topics.end(); ++it) {
    if (!each(it->second->name)) return;
  }
}

SharedMessage PubSub::NewMessage(TopicKind kind, std::string_view channel,
                                 std::string_view payload) const {
  return std::make_shared<const Message>(kind, channel, payload, held_);
}

void PubSub::AddReceivers(const Topic& topic, const Topic* pattern,
                          std::vector<Receiver>* receivers) {
  for (Subscriber* subscriber : topic.subscribers) {
    if (subscriber->inbox_ == nullptr) continue;
    receivers->push_back({subscriber, pattern});
  }
}

std::optional<std::vector<Receiver>> PubSub::Find(TopicKind kind,
                                                  std::string_view channel,
                                                  size_t work) const {
  if (!slow_.empty() && slow_lanes_.contains(LaneOf(kind, channel))) {
    return std::nullopt;
  }
  std::vector<Receiver> receivers;
  if (const Topic* const topic = Named(kind, channel); topic != nullptr) {
    AddReceivers(*topic, nullptr, &receivers);
  }
  if (kind == TopicKind::kShard || topics(TopicKind::kPattern) == 0) {
    return receivers;
  }
  std::vector<Topic*> candidates;
  size_t used = 0;
  if (!patterns_.FindCandidates(channel, work, &candidates, &used)) {
    return std::nullopt;
  }
  for (const Topic* pattern : candidates) {
    if (used + receivers.size() > work) return std::nullopt;
    if (PatternMatches(pattern->name, channel, &used)) {
      AddReceivers(*pattern, pattern, &receivers);
    }
  }
  return receivers;
}

std::optional<std::vector<Receiver>> PubSub::FindForEvent(
    std::string_view channel, size_t work) const {
  if (!slow_.empty() && slow_lanes_.contains(kEventLane)) return std::nullopt;
  return Find(TopicKind::kChannel, channel, work);
}

void PubSub::Send(Mail mail) { mail_.push_back(std::move(mail)); }

std::shared_ptr<const Posting> PubSub::SendSlowly(SharedMessage message,
                                                  std::optional<uint64_t> seq) {
  std::string lane = LaneOf(message->kind(), message->channel());
  return AddSlow(std::move(message), seq, std::move(lane));
}

void PubSub::SendEventSlowly(SharedMessage message, uint64_t seq) {
  AddSlow(std::move(message), seq, std::string(kEventLane));
}

std::shared_ptr<const Posting> PubSub::AddSlow(SharedMessage message,
                                               std::optional<uint64_t> seq,
                                               std::string lane) {
  auto posting = std::make_shared<Posting>();
  ++slow_lanes_[lane];
  slow_.push_back({std::move(message), seq, posting, std::move(lane)});
  return posting;
}

std::string PubSub::LaneOf(TopicKind kind, std::string_view channel) {
  std::string lane(1, static_cast<char>(kind));
  return lane.append(channel);
}

std::vector<Mail> PubSub::TakeMail() { return std::exchange(mail_, {}); }

void PubSub::Deliver(const Mail& mail, uint64_t seq, bool wait) {
  if (IsPlanted(PlantedBug::kMessageBeforeDurable)) wait = false;
  if (IsPlanted(PlantedBug::kLeakMessage)) {
    static std::vector<SharedMessage> kept;
    kept.push_back(mail.message);
  }
  for (const Receiver& to : mail.receivers) {
    if (to.subscriber->inbox_ == nullptr) continue;
    to.subscriber->inbox_->Take(
        mail.message, to.pattern != nullptr ? &to.pattern->name : nullptr, seq,
        wait);
  }
  delivered_ += mail.receivers.size();
  delivered_bytes_ += mail.receivers.size() * mail.message->text().size();
}

void PubSub::Work() {
  KVD_CHECK(mail_.empty());
  WorkOnRetired();
  WorkOnLeaving();
  WorkOnMessage();
  if (spare_candidates_.capacity() >
      2 * topics(TopicKind::kPattern) + kSliceWork) {
    spare_candidates_ = {};
  }
}

void PubSub::WorkOnRetired() {
  for (size_t i = 0; i < kSliceWork && retired_.size() > retired_in_use_; ++i) {
    retired_.pop_front();
  }
}

void PubSub::WorkOnLeaving() {
  size_t left = kSliceWork / kRemovalWork;
  while (left > 0 && !leaving_.empty()) {
    left -= RemoveSome(leaving_.front().get(), left);
    if (leaving_.front()->count() > 0) return;
    leaving_.pop_front();
  }
}

void PubSub::WorkOnMessage() {
  if (slow_.empty()) return;
  Slow& slow = slow_.front();
  const std::string_view channel = slow.message->channel();
  const TopicKind kind = slow.message->kind();
  Mail mail{slow.message, slow.seq, {}};
  size_t work = 0;
  if (!std::exchange(slow.begun, true)) {
    if (const Topic* const topic = Named(kind, channel); topic != nullptr) {
      AddReceivers(*topic, nullptr, &mail.receivers);
    }
    if (kind == TopicKind::kChannel) {
      slow.candidates.swap(spare_candidates_);
      patterns_.FindCandidates(channel, SIZE_MAX, &slow.candidates, &work);
    }
  }
  while (slow.compared < slow.candidates.size() &&
         work + mail.receivers.size() < kSliceWork) {
    const Topic* const pattern = slow.candidates[slow.compared++];
    // Nobody may want it any more.
    if (!pattern->subscribers.empty() &&
        PatternMatches(pattern->name, channel, &work)) {
      AddReceivers(*pattern, pattern, &mail.receivers);
    }
  }
  slow.posting->receivers += mail.receivers.size();
  const bool done = slow.compared == slow.candidates.size();
  if (!mail.receivers.empty()) mail_.push_back(std::move(mail));
  if (!done) return;
  slow.posting->done = true;
  const auto lane = slow_lanes_.find(slow.lane);
  if (--lane->second == 0) slow_lanes_.erase(lane);
  slow.candidates.clear();
  spare_candidates_.swap(slow.candidates);
  slow_.pop_front();
  retired_in_use_ = 0;
}

void PubSub::Leave(std::unique_ptr<Subscriber> subscriber) {
  subscriber->inbox_ = nullptr;
  if (subscriber->count() > kRemovedAtOnce) {
    leaving_.push_back(std::move(subscriber));
    return;
  }
  RemoveSome(subscriber.get(), kRemovedAtOnce);
}

// Removes `most` of the subscriptions; how many that were.
size_t PubSub::RemoveSome(Subscriber* subscriber, size_t most) {
  size_t removed = 0;
  for (auto& topics : subscriber->topics_) {
    while (!topics.empty() && removed < most) {
      const auto [topic, at] = *topics.begin();
      topics.erase(topics.begin());
      Detach(subscriber, topic, at);
      ++removed;
    }
  }
  return removed;
}

}  // namespace kvd
