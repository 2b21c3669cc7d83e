// SPDX-License-Identifier: MIT
#include "daemon/commands/text.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

namespace kvd {
namespace {

TEST(Text, IntegersHaveOneSpelling) {
  EXPECT_EQ(ParseInteger("0"), 0);
  EXPECT_EQ(ParseInteger("-1"), -1);
  EXPECT_EQ(ParseInteger("9223372036854775807"),
            std::numeric_limits<int64_t>::max());
  EXPECT_EQ(ParseInteger("-9223372036854775808"),
            std::numeric_limits<int64_t>::min());
  for (const char* bad :
       {"", "-", "+1", " 1", "1 ", "01", "-0", "-01", "1.0", "0x1", "1e3",
        "9223372036854775808", "-9223372036854775809", "--1"}) {
    EXPECT_FALSE(ParseInteger(bad)) << bad;
  }
}

TEST(Text, UnsignedIntegersReachSixtyFourBits) {
  EXPECT_EQ(ParseUnsigned("18446744073709551615"),
            std::numeric_limits<uint64_t>::max());
  for (const char* bad : {"", "-1", "18446744073709551616", "00", "1x"}) {
    EXPECT_FALSE(ParseUnsigned(bad)) << bad;
  }
}

TEST(Text, FloatsPrintWithoutExponentAndTrailingZeros) {
  EXPECT_EQ(FormatFloat(*ParseFloat("10.50")), "10.5");
  EXPECT_EQ(FormatFloat(*ParseFloat("3.0e3")), "3000");
  EXPECT_EQ(FormatFloat(*ParseFloat("-0")), "0");
  EXPECT_EQ(FormatFloat(*ParseFloat("1e20")), "100000000000000000000");
  for (const char* bad : {"", " 1", "1 ", "nan", "1x", "."}) {
    EXPECT_FALSE(ParseFloat(bad)) << bad;
  }
}

TEST(Text, FloatsThatDoNotFitAreNone) {
  for (const char* bad : {"1e5000", "-1e5000", "1e-5000", "-1e-5000",
                          "0x1p-20000", "0x1p20000", "nan", "-nan(1)"}) {
    EXPECT_FALSE(ParseFloat(bad)) << bad;
  }
  EXPECT_FALSE(ParseFloat(std::string("1\0", 2)));
  EXPECT_FALSE(ParseFloat(std::string(5 * 1024, '1')));
  EXPECT_EQ(ParseFloat("0e99999"), 0);
  EXPECT_GT(*ParseFloat("1e-4940"), 0);  // Of few digits, but a number.
  EXPECT_EQ(ParseFloat("0x10"), 16);
  EXPECT_TRUE(std::isinf(*ParseFloat("-inf")));
}

TEST(Text, ComparesWordsInAnyCase) {
  EXPECT_TRUE(IsWord("kEePtTl", "KEEPTTL"));
  EXPECT_FALSE(IsWord("keeptt", "KEEPTTL"));
  EXPECT_FALSE(IsWord("keepttl ", "KEEPTTL"));
}

}  // namespace
}  // namespace kvd
