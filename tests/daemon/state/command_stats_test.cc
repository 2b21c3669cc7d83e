// SPDX-License-Identifier: MIT
#include "daemon/state/command_stats.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "daemon/loop/reply_times.h"
#include "daemon/state/session.h"
#include "daemon/state/slow_log.h"

namespace kvd {
namespace {

// A call that came in a pipeline and would take `ns`; whether it was timed.
bool Call(CommandStats& stats, uint64_t ns) {
  const bool due = stats.IsDue();
  ++stats.calls;
  if (due) {
    stats.Sampled(ns);
  } else {
    stats.Untimed();
  }
  return due;
}

TEST(CommandStats, TimesTheFirstCallAndThenOneOfSoMany) {
  CommandStats stats;
  for (uint64_t i = 0; i < 10 * kTimedEvery; ++i) {
    EXPECT_EQ(Call(stats, 100), i % kTimedEvery == 0) << i;
  }
}

TEST(CommandStats, ASampleStandsForTheUntimedCallsAfterIt) {
  CommandStats stats;
  for (uint64_t i = 0; i < kTimedEvery; ++i) Call(stats, 7);
  for (int i = 0; i < 3; ++i) Call(stats, 9);
  stats.Settle();
  const Histogram& run = stats.known_times()->run_ns;
  EXPECT_EQ(run.count(), stats.calls);
  EXPECT_EQ(run.sum(), 7 * kTimedEvery + 9 * 3);
  stats.Settle();
  EXPECT_EQ(run.count(), stats.calls);
}

TEST(CommandStats, ACallTimedForItselfStandsForNoOther) {
  CommandStats stats;
  Call(stats, 5);
  Call(stats, 5);
  ++stats.calls;
  stats.Timed(1000);
  stats.Settle();
  EXPECT_EQ(stats.known_times()->run_ns.count(), 3u);
  EXPECT_EQ(stats.known_times()->run_ns.sum(), 1010u);
}

TEST(ReplyTimes, WhatWaitsForNothingTakesItsTurn) {
  CommandStats get;
  CommandStats set;
  ReplyTimes times;
  times.BeginTurn(1000);
  times.Ready(get);
  times.Ready(set);
  times.Ready(get);
  times.ReadyAfter(get, 400);  // Was parked.
  times.EndTurn(1500);
  const Histogram& reply = get.known_times()->reply_ns;
  EXPECT_EQ(reply.count(), 3u);
  EXPECT_EQ(reply.sum(), 2 * 500 + 1100u);
  EXPECT_EQ(set.known_times()->reply_ns.sum(), 500u);
  EXPECT_FALSE(times.HasReady());
}

TEST(ReplyTimes, WhatIsWithheldTakesUntilItIsDurable) {
  CommandStats set;
  CommandStats get;
  ReplyTimes times;
  times.BeginTurn(1000);
  times.Withheld(set, 1000, 7);
  times.Withheld(set, 1000, 8);
  times.Withheld(get, 1000, 5);  // Saw an older change.
  EXPECT_FALSE(times.HasReady());

  times.BeginTurn(2000);
  times.Release(7);
  times.EndTurn(2100);
  EXPECT_EQ(get.known_times()->reply_ns.max(), 1100u);
  EXPECT_EQ(set.known_times(), nullptr);

  times.BeginTurn(3000);
  times.Release(8);
  times.EndTurn(3100);
  EXPECT_EQ(set.known_times()->reply_ns.count(), 2u);
  EXPECT_EQ(set.known_times()->reply_ns.sum(), 2 * 2100u);
}

std::vector<std::string> Kept(const std::vector<std::string>& words) {
  SlowLog log(1);
  const std::vector<std::string_view> views(words.begin(), words.end());
  log.Add(SlowLog::EntryOf(0, 0, views, ""), 0);
  std::vector<std::string> kept;
  log.entries().front().ForEachWord(
      [&](std::string_view word) { kept.emplace_back(word); });
  return kept;
}

TEST(SlowLog, KeepsTheNewestAndNeverGivesANumberTwice) {
  SlowLog log(2);
  const std::string_view words[] = {"GET", "a"};
  for (int64_t i = 0; i < 3; ++i)
    log.Add(SlowLog::EntryOf(100 + i, i, words, "me"), 0);
  ASSERT_EQ(log.entries().size(), 2u);
  EXPECT_EQ(log.entries()[0].id, 2u);
  EXPECT_EQ(log.entries()[0].unix_s, 102);
  EXPECT_EQ(log.entries()[1].id, 1u);
  log.Clear();
  log.Add(SlowLog::EntryOf(0, 0, words, ""), 0);
  EXPECT_EQ(log.entries()[0].id, 3u);
}

TEST(SlowLog, OfLengthZeroKeepsNone) {
  SlowLog log(0);
  const std::string_view words[] = {"GET", "a"};
  log.Add(SlowLog::EntryOf(0, 0, words, ""), 0);
  EXPECT_TRUE(log.entries().empty());
}

TEST(SlowLog, ShortensWordsAndSaysSo) {
  constexpr size_t kMax = SlowLog::kWordBytesMax;
  EXPECT_EQ(Kept({"SET", std::string(kMax, 'x')})[1], std::string(kMax, 'x'));
  EXPECT_EQ(Kept({"SET", std::string(kMax + 1, 'x')})[1],
            std::string(kMax, 'x') + "... (1 more bytes)");
  std::vector<std::string> words(32, "w");
  EXPECT_EQ(Kept(words), words);
  words.resize(33, "w");
  std::vector<std::string> shortened(31, "w");
  shortened.push_back("... (2 more arguments)");
  EXPECT_EQ(Kept(words), shortened);
}

TEST(SlowLog, CountsWhatItKeepsAndKeepsWithinItsBound) {
  SlowLog log(3);
  const std::string large(8 << 20, 'x');
  const std::vector<std::string_view> words(1000, large);
  const std::string name(kClientNameBytesMax, 'n');
  for (int i = 0; i < 10; ++i) {
    log.Add(SlowLog::EntryOf(0, 0, words, name), 0);
    size_t bytes = 0;
    for (const SlowLog::Entry& entry : log.entries()) {
      EXPECT_LE(entry.memory_bytes(), SlowLog::kEntryBytesMax);
      bytes += entry.memory_bytes();
    }
    EXPECT_EQ(log.memory_bytes(), bytes);
  }
  EXPECT_GT(log.memory_bytes(), 3 * SlowLog::kEntryBytesMax / 2);
  log.Clear();
  EXPECT_EQ(log.memory_bytes(), 0u);
}

}  // namespace
}  // namespace kvd
