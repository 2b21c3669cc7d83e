// SPDX-License-Identifier: MIT
//
// Words as people write them: durations, misspelt commands, patterns.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "cli/duration.h"
#include "cli/suggest.h"
#include "cli/text.h"

namespace kvctl {
namespace {

using std::chrono::milliseconds;

int64_t Ms(std::string_view text) {
  const auto duration = ParseDuration(text, milliseconds(1000));
  return duration ? duration->count() : -1;
}

TEST(Duration, ReadsWhatPeopleWrite) {
  EXPECT_EQ(Ms("10"), 10'000);
  EXPECT_EQ(Ms("0"), 0);
  EXPECT_EQ(Ms("250ms"), 250);
  EXPECT_EQ(Ms("10s"), 10'000);
  EXPECT_EQ(Ms("1.5s"), 1500);
  EXPECT_EQ(Ms("5m"), 300'000);
  EXPECT_EQ(Ms("1h30m"), 5'400'000);
  EXPECT_EQ(Ms("2d"), 172'800'000);
  EXPECT_EQ(ParseDuration("7", milliseconds(1)), milliseconds(7));
}

TEST(Duration, RefusesEverythingElse) {
  for (const char* text : {"", "s", "1x", "-1s", "+1s", "1 s", "1h30", "inf",
                           "nan", "1e3", "99999999999d", "1s ", "0x10"}) {
    EXPECT_EQ(Ms(text), -1) << text;
  }
}

TEST(Duration, ShowsTheTwoLargestUnits) {
  const auto shown = [](int64_t ms) {
    return FormatDuration(milliseconds(ms));
  };
  EXPECT_EQ(shown(0), "0ms");
  EXPECT_EQ(shown(999), "999ms");
  EXPECT_EQ(shown(9'870), "9.8s");
  EXPECT_EQ(shown(5'000), "5s");
  EXPECT_EQ(shown(59'999), "59.9s");
  EXPECT_EQ(shown(60'000), "1m");
  EXPECT_EQ(shown(72'000), "1m12s");
  EXPECT_EQ(shown(11'520'000), "3h12m");
  EXPECT_EQ(shown(187'200'000), "2d4h");
}

TEST(Nearest, FindsWhatWasMeant) {
  const std::vector<std::string> verbs = {"get", "set", "delete", "exists"};
  EXPECT_EQ(Nearest("gte", verbs), "get");
  EXPECT_EQ(Nearest("gett", verbs), "get");
  EXPECT_EQ(Nearest("delte", verbs), "delete");
  EXPECT_EQ(Nearest("exsist", verbs), "exists");
}

TEST(Nearest, KeepsSilentWhenNothingIsNear) {
  const std::vector<std::string> verbs = {"get", "set", "delete", "exists"};
  EXPECT_EQ(Nearest("frobnicate", verbs), "");
  EXPECT_EQ(Nearest("xyz", verbs), "");
  EXPECT_EQ(Nearest("", verbs), "");
  EXPECT_EQ(Nearest(std::string(1 << 20, 'x'), verbs), "");
}

TEST(PrefixPattern, MatchesThePrefixLiterally) {
  EXPECT_EQ(PrefixPattern(""), "*");
  EXPECT_EQ(PrefixPattern("user:"), "user:*");
  EXPECT_EQ(PrefixPattern("a*?[b]\\"), "a\\*\\?\\[b\\]\\\\*");
}

}  // namespace
}  // namespace kvctl
