// SPDX-License-Identifier: MIT
#include "resp/reply_parser.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "resp/command_parser.h"
#include "resp/reply_writer.h"

namespace kvd {
namespace {

// A reply as one line, for comparisons that read well.
std::string Show(const Reply& reply) {
  const auto list = [&](const char* open, const char* close) {
    std::string out = open;
    for (const Reply& element : reply.elements) out += " " + Show(element);
    return out + " " + close;
  };
  switch (reply.type) {
    case ReplyType::kNull:
      return "null";
    case ReplyType::kStatus:
      return "+" + reply.text;
    case ReplyType::kError:
      return "-" + reply.text;
    case ReplyType::kString:
      return "'" + reply.text + "'";
    case ReplyType::kVerbatim:
      return "=" + reply.text;
    case ReplyType::kBigNumber:
      return "(" + reply.text;
    case ReplyType::kInteger:
      return std::to_string(reply.integer);
    case ReplyType::kBoolean:
      return reply.integer != 0 ? "true" : "false";
    case ReplyType::kDouble:
      return "," + std::to_string(reply.number);
    case ReplyType::kArray:
      return list("[", "]");
    case ReplyType::kSet:
      return list("{", "}");
    case ReplyType::kPush:
      return list(">", "<");
    case ReplyType::kMap:
      return list("(", ")");
  }
  return "?";
}

struct Parsed {
  std::string shown;  // Replies, a space after each.
  std::string error;
  std::string rest;
};

// Feeds the pieces as they come off a socket.
Parsed Feed(const std::vector<std::string_view>& pieces) {
  Parsed parsed;
  ReplyParser parser;
  for (const std::string_view piece : pieces) {
    parsed.rest += piece;
    while (true) {
      const std::string input = parsed.rest;  // Elsewhere at each call.
      const ReplyOutcome outcome = parser.Next(input);
      if (outcome == ReplyOutcome::kError) {
        parsed.error = parser.error();
        return parsed;
      }
      if (outcome == ReplyOutcome::kReply) {
        parsed.shown += Show(parser.TakeReply()) + " ";
      }
      parsed.rest.erase(0, parser.consumed());
      if (outcome == ReplyOutcome::kNeedMore) break;
    }
  }
  return parsed;
}

constexpr std::string_view kReplies =
    "+OK\r\n-ERR no\r\n:-12\r\n$3\r\na\r\n\r\n$0\r\n\r\n$-1\r\n*-1\r\n_\r\n"
    "#t\r\n,1.5\r\n(12345678901234567890\r\n=7\r\ntxt:abc\r\n!6\r\nERR me\r\n"
    "*0\r\n*2\r\n*1\r\n:1\r\n%1\r\n+k\r\n~1\r\n:2\r\n"
    "|1\r\n+ttl\r\n*1\r\n:9\r\n*2\r\n|1\r\n+x\r\n:1\r\n:5\r\n:6\r\n"
    ">2\r\n+m\r\n$1\r\nv\r\n";

constexpr std::string_view kShown =
    "+OK -ERR no -12 'a\r\n' '' null null null true ,1.500000 "
    "(12345678901234567890 =abc -ERR me [ ] [ [ 1 ] ( +k { 2 } ) ] [ 5 6 ] "
    "> +m 'v' < ";

TEST(ReplyParser, ReadsEveryTypeOfBothVersions) {
  const Parsed parsed = Feed({kReplies});
  EXPECT_EQ(parsed.shown, kShown);
  EXPECT_EQ(parsed.error, "");
  EXPECT_EQ(parsed.rest, "");
}

TEST(ReplyParser, ReadsTheSameAtEveryCut) {
  for (size_t cut = 0; cut <= kReplies.size(); ++cut) {
    SCOPED_TRACE(cut);
    const Parsed parsed = Feed({kReplies.substr(0, cut), kReplies.substr(cut)});
    EXPECT_EQ(parsed.shown, kShown);
  }
  std::vector<std::string_view> bytes;
  for (const char& c : kReplies) bytes.emplace_back(&c, 1);
  EXPECT_EQ(Feed(bytes).shown, kShown);
}

TEST(ReplyParser, ReadsDoublesThatAreNoDecimals) {
  EXPECT_EQ(Feed({",inf\r\n,-inf\r\n"}).shown, ",inf ,-inf ");
  EXPECT_EQ(Feed({",nan\r\n,10\r\n,1e3\r\n"}).shown,
            ",nan ,10.000000 ,1000.000000 ");
}

TEST(ReplyParser, RefusesWhatIsNoReply) {
  for (const char* input : {"\r\n",
                            "x\r\n",
                            ":\r\n",
                            ":1x\r\n",
                            ":99999999999999999999\r\n",
                            "$x\r\n",
                            "$-2\r\n",
                            "$1\r\nabc",
                            "$99999999999\r\n",
                            "*x\r\n",
                            "*-2\r\n",
                            "%-1\r\n",
                            "*99999999999\r\n",
                            "#x\r\n",
                            ",x\r\n",
                            ",\r\n",
                            "(1.5\r\n",
                            "(\r\n",
                            "_x\r\n",
                            "=3\r\nabc\r\n",
                            "=4\r\ntxt.\r\n",
                            "$?\r\n",
                            "*?\r\n"}) {
    const Parsed parsed = Feed({input});
    EXPECT_NE(parsed.error, "") << testing::PrintToString(input);
    EXPECT_EQ(parsed.shown, "") << testing::PrintToString(input);
  }
}

TEST(ReplyParser, NamesAnUnknownTypeWithoutItsRawByte) {
  EXPECT_EQ(Feed({"H\r\n"}).error, "unknown type 'H' of a reply");
  EXPECT_EQ(Feed({"\x1b\r\n"}).error, "unknown type '\\x1b' of a reply");
}

TEST(ReplyParser, BoundsDepthAndLineLength) {
  std::string deep;
  for (size_t i = 0; i < kReplyDepthMax; ++i) deep += "*1\r\n";
  EXPECT_EQ(Feed({deep + ":1\r\n"}).error, "");
  EXPECT_EQ(Feed({deep + "*1\r\n:1\r\n"}).error,
            "a reply is nested too deeply");
  EXPECT_EQ(Feed({"+" + std::string(kReplyLineBytesMax, 'x')}).error,
            "a line in a reply is too long");
}

TEST(ReplyParser, SaysHowMuchOfAStringIsMissing) {
  ReplyParser parser;
  ASSERT_EQ(parser.Next("$1000\r\nabc"), ReplyOutcome::kNeedMore);
  EXPECT_EQ(parser.bytes_wanted(), 1000u - 3 + 2);
}

TEST(ReplyParser, WorksLinearlyOnAnArrayThatArrivesByteByByte) {
  std::string input = "*5000\r\n";
  for (int i = 0; i < 5000; ++i) input += "$3\r\nabc\r\n";
  ReplyParser parser;
  size_t start = 0;
  ReplyOutcome outcome = ReplyOutcome::kNeedMore;
  for (size_t end = 1; end <= input.size(); ++end) {
    outcome = parser.Next(std::string_view(input).substr(start, end - start));
    start += parser.consumed();
  }
  ASSERT_EQ(outcome, ReplyOutcome::kReply);
  EXPECT_EQ(parser.TakeReply().elements.size(), 5000u);
  EXPECT_LE(parser.bytes_examined(), input.size() * 2);
}

TEST(ReplyParser, WorksLinearlyOnALineThatArrivesByteByByte) {
  const std::string input = "+" + std::string(60'000, 'x') + "\r\n";
  ReplyParser parser;
  for (size_t size = 1; size < input.size(); ++size) {
    ASSERT_EQ(parser.Next(std::string_view(input).substr(0, size)),
              ReplyOutcome::kNeedMore);
  }
  ASSERT_EQ(parser.Next(input), ReplyOutcome::kReply);
  EXPECT_LE(parser.bytes_examined(), input.size() * 2);
}

TEST(ReplyParser, ReadsWhatTheWriterWrites) {
  for (const int protocol : {2, 3}) {
    std::string out;
    ReplyWriter writer(&out, protocol);
    writer.MapHeader(2);
    writer.SimpleString("a");
    writer.Integer(1);
    writer.Bulk("b");
    writer.Double(0.25);
    EXPECT_EQ(Feed({out}).shown, protocol == 2 ? "[ +a 1 'b' '0.25' ] "
                                               : "( +a 1 'b' ,0.250000 ) ");
  }
}

TEST(AppendCommand, WritesWhatTheCommandParserReads) {
  const std::vector<std::string_view> args = {"SET", "", "a\r\nb"};
  std::string wire;
  AppendCommand(&wire, args);
  EXPECT_EQ(wire, "*3\r\n$3\r\nSET\r\n$0\r\n\r\n$4\r\na\r\nb\r\n");
  CommandParser parser({});
  ASSERT_EQ(parser.Next(wire), ParseOutcome::kCommand);
  EXPECT_EQ(
      std::vector<std::string_view>(parser.args().begin(), parser.args().end()),
      args);
}

}  // namespace
}  // namespace kvd
