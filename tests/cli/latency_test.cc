// SPDX-License-Identifier: MIT
//
// What kvctl latency and kvctl stat make of kvd's histograms.
#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <utility>

#include "cli/verbs/latency_reply.h"

namespace kvctl {
namespace {

using kvd::Reply;
using kvd::ReplyType;

Reply Text(std::string text) {
  Reply reply;
  reply.type = ReplyType::kString;
  reply.text = std::move(text);
  return reply;
}

Reply Number(int64_t value) {
  Reply reply;
  reply.type = ReplyType::kInteger;
  reply.integer = value;
  return reply;
}

LatencyHistogram Make(
    int64_t max_ns, std::initializer_list<std::pair<int64_t, int64_t>> counts) {
  Reply buckets;
  buckets.type = ReplyType::kArray;
  int64_t total = 0;
  for (const auto& [last, count] : counts) {
    buckets.elements.push_back(Number(last));
    buckets.elements.push_back(Number(count));
    total += count;
  }
  Reply map;
  map.type = ReplyType::kArray;
  map.elements = {Text("count"),  Number(total),   Text("max_ns"),
                  Number(max_ns), Text("buckets"), buckets};
  return LatencyHistogram(map);
}

TEST(LatencyHistogram, QuantilesCountExactly) {
  const LatencyHistogram histogram = Make(1000, {{10, 990}, {1023, 10}});
  EXPECT_EQ(histogram.Quantile(500), 10);
  EXPECT_EQ(histogram.Quantile(990), 10);
  EXPECT_EQ(histogram.Quantile(991), 1000);
  EXPECT_EQ(Make(0, {}).Quantile(990), 0);
}

TEST(LatencyHistogram, TakesWhatCameInBetween) {
  const LatencyHistogram before = Make(10, {{10, 5}});
  const LatencyHistogram since = Make(99, {{10, 5}, {99, 3}}).Since(before);
  EXPECT_EQ(since.count(), 3);
  EXPECT_EQ(since.Quantile(1), 99);
  // It was reset: what is there is new.
  EXPECT_EQ(Make(99, {{99, 2}}).Since(before).count(), 2);
}

TEST(LatencyHistogram, OfAnotherReplyIsEmpty) {
  EXPECT_EQ(LatencyHistogram(Text("?")).count(), 0);
}

TEST(FormatNs, ShowsThreeDigits) {
  EXPECT_EQ(FormatNs(0), "0ns");
  EXPECT_EQ(FormatNs(999), "999ns");
  EXPECT_EQ(FormatNs(1000), "1.00us");
  EXPECT_EQ(FormatNs(12'345), "12.3us");
  EXPECT_EQ(FormatNs(999'499), "999us");
  EXPECT_EQ(FormatNs(999'500), "1.00ms");
  EXPECT_EQ(FormatNs(1'500'000'000), "1.50s");
  EXPECT_EQ(FormatNs(90'000'000'000), "90.0s");
}

}  // namespace
}  // namespace kvctl
