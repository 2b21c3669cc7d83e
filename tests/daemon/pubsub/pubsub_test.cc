// SPDX-License-Identifier: MIT
//
// Subscriptions and messages without clients: what is put off, and what is in
// which order.
#include "daemon/pubsub/pubsub.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/daemon/command_rig.h"

namespace kvd {
namespace {

using enum TopicKind;

// A pattern that the index cannot help with.
std::string Awkward(size_t number) {
  return "*x*" + std::to_string(number) + "[y]";
}

class PubSubTest : public testing::Test {
 protected:
  SubscriberPtr Subscribed(TestInbox* inbox, TopicKind kind,
                           const std::vector<std::string>& names) {
    SubscriberPtr subscriber = pubsub_.NewSubscriber(*inbox);
    for (const std::string& name : names) {
      EXPECT_TRUE(pubsub_.Subscribe(subscriber.get(), kind, name));
    }
    return subscriber;
  }

  // How many get it at once; nothing if it is put off.
  std::optional<size_t> Publish(TopicKind kind, std::string_view channel,
                                std::string_view payload, size_t work = 1000) {
    SharedMessage message = pubsub_.NewMessage(kind, channel, payload);
    auto receivers = pubsub_.Find(kind, channel, work);
    if (!receivers) {
      posting_ = pubsub_.SendSlowly(std::move(message), 0);
      return std::nullopt;
    }
    const size_t count = receivers->size();
    pubsub_.Send({std::move(message), 0, *std::move(receivers)});
    DeliverAll();
    return count;
  }
  void DeliverAll() {
    for (const Mail& mail : pubsub_.TakeMail()) {
      pubsub_.Deliver(mail, 0, false);
    }
  }
  // How many slices that was.
  int WorkOff() {
    int slices = 0;
    for (; pubsub_.has_work(); ++slices) {
      pubsub_.Work();
      DeliverAll();
    }
    return slices;
  }

