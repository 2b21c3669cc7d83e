// SPDX-License-Identifier: MIT
//
// Bytes and replies as they are shown.
#include <gtest/gtest.h>

#include <string>

#include "cli/json.h"
#include "cli/reply_text.h"
#include "cli/text.h"

namespace kvctl {
namespace {

kvd::Reply Parse(std::string_view wire) {
  kvd::ReplyParser parser;
  EXPECT_EQ(parser.Next(wire), kvd::ReplyOutcome::kReply) << parser.error();
  return parser.TakeReply();
}

TEST(Text, TellsUtf8FromOtherBytes) {
  for (const char* text : {"", "abc", "\xc3\xa9", "\xe2\x82\xac",
                           "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(IsUtf8(text)) << text;
  }
  for (const char* text :
       {"\xff", "\x80", "\xc3", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80",
        "\xf4\x90\x80\x80", "\xf0\x9f\x98", "a\xc3(", "\xf8\x88\x80\x80\x80"}) {
    EXPECT_FALSE(IsUtf8(text)) << Hex(text);
  }
}

TEST(Text, LetsNoControlSequenceThrough) {
  EXPECT_EQ(Escape("a\x1b[31m\n\t\r\x7f\\"), "a\\x1b[31m\\n\\t\\r\\x7f\\\\");
  EXPECT_EQ(Escape("\xc3\xa9 \xc2\x9b \xff"), "\xc3\xa9 \\xc2\\x9b \\xff");
  EXPECT_EQ(Escape("two\nlines\t\\\x1b", /*keep_lines=*/true),
            "two\nlines\t\\\\x1b");
  EXPECT_EQ(Quote("say \"hi\"\n"), "\"say \\\"hi\\\"\\n\"");
}

TEST(Text, EncodesBytes) {
  EXPECT_EQ(Hex(std::string_view("\0\xfftext", 6)), "00ff74657874");
  EXPECT_EQ(Base64(""), "");
  EXPECT_EQ(Base64("f"), "Zg==");
  EXPECT_EQ(Base64("fo"), "Zm8=");
  EXPECT_EQ(Base64("foo"), "Zm9v");
  EXPECT_EQ(Base64("\xff\xfe\xfd\xfc"), "//79/A==");
}

TEST(Text, ShowsNumbersForPeople) {
  EXPECT_EQ(Grouped(0), "0");
  EXPECT_EQ(Grouped(999), "999");
  EXPECT_EQ(Grouped(1204331), "1,204,331");
  EXPECT_EQ(Grouped(-123456), "-123,456");
  EXPECT_EQ(HumanBytes(1023), "1023 B");
  EXPECT_EQ(HumanBytes(1024), "1.0 KiB");
  EXPECT_EQ(HumanBytes(312 * 1024 * 1024), "312 MiB");
  EXPECT_EQ(HumanBytes(int64_t{1024} * 1024 - 1), "1.0 MiB");
  EXPECT_EQ(HumanBytes(INT64_MAX), "8.0 EiB");
}

TEST(Json, KeepsBytesThatAreNoText) {
  EXPECT_EQ(JsonObject()
                .Bytes("key", "a\"\n")
                .Bytes("value", "\xff")
                .Integer("rev", INT64_MAX)
                .Ttl("ttl_ms", -1)
                .Line(),
            "{\"key\":\"a\\\"\\n\",\"value_b64\":\"/w==\","
            "\"rev\":9223372036854775807,\"ttl_ms\":null}\n");
}

TEST(Json, ShowsEveryReply) {
  EXPECT_EQ(ToJson(Parse("*6\r\n:1\r\n$1\r\n\xff\r\n_\r\n#t\r\n,1.5\r\n"
                         "%1\r\n+a\r\n-ERR no\r\n")),
            R"([1,{"b64":"/w=="},null,true,1.5,{"a":{"error":"ERR no"}}])");
  EXPECT_EQ(ToJson(Parse(",inf\r\n")), "\"inf\"");
}

TEST(DescribeReply, ShowsScalarsAsRedisCliDoes) {
  EXPECT_EQ(DescribeReply(Parse("+OK\r\n")), "OK\n");
  EXPECT_EQ(DescribeReply(Parse(":7\r\n")), "(integer) 7\n");
  EXPECT_EQ(DescribeReply(Parse("$-1\r\n")), "(nil)\n");
  EXPECT_EQ(DescribeReply(Parse("$4\r\na\"\r\n\r\n")), "\"a\\\"\\r\\n\"\n");
  EXPECT_EQ(DescribeReply(Parse(",1.5\r\n")), "(double) 1.5\n");
  EXPECT_EQ(DescribeReply(Parse("#f\r\n")), "(false)\n");
  EXPECT_EQ(DescribeReply(Parse("*0\r\n")), "(empty array)\n");
}

TEST(DescribeReply, NumbersNestedArrays) {
  EXPECT_EQ(DescribeReply(Parse("*3\r\n:1\r\n*2\r\n$1\r\na\r\n*1\r\n:2\r\n"
                                "-ERR no\r\n")),
            "1) (integer) 1\n"
            "2) 1) \"a\"\n"
            "   2) 1) (integer) 2\n"
            "3) (error) ERR no\n");
  std::string ten = "*10\r\n";
  for (int i = 0; i < 10; ++i) ten += ":0\r\n";
  EXPECT_EQ(DescribeReply(Parse(ten)).substr(0, 36),
            " 1) (integer) 0\n 2) (integer) 0\n 3) ");
  EXPECT_EQ(DescribeReply(Parse("%2\r\n+a\r\n:1\r\n+b\r\n~1\r\n:2\r\n")),
            "1# a => (integer) 1\n2# b => 1~ (integer) 2\n");
}

TEST(PlainReply, ShowsValuesExactlyOneBelowTheOther) {
  EXPECT_EQ(PlainReply(Parse("*3\r\n:1\r\n$-1\r\n*2\r\n$2\r\n\x1b"
                             "b\r\n+c\r\n")),
            "1\n\n\x1b"
            "b\nc\n");
}

}  // namespace
}  // namespace kvctl
