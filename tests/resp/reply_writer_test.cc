// SPDX-License-Identifier: MIT
#include "resp/reply_writer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>

namespace kvd {
namespace {

std::string Written(int protocol, std::function<void(ReplyWriter&)> write) {
  std::string out;
  ReplyWriter writer(&out, protocol);
  write(writer);
  return out;
}

// What is written in version 2, a space, what is written in version 3.
std::string Both(const std::function<void(ReplyWriter&)>& write) {
  return Written(2, write) + " " + Written(3, write);
}

TEST(ReplyWriter, WritesTheSameInBothVersionsWhereBothHaveIt) {
  EXPECT_EQ(Both([](auto& w) { w.Ok(); }), "+OK\r\n +OK\r\n");
  EXPECT_EQ(Both([](auto& w) { w.SimpleString("hi"); }), "+hi\r\n +hi\r\n");
  EXPECT_EQ(Both([](auto& w) { w.Error("ERR no"); }),
            "-ERR no\r\n -ERR no\r\n");
  EXPECT_EQ(Both([](auto& w) { w.Integer(-42); }), ":-42\r\n :-42\r\n");
  EXPECT_EQ(Both([](auto& w) { w.Bulk(std::string_view("a\r\n\0", 4)); }),
            std::string("$4\r\na\r\n\0\r\n $4\r\na\r\n\0\r\n", 21));
  EXPECT_EQ(Both([](auto& w) { w.BulkInteger(10); }),
            "$2\r\n10\r\n $2\r\n10\r\n");
  EXPECT_EQ(Both([](auto& w) { w.ArrayHeader(3); }), "*3\r\n *3\r\n");
}

TEST(ReplyWriter, WritesTheNearestThingInVersion2) {
  EXPECT_EQ(Both([](auto& w) { w.Null(); }), "$-1\r\n _\r\n");
  EXPECT_EQ(Both([](auto& w) { w.NullArray(); }), "*-1\r\n _\r\n");
  EXPECT_EQ(Both([](auto& w) { w.Double(1.5); }), "$3\r\n1.5\r\n ,1.5\r\n");
  EXPECT_EQ(Both([](auto& w) { w.VerbatimText("a\nb"); }),
            "$3\r\na\nb\r\n =7\r\ntxt:a\nb\r\n");
  EXPECT_EQ(Both([](auto& w) { w.MapHeader(2); }), "*4\r\n %2\r\n");
  EXPECT_EQ(Both([](auto& w) { w.SetHeader(2); }), "*2\r\n ~2\r\n");
  EXPECT_EQ(Both([](auto& w) { w.PushHeader(3); }), "*3\r\n >3\r\n");
}

TEST(ReplyWriter, WritesExtremeNumbers) {
  EXPECT_EQ(Written(3, [](auto& w) { w.Integer(INT64_MIN); }),
            ":-9223372036854775808\r\n");
  EXPECT_EQ(Written(3, [](auto& w) { w.Integer(INT64_MAX); }),
            ":9223372036854775807\r\n");
  EXPECT_EQ(Written(3, [](auto& w) { w.Double(INFINITY); }), ",inf\r\n");
  EXPECT_EQ(Written(3, [](auto& w) { w.Double(-INFINITY); }), ",-inf\r\n");
  EXPECT_EQ(Written(3, [](auto& w) { w.Double(NAN); }), ",nan\r\n");
  EXPECT_EQ(Written(3, [](auto& w) { w.Double(0.1); }), ",0.1\r\n");
  EXPECT_EQ(
      Written(3,
              [](auto& w) { w.Double(-std::numeric_limits<double>::min()); }),
      ",-2.2250738585072014e-308\r\n");
}

TEST(ReplyWriter, CutsLongErrors) {
  std::string out;
  ReplyWriter(&out, 2).Error("ERR " + std::string(1 << 20, 'x'));
  EXPECT_EQ(out.size(), 1 + ReplyWriter::kErrorBytesMax + 2);
  EXPECT_TRUE(out.ends_with("x\r\n"));
}

TEST(ReplyWriter, WritesNoMoreThanItsBound) {
  const auto write = [](ReplyWriter& writer) {
    writer.ArrayHeader(9);
    writer.Integer(12);
    writer.Bulk("value");
    writer.BulkInteger(-5);
    writer.Null();
    writer.SimpleString("text");
    writer.VerbatimText("more\n");
    writer.Double(0.5);
    writer.Ok();
  };
  for (const int protocol : {2, 3}) {
    std::string whole;
    ReplyWriter unbounded(&whole, protocol);
    write(unbounded);
    EXPECT_EQ(unbounded.wanted_bytes(), whole.size());
    for (size_t most = 0; most <= whole.size() + 1; ++most) {
      std::string out = "before";
      ReplyWriter writer(&out, protocol, most);
      write(writer);
      EXPECT_LE(out.size(), 6 + most);
      EXPECT_EQ(writer.overflowed(), most < whole.size());
      EXPECT_EQ(writer.wanted_bytes(), whole.size());
      if (most >= whole.size()) {
        EXPECT_EQ(out, "before" + whole);
      }
      writer.Drop();
      EXPECT_EQ(out, "before");
      writer.Integer(1);
      EXPECT_EQ(out.size(), most < 4 ? 6 : 10);
    }
  }
}

TEST(ReplyWriter, KeepsLineEndsOutOfErrorsAndSimpleStrings) {
  EXPECT_EQ(Written(2, [](auto& w) { w.Error("ERR 'a\r\nb\n'"); }),
            "-ERR 'a  b '\r\n");
  EXPECT_EQ(Written(2, [](auto& w) { w.SimpleString("\r\n+OK"); }),
            "+  +OK\r\n");
}

}  // namespace
}  // namespace kvd