  PubSub pubsub_;
  std::shared_ptr<const Posting> posting_;
};

std::string MessageText(std::string_view channel, std::string_view payload) {
  return ">3\r\n$7\r\nmessage\r\n$" + std::to_string(channel.size()) + "\r\n" +
         std::string(channel) + "\r\n$" + std::to_string(payload.size()) +
         "\r\n" + std::string(payload) + "\r\n";
}

TEST_F(PubSubTest, EachKindOfNameIsItsOwn) {
  TestInbox inboxes[3];
  const SubscriberPtr channel = Subscribed(&inboxes[0], kChannel, {"a*"});
  const SubscriberPtr pattern = Subscribed(&inboxes[1], kPattern, {"a*"});
  const SubscriberPtr shard = Subscribed(&inboxes[2], kShard, {"a*"});
  EXPECT_EQ(Publish(kChannel, "a*", "1"), 2u);
  EXPECT_EQ(Publish(kChannel, "ab", "2"), 1u);
  EXPECT_EQ(Publish(kShard, "a*", "3"), 1u);
  EXPECT_EQ(inboxes[0].text, MessageText("a*", "1"));
  EXPECT_EQ(inboxes[1].text,
            ">4\r\n$8\r\npmessage\r\n$2\r\na*\r\n$2\r\na*\r\n$1\r\n1\r\n"
            ">4\r\n$8\r\npmessage\r\n$2\r\na*\r\n$2\r\nab\r\n$1\r\n2\r\n");
  EXPECT_EQ(inboxes[2].text, ">3\r\n$8\r\nsmessage\r\n$2\r\na*\r\n$1\r\n3\r\n");
}

TEST_F(PubSubTest, WhoLeavesGetsNothingAndIsNotCounted) {
  TestInbox inbox;
  TestInbox other;
  SubscriberPtr leaves = Subscribed(&inbox, kChannel, {"a", "b"});
  const SubscriberPtr stays = Subscribed(&other, kChannel, {"a"});
  leaves.reset();
  EXPECT_EQ(Publish(kChannel, "a", "1"), 1u);
  EXPECT_EQ(Publish(kChannel, "b", "1"), 0u);
  EXPECT_EQ(inbox.text, "");
  EXPECT_EQ(pubsub_.topics(kChannel), 1u);
}

TEST_F(PubSubTest, AMillionSubscriptionsGoInSlices) {
  constexpr size_t kMany = 30'000;
  TestInbox inbox;
  TestInbox other;
  SubscriberPtr leaves = Subscribed(&inbox, kPattern, {});
  for (size_t i = 0; i < kMany; ++i) {
    pubsub_.Subscribe(leaves.get(), kPattern, "a*" + std::to_string(i));
  }
  const SubscriberPtr stays = Subscribed(&other, kPattern, {"a*0"});
  EXPECT_EQ(pubsub_.topics(kPattern), kMany);
  leaves.reset();
  // At once, whatever is left to do.
  EXPECT_EQ(pubsub_.Subscribers(kPattern, "a*0"), 1u);
  EXPECT_EQ(pubsub_.Subscribers(kPattern, "a*1"), 0u);
  EXPECT_EQ(Publish(kChannel, "a-0", "1", SIZE_MAX), 1u);
  EXPECT_GT(WorkOff(), 10);
  EXPECT_EQ(pubsub_.topics(kPattern), 1u);
  EXPECT_EQ(Publish(kChannel, "a-0", "2"), 1u);
  EXPECT_EQ(inbox.text, "");
}

TEST_F(PubSubTest, WhatTakesLongIsDoneInSlices) {
  constexpr size_t kMany = 50'000;
  TestInbox inbox;
  const SubscriberPtr subscriber = Subscribed(&inbox, kPattern, {"*"});
  TestInbox adversary;
  const SubscriberPtr many = Subscribed(&adversary, kPattern, {});
  for (size_t i = 0; i < kMany; ++i) {
    pubsub_.Subscribe(many.get(), kPattern, Awkward(i));
  }
  EXPECT_EQ(Publish(kChannel, "x0123y", "1"), std::nullopt);
  EXPECT_FALSE(posting_->done);
  EXPECT_GE(WorkOff(), 5);
  EXPECT_TRUE(posting_->done);
  // "*", and three that end with 3y, 23y and 123y.
  EXPECT_EQ(posting_->receivers, 4u);
  EXPECT_NE(inbox.text, "");
}

TEST_F(PubSubTest, MessagesOfAChannelKeepTheirOrderBehindASlowOne) {
  TestInbox inbox;
  const SubscriberPtr subscriber =
      Subscribed(&inbox, kChannel, {"x0", "other"});
  TestInbox adversary;
  const SubscriberPtr many = Subscribed(&adversary, kPattern, {});
  for (size_t i = 0; i < 20'000; ++i) {
    pubsub_.Subscribe(many.get(), kPattern, Awkward(i).substr(1));
  }
  EXPECT_EQ(Publish(kChannel, "x0", "1"), std::nullopt);
  EXPECT_EQ(Publish(kChannel, "other", "2"), 1u);
  EXPECT_EQ(Publish(kChannel, "x0", "3", SIZE_MAX), std::nullopt);
  EXPECT_EQ(inbox.text, MessageText("other", "2"));
  WorkOff();
  EXPECT_EQ(inbox.text, MessageText("other", "2") + MessageText("x0", "1") +
                            MessageText("x0", "3"));
  EXPECT_EQ(Publish(kChannel, "x0", "4", SIZE_MAX), 1u);
}

// Patterns go while a message is compared with them.
TEST_F(PubSubTest, ASlowMessageSurvivesItsPatterns) {
  TestInbox inbox;
  SubscriberPtr many = Subscribed(&inbox, kPattern, {});
  for (size_t i = 0; i < 30'000; ++i) {
    pubsub_.Subscribe(many.get(), kPattern, Awkward(i));
  }
  ASSERT_EQ(Publish(kChannel, "x29999y", "1"), std::nullopt);
  pubsub_.Work();
  DeliverAll();
  ASSERT_FALSE(posting_->done);
  for (size_t i = 0; i < 30'000; i += 2) {
    EXPECT_TRUE(pubsub_.Unsubscribe(many.get(), kPattern, Awkward(i)));
  }
  pubsub_.Work();
  DeliverAll();
  many.reset();
  WorkOff();
  EXPECT_TRUE(posting_->done);
  EXPECT_EQ(pubsub_.topics(kPattern), 0u);
}

TEST_F(PubSubTest, SubscriptionsAreBounded) {
  TestInbox inbox;
  const SubscriberPtr subscriber = Subscribed(&inbox, kChannel, {"a"});
  const auto allows = [&](TopicKind kind, size_t names, size_t bytes) {
    return pubsub_.WhyNot(*subscriber, kind, names, bytes).empty();
  };
  EXPECT_TRUE(allows(kChannel, PubSub::kSubscriptionsMax - 1, 0));
  EXPECT_FALSE(allows(kChannel, PubSub::kSubscriptionsMax, 0));
  EXPECT_TRUE(allows(kChannel, 1, PubSub::kNameBytesMax - 1));
  EXPECT_FALSE(allows(kChannel, 1, PubSub::kNameBytesMax));
}

TEST_F(PubSubTest, AMessageIsCountedAsLongAsSomebodyHasIt) {
  SharedMessage message = pubsub_.NewMessage(kChannel, "a", "1");
  EXPECT_GT(pubsub_.held_bytes(), 0u);
  SharedMessage again = message;
  message.reset();
  EXPECT_GT(pubsub_.held_bytes(), 0u);
  again.reset();
  EXPECT_EQ(pubsub_.held_bytes(), 0u);
}

}  // namespace
}  // namespace kvd
