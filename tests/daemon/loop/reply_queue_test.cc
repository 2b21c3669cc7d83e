// SPDX-License-Identifier: MIT
#include "daemon/loop/reply_queue.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "store/memory/entry.h"

namespace kvd {
namespace {

std::string Sendable(const ReplyQueue& queue) {
  std::string bytes;
  queue.ForEachSendable([&](std::string_view piece) { bytes += piece; });
  return bytes;
}

std::string Take(ReplyQueue& queue) {
  std::string bytes;
  queue.TakeSendable().ForEachPiece(
      [&](std::string_view piece) { bytes += piece; });
  return bytes;
}

void Add(ReplyQueue& queue, std::string_view reply, uint64_t seq, bool wait) {
  queue.buffer()->append(reply);
  queue.Commit(seq, wait);
}

// A reply whose value is not copied.
void AddLent(ReplyQueue& queue, const Entry& entry, uint64_t seq, bool wait) {
  queue.buffer()->append("<");
  queue.lent()->push_back(
      {queue.buffer()->size(), entry.value(), ValuePin(entry)});
  queue.buffer()->append(">");
  queue.Commit(seq, wait);
}

TEST(ReplyQueue, SendsAtOnceWhatWaitsForNothing) {
  ReplyQueue queue;
  Add(queue, "a", 0, false);
  Add(queue, "b", 7, false);
  EXPECT_EQ(Sendable(queue), "ab");
  EXPECT_FALSE(queue.withholds());
}

TEST(ReplyQueue, KeepsOrderBehindAWithheldReply) {
  ReplyQueue queue;
  Add(queue, "a", 0, false);
  Add(queue, "b", 5, true);
  Add(queue, "c", 0, false);
  EXPECT_EQ(Sendable(queue), "a");
  EXPECT_EQ(queue.withheld_replies(), 2u);
  queue.Release(4);
  EXPECT_EQ(Sendable(queue), "a");
  queue.Release(5);
  EXPECT_EQ(Sendable(queue), "abc");
}

TEST(ReplyQueue, AnOlderChangeDoesNotOvertakeANewerOne) {
  ReplyQueue queue;
  Add(queue, "a", 9, true);
  Add(queue, "b", 3, true);
  queue.Release(3);
  EXPECT_EQ(Sendable(queue), "");
  queue.Release(9);
  EXPECT_EQ(Sendable(queue), "ab");
}

TEST(ReplyQueue, ReleasesOnlyWhatIsDurable) {
  ReplyQueue queue;
  for (uint64_t seq = 1; seq <= 9; ++seq) {
    Add(queue, std::to_string(seq), seq, true);
  }
  queue.Release(4);
  EXPECT_EQ(Sendable(queue), "1234");
  EXPECT_EQ(queue.withheld_replies(), 5u);
}

TEST(ReplyQueue, AFaultReplacesEachWithheldReplyByOneError) {
  ReplyQueue queue;
  Add(queue, "+1\r\n", 0, false);
  Add(queue, "+2\r\n", 5, true);
  Add(queue, "$3\r\nabc\r\n", 6, true);
  queue.ReplaceWithheld("-E\r\n");
  EXPECT_EQ(Sendable(queue), "+1\r\n-E\r\n-E\r\n");
  EXPECT_FALSE(queue.withholds());
}

TEST(ReplyQueue, SendsALentValueWhereItBelongs) {
  ReplyQueue queue;
  EntryPtr entry = Entry::Create("key", "value", 1, {});
  Add(queue, "a", 0, false);
  AddLent(queue, *entry, 0, false);
  AddLent(queue, *entry, 5, true);
  entry.reset();
  EXPECT_EQ(queue.bytes(), 15u);
  EXPECT_EQ(Sendable(queue), "a<value>");
  queue.Sent(4);
  EXPECT_EQ(Sendable(queue), "lue>");
  queue.Sent(4);
  EXPECT_FALSE(queue.has_sendable());
  queue.Release(5);
  EXPECT_EQ(Take(queue), "<value>");
  EXPECT_EQ(queue.bytes(), 0u);
}

TEST(ReplyQueue, AFaultDropsWithheldValuesAndNoOthers) {
  ReplyQueue queue;
  const EntryPtr entry = Entry::Create("key", "value", 1, {});
  AddLent(queue, *entry, 0, false);
  AddLent(queue, *entry, 5, true);
  queue.ReplaceWithheld("-E\r\n");
  EXPECT_EQ(Sendable(queue), "<value>-E\r\n");
}

TEST(ReplyQueue, AnEmptyReplyIsNoReply) {
  ReplyQueue queue;
  Add(queue, "", 5, true);
  EXPECT_FALSE(queue.withholds());
  Add(queue, "a", 6, true);
  Add(queue, "", 7, true);
  queue.ReplaceWithheld("-E\r\n");
  EXPECT_EQ(Sendable(queue), "-E\r\n");
}

// Whatever is added, released and sent in whatever pieces, the bytes come out
// complete, in order, and never before what they show is durable.
TEST(ReplyQueue, BytesComeOutInOrderAndNotTooEarly) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  ReplyQueue queue;
  std::string expected;
  std::string got;
  std::vector<std::pair<size_t, uint64_t>> shown;  // End of a reply, its seq.
  uint64_t seq = 0;
  uint64_t durable = 0;
  for (int step = 0; step < 20'000; ++step) {
    switch (random() % 4) {
      case 0: {
        std::string reply(random() % 50 + 1,
                          static_cast<char>('a' + random() % 26));
        const uint64_t newest =
            random() % 2 == 0 ? ++seq : random() % (seq + 1);
        if (random() % 2 == 0) {
          // The entry is gone at once.
          AddLent(queue, *Entry::Create("key", reply, 1, {}), newest,
                  newest > durable);
          reply = "<" + reply + ">";
        } else {
          Add(queue, reply, newest, newest > durable);
        }
        expected += reply;
        shown.emplace_back(expected.size(), newest);
        break;
      }
      case 1:
        durable += seq == durable ? 0 : random() % (seq - durable) + 1;
        queue.Release(durable);
        break;
      case 2: {
        const size_t size = Sendable(queue).size();
        const size_t sent = size == 0 ? 0 : random() % size + 1;
        got += Sendable(queue).substr(0, sent);
        queue.Sent(sent);
        break;
      }
      case 3:
        got += Take(queue);
        break;
    }
    for (const auto& [end, newest] : shown) {
      if (end > got.size() + Sendable(queue).size()) break;
      ASSERT_LE(newest, durable);
    }
    ASSERT_EQ(got.size() + queue.bytes(), expected.size());
    if (shown.size() > 100) shown.erase(shown.begin(), shown.begin() + 50);
  }
  queue.Release(seq);
  got += Take(queue);
  EXPECT_EQ(got, expected);
}

}  // namespace
}  // namespace kvd
