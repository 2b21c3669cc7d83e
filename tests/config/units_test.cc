// SPDX-License-Identifier: MIT
#include "config/units.h"

#include <gtest/gtest.h>

#include <limits>

namespace kvd {
namespace {

TEST(Units, ReadsSizesInEveryUnit) {
  EXPECT_EQ(ParseSize("0B").value(), 0u);
  EXPECT_EQ(ParseSize("4096B").value(), 4096u);
  EXPECT_EQ(ParseSize("3KiB").value(), 3072u);
  EXPECT_EQ(ParseSize("64MiB").value(), uint64_t{64} << 20);
  EXPECT_EQ(ParseSize("2GiB").value(), uint64_t{2} << 30);
  EXPECT_EQ(ParseSize("5TiB").value(), uint64_t{5} << 40);
}

TEST(Units, ReadsDurationsInEveryUnit) {
  EXPECT_EQ(ParseDuration("0ms").value(), 0);
  EXPECT_EQ(ParseDuration("250ms").value(), 250);
  EXPECT_EQ(ParseDuration("30s").value(), 30'000);
  EXPECT_EQ(ParseDuration("5m").value(), 300'000);
  EXPECT_EQ(ParseDuration("2h").value(), 7'200'000);
  EXPECT_EQ(ParseDuration("7d").value(), 604'800'000);
}

TEST(Units, ReadsFineDurations) {
  EXPECT_EQ(ParseFineDuration("0us").value(), 0);
  EXPECT_EQ(ParseFineDuration("250us").value(), 250);
  EXPECT_EQ(ParseFineDuration("10ms").value(), 10'000);
  EXPECT_EQ(ParseFineDuration("1h").value(), int64_t{3600} * 1'000'000);
  EXPECT_EQ(ParseFineDuration("1d").value(), int64_t{86'400} * 1'000'000);
  EXPECT_EQ(FormatFineDuration(1500), "1500us");
  EXPECT_EQ(FormatFineDuration(10'000), "10ms");
  EXPECT_EQ(FormatFineDuration(int64_t{3600} * 1'000'000), "1h");
  for (const char* text : {"", "30", "us", "1.5us", "-1us", "1ns", "1w"}) {
    EXPECT_FALSE(ParseFineDuration(text).ok()) << text;
  }
}

TEST(Units, ReadsPercent) {
  EXPECT_EQ(ParsePercent("0%").value(), 0u);
  EXPECT_EQ(ParsePercent("25%").value(), 25u);
  EXPECT_EQ(ParsePercent("100%").value(), 100u);
  EXPECT_EQ(FormatPercent(25), "25%");
  for (const char* text :
       {"", "%", "25", "25 %", "2.5%", "-1%", "25%%", "1B"}) {
    EXPECT_FALSE(ParsePercent(text).ok()) << text;
  }
}

TEST(Units, RefusesWhatIsNoSize) {
  for (const char* text :
       {"", "64", "MiB", "64 MiB", " 64MiB", "64MiB ", "-1B", "+1B", "1.5MiB",
        "64MB", "64mib", "0x10B", "64MiBs", "1s"}) {
    const auto parsed = ParseSize(text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_NE(parsed.error().message().find("such as \"64MiB\""),
              std::string::npos)
        << parsed.error().message();
  }
}

TEST(Units, RefusesWhatIsNoDuration) {
  for (const char* text : {"", "30", "s", "30 s", "-1s", "1.5s", "30sec", "1S",
                           "1us", "1w", "1MiB"}) {
    EXPECT_FALSE(ParseDuration(text).ok()) << text;
  }
}

TEST(Units, RefusesWhatDoesNotFit) {
  EXPECT_EQ(ParseSize("18446744073709551615B").value(),
            std::numeric_limits<uint64_t>::max());
  EXPECT_FALSE(ParseSize("18446744073709551616B").ok());
  EXPECT_FALSE(ParseSize("16777216TiB").ok());
  EXPECT_EQ(ParseDuration("9223372036854775807ms").value(),
            std::numeric_limits<int64_t>::max());
  EXPECT_FALSE(ParseDuration("9223372036854775808ms").ok());
  EXPECT_FALSE(ParseDuration("106751991168d").ok());
}

TEST(Units, WritesTheLargestUnitThatIsExact) {
  EXPECT_EQ(FormatSize(0), "0B");
  EXPECT_EQ(FormatSize(1023), "1023B");
  EXPECT_EQ(FormatSize(1536), "1536B");
  EXPECT_EQ(FormatSize(uint64_t{64} << 20), "64MiB");
  EXPECT_EQ(FormatSize(uint64_t{4} << 30), "4GiB");
  EXPECT_EQ(FormatDuration(0), "0ms");
  EXPECT_EQ(FormatDuration(1500), "1500ms");
  EXPECT_EQ(FormatDuration(90'000), "90s");
  EXPECT_EQ(FormatDuration(86'400'000), "1d");
}

TEST(Units, ReadsBackWhatItWrites) {
  for (uint64_t bytes = 1; bytes != 0 && bytes < uint64_t{1} << 60;
       bytes = bytes * 3 + 1) {
    EXPECT_EQ(ParseSize(FormatSize(bytes)).value(), bytes);
    const auto ms = static_cast<int64_t>(bytes);
    EXPECT_EQ(ParseDuration(FormatDuration(ms)).value(), ms);
  }
}

}  // namespace
}  // namespace kvd
