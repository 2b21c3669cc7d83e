// SPDX-License-Identifier: MIT
#include "resp/command_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "resp/number_line.h"

namespace kvd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

using Command = std::vector<std::string>;

// What a connection would do: keeps what is not understood yet, in a buffer
// that is freed and made anew at each arrival, so that a view or a pointer kept
// for too long is found by the sanitizer.
class Feeder {
 public:
  explicit Feeder(ParserLimits limits = {}) : parser_(limits) {}

  // False once the parser has refused.
  bool Feed(std::string_view piece) {
    const size_t kept = rest_.size();
    auto moved = std::make_unique<char[]>(kept + piece.size() + 1);
    rest_.copy(moved.get(), kept);
    piece.copy(moved.get() + kept, piece.size());
    buffer_ = std::move(moved);
    rest_ = {buffer_.get(), kept + piece.size()};
    return Drain();
  }

  std::vector<Command> commands;
  std::string error;
  CommandParser& parser() { return parser_; }
  std::string_view rest() const { return rest_; }

 private:
  bool Drain() {
    while (true) {
      const ParseOutcome outcome = parser_.Next(rest_);
      if (outcome == ParseOutcome::kError) {
        error = parser_.error();
        return false;
      }
      if (outcome == ParseOutcome::kCommand) {
        commands.emplace_back(parser_.args().begin(), parser_.args().end());
      }
      rest_.remove_prefix(parser_.consumed());
      if (outcome == ParseOutcome::kNeedMore) return true;
    }
  }

  CommandParser parser_;
  std::unique_ptr<char[]> buffer_;
  std::string_view rest_;
};

std::vector<Command> Parse(std::string_view input) {
  Feeder feeder;
  EXPECT_TRUE(feeder.Feed(input)) << feeder.error;
  EXPECT_EQ(feeder.rest(), "");
  return feeder.commands;
}

std::string ErrorOf(std::string_view input, ParserLimits limits = {}) {
  Feeder feeder(limits);
  EXPECT_FALSE(feeder.Feed(input)) << "accepted";
  return feeder.error;
}

// A bit of everything that a client may send.
constexpr std::string_view kMixture =
    "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\n\r\n\r\n\r\n"
    "\r\n"
    "PING\r\n"
    "*0\r\n*-1\r\n"
    "  set  'a b' \"\\x00\\n\\\"\"  \n"
    "*1\r\n$0\r\n\r\n"
    "*2\r\n$3\r\nGET\r\n$12\r\nabcdefghijkl\r\n"
    "\n";

void ExpectMixture(const std::vector<Command>& commands) {
  EXPECT_THAT(commands,
              ElementsAre(Command{"SET", "k", "\r\n\r\n"}, Command{"PING"},
                          Command{"set", "a b", std::string("\0\n\"", 3)},
                          Command{""}, Command{"GET", "abcdefghijkl"}));
}

TEST(CommandParser, ReadsArraysAndInlineCommandsSideBySide) {
  ExpectMixture(Parse(kMixture));
}

TEST(CommandParser, ReadsTheSameHoweverTheInputIsCutInThree) {
  for (size_t first = 0; first <= kMixture.size(); ++first) {
    for (size_t second = first; second <= kMixture.size(); ++second) {
      SCOPED_TRACE(testing::Message() << first << ", " << second);
      Feeder feeder;
      ASSERT_TRUE(feeder.Feed(kMixture.substr(0, first)));
      ASSERT_TRUE(feeder.Feed(kMixture.substr(first, second - first)));
      ASSERT_TRUE(feeder.Feed(kMixture.substr(second)));
      ExpectMixture(feeder.commands);
    }
  }
}

TEST(CommandParser, ReadsTheSameByteByByte) {
  Feeder feeder;
  for (const char& c : kMixture) ASSERT_TRUE(feeder.Feed({&c, 1}));
  ExpectMixture(feeder.commands);
  EXPECT_EQ(feeder.rest(), "");
}

TEST(CommandParser, ReadsCommandsOfAnyLengthInOneGo) {
  for (size_t count = 1; count <= 200; ++count) {
    std::string input = "*" + std::to_string(count) + "\r\n";
    Command expected;
    for (size_t i = 0; i < count; ++i) {
      expected.push_back(std::string(i, 'x'));
      input += "$" + std::to_string(i) + "\r\n" + expected.back() + "\r\n";
    }
    EXPECT_THAT(Parse(input + input), ElementsAre(expected, expected));
  }
}

TEST(CommandParser, NeverGivesACommandBeforeItsLastByte) {
  const std::string_view whole = "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n";
  for (size_t size = 0; size < whole.size(); ++size) {
    CommandParser parser({});
    EXPECT_EQ(parser.Next(whole.substr(0, size)), ParseOutcome::kNeedMore);
  }
}

TEST(CommandParser, ViewsArgumentsInTheInputWithoutCopies) {
  const std::string input = "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n";
  CommandParser parser({});
  ASSERT_EQ(parser.Next(input), ParseOutcome::kCommand);
  EXPECT_EQ(parser.args()[0].data(), input.data() + 8);
  EXPECT_EQ(parser.consumed(), input.size());
}

TEST(CommandParser, LetsTheCallerDropEmptyCommandsAtOnce) {
  CommandParser parser({});
  EXPECT_EQ(parser.Next("\r\n\r\n*0\r\n*1\r"), ParseOutcome::kNeedMore);
  EXPECT_EQ(parser.consumed(), 8u);
  EXPECT_EQ(parser.Next("*1\r\n$1\r\nx\r\n"), ParseOutcome::kCommand);
  EXPECT_THAT(parser.args(), ElementsAre("x"));
}

TEST(CommandParser, SaysHowMuchOfABulkStringIsMissing) {
  CommandParser parser({});
  ASSERT_EQ(parser.Next("*1\r\n$10"), ParseOutcome::kNeedMore);
  EXPECT_EQ(parser.bytes_wanted(), 0u);
  ASSERT_EQ(parser.Next("*1\r\n$1000\r\nabc"), ParseOutcome::kNeedMore);
  EXPECT_EQ(parser.bytes_wanted(), 1000u - 3 + 2);
}

TEST(CommandParser, RefusesWhatIsNoCommandInTheWordsOfRedis) {
  const std::string multibulk = "Protocol error: invalid multibulk length";
  const std::string bulk = "Protocol error: invalid bulk length";
  EXPECT_EQ(ErrorOf("*x\r\n"), multibulk);
  EXPECT_EQ(ErrorOf("*\r\n"), multibulk);
  EXPECT_EQ(ErrorOf("*1x\r\n"), multibulk);
  EXPECT_EQ(ErrorOf("*01\r\n"), multibulk);
  EXPECT_EQ(ErrorOf("*01\r\n$1\r\na\r\n"), multibulk);
  EXPECT_EQ(ErrorOf("*1\r\n$01\r\na\r\n"), bulk);
  EXPECT_EQ(ErrorOf("*+1\r\n"), multibulk);
  EXPECT_EQ(ErrorOf("*3000000000\r\n"), multibulk);
  EXPECT_EQ(ErrorOf("*20000000000000000000\r\n"), multibulk);
  EXPECT_EQ(ErrorOf(std::string_view("*\0", 2)), multibulk);
  EXPECT_EQ(ErrorOf("*1\r\n$-1\r\n"), bulk);
  EXPECT_EQ(ErrorOf("*1\r\n$x\r\n"), bulk);
  EXPECT_EQ(ErrorOf("*1\r\n$1 \r\n"), bulk);
  EXPECT_EQ(ErrorOf("*1\r\n$2000000000000\r\n"), bulk);
  EXPECT_EQ(ErrorOf("*1\r\nfoo\r\n"), "Protocol error: expected '$', got 'f'");
  EXPECT_EQ(ErrorOf("set \"a\r\n"),
            "Protocol error: unbalanced quotes in request");
  EXPECT_EQ(ErrorOf(std::string(64 * 1024 + 2, 'x')),
            "Protocol error: too big inline request");
}

TEST(CommandParser, RefusesALengthThatDoesNotFitItsString) {
  for (const char* input : {"*1\r\n$2\r\nabc\r\n", "*1\r\n$4\r\nabc\r\n*1\r\n",
                            "*1\r\n$3\r\nabc\n\n"}) {
    EXPECT_EQ(ErrorOf(input),
              "Protocol error: bulk string not followed by a line end");
  }
}

TEST(CommandParser, AcceptsWhatReachesALimitAndRefusesWhatExceedsIt) {
  const ParserLimits limits = {.arguments_max = 2,
                               .bulk_bytes_max = 5,
                               .inline_bytes_max = 9,
                               .command_bytes_max = 25};
  Feeder feeder(limits);
  ASSERT_TRUE(feeder.Feed("*2\r\n$4\r\nabcd\r\n$5\r\nabcde\r\n"))
      << feeder.error;
  ASSERT_TRUE(feeder.Feed("get abcde\r\n"));
  ASSERT_TRUE(feeder.Feed("get abcde\n"));
  EXPECT_EQ(feeder.commands.size(), 3u);

  EXPECT_EQ(ErrorOf("*3\r\n", limits),
            "Protocol error: invalid multibulk length");
  EXPECT_EQ(ErrorOf("*1\r\n$6\r\n", limits),
            "Protocol error: invalid bulk length");
  EXPECT_EQ(ErrorOf("*2\r\n$5\r\nabcde\r\n$5\r\n", limits),
            "Protocol error: too big command");
  // What is there as a whole goes another way.
  EXPECT_EQ(ErrorOf("*3\r\n$0\r\n\r\n$0\r\n\r\n$0\r\n\r\n", limits),
            "Protocol error: invalid multibulk length");
  EXPECT_EQ(ErrorOf("*1\r\n$6\r\nabcdef\r\n", limits),
            "Protocol error: invalid bulk length");
  EXPECT_EQ(ErrorOf("*2\r\n$5\r\nabcde\r\n$5\r\nabcde\r\n", limits),
            "Protocol error: too big command");
  EXPECT_EQ(ErrorOf("get abcdef\r\n", limits),
            "Protocol error: too big inline request");
  EXPECT_EQ(ErrorOf("get abcdefg", limits),
            "Protocol error: too big inline request");
  EXPECT_EQ(ErrorOf("a b c\r\n", limits),
            "Protocol error: too many words in inline request");
}

TEST(CommandParser, RefusesALongLineHoweverItIsCut) {
  const ParserLimits limits = {.inline_bytes_max = 9};
  const std::string_view line = "get abcdef\r\n";
  for (size_t cut = 0; cut <= line.size(); ++cut) {
    Feeder feeder(limits);
    EXPECT_FALSE(feeder.Feed(line.substr(0, cut)) &&
                 feeder.Feed(line.substr(cut)))
        << cut;
  }
}

TEST(CommandParser, TakesNoMemoryForAnnouncedLengths) {
  // Two hundred million arguments, half a gigabyte of value: with memory taken
  // by announcement, the sanitizers' allocators and most machines would refuse.
  const ParserLimits limits = {.arguments_max = 200'000'000};
  std::vector<std::unique_ptr<CommandParser>> parsers;
  for (int i = 0; i < 200; ++i) {
    parsers.push_back(std::make_unique<CommandParser>(limits));
    ASSERT_EQ(parsers.back()->Next("*200000000\r\n$536870912\r\nx"),
              ParseOutcome::kNeedMore);
  }
}

TEST(CommandParser, SplitsInlineCommandsAsRedisDoes) {
  const auto words = [](std::string_view line) {
    const std::vector<Command> commands = Parse(std::string(line) + "\n");
    return commands.empty() ? Command{} : commands[0];
  };
  EXPECT_THAT(words(" \t a \v b\r"), ElementsAre("a", "b"));
  EXPECT_THAT(words("\"\" ''"), ElementsAre("", ""));
  EXPECT_THAT(words("x\"y z\" w"), ElementsAre("xy z", "w"));
  EXPECT_THAT(words(R"("\n\r\t\b\a\\\"\q")"), ElementsAre("\n\r\t\b\a\\\"q"));
  EXPECT_THAT(words(R"("\x41\xfF\xg1\x4")"), ElementsAre("A\xffxg1x4"));
  EXPECT_THAT(words(R"('it\'s \n "raw"')"), ElementsAre(R"(it's \n "raw")"));
  EXPECT_THAT(words(R"(a\nb)"), ElementsAre(R"(a\nb)"));
  EXPECT_THAT(words(std::string_view("a\0b", 3)),
              ElementsAre(std::string("a\0b", 3)));
  EXPECT_THAT(words("   "), IsEmpty());
}

TEST(CommandParser, RefusesQuotesThatDoNotMatch) {
  for (const char* line :
       {"\"", "'", "\"a", "'a", "\"a\"b", "'a'b", "\"a\\\"", "'a\\'", "\"\\"}) {
    EXPECT_EQ(ErrorOf(std::string(line) + "\n"),
              "Protocol error: unbalanced quotes in request")
        << line;
  }
}

// Lines in pieces may be looked at again, at most this often.
constexpr uint64_t kWorkPerByteMax = kNumberLineBytesMax;

TEST(CommandParser, WorksLinearlyOnAnArrayThatArrivesByteByByte) {
  std::string input = "*5000\r\n";
  for (int i = 0; i < 5000; ++i) input += "$3\r\nabc\r\n";
  CommandParser parser({});
  for (size_t size = 1; size < input.size(); ++size) {
    ASSERT_EQ(parser.Next(std::string_view(input).substr(0, size)),
              ParseOutcome::kNeedMore);
  }
  ASSERT_EQ(parser.Next(input), ParseOutcome::kCommand);
  EXPECT_EQ(parser.args().size(), 5000u);
  EXPECT_LE(parser.bytes_examined(), input.size() * kWorkPerByteMax);
}

TEST(CommandParser, WorksLinearlyOnALineThatArrivesByteByByte) {
  const std::string input = std::string(60'000, 'x') + "\r\n";
  CommandParser parser({});
  for (size_t size = 1; size < input.size(); ++size) {
    ASSERT_EQ(parser.Next(std::string_view(input).substr(0, size)),
              ParseOutcome::kNeedMore);
  }
  ASSERT_EQ(parser.Next(input), ParseOutcome::kCommand);
  EXPECT_LE(parser.bytes_examined(), input.size());
}

TEST(CommandParser, FindsTheSameInGarbageHoweverItIsCut) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  const std::string_view letters = "*$\r\n0123- \"'\\xa";
  const ParserLimits limits = {.arguments_max = 4,
                               .bulk_bytes_max = 30,
                               .inline_bytes_max = 12,
                               .command_bytes_max = 40};
  for (int round = 0; round < 20'000; ++round) {
    std::string input = round % 2 == 0 ? "*2\r\n$3\r\n" : "";
    for (size_t size = random() % 30; size > 0; --size) {
      input.push_back(letters[random() % letters.size()]);
    }
    Feeder whole(limits);
    whole.Feed(input);
    Feeder pieces(limits);
    for (size_t at = 0; at < input.size() && pieces.error.empty();) {
      const size_t size = 1 + random() % 4;
      pieces.Feed(std::string_view(input).substr(at, size));
      at += size;
    }
    ASSERT_EQ(whole.commands, pieces.commands) << testing::PrintToString(input);
    ASSERT_EQ(whole.error, pieces.error) << testing::PrintToString(input);
  }
}

TEST(NumberLine, ReadsEveryNumberThatFits) {
  for (const int64_t number :
       {INT64_MIN, INT64_MIN + 1, int64_t{-10}, int64_t{-1}, int64_t{0},
        int64_t{7}, int64_t{10}, INT64_MAX - 1, INT64_MAX}) {
    const std::string text = std::to_string(number) + "\r\n";
    const NumberLine line = ReadNumberLine(text + "more");
    EXPECT_EQ(line.outcome, NumberLineOutcome::kNumber);
    EXPECT_EQ(line.number, number);
    EXPECT_EQ(line.bytes, text.size());
    EXPECT_LE(line.bytes, kNumberLineBytesMax);
    for (size_t size = 0; size < text.size(); ++size) {
      EXPECT_EQ(ReadNumberLine(text.substr(0, size)).outcome,
                NumberLineOutcome::kNeedMore);
    }
  }
}

TEST(NumberLine, RefusesEverythingElse) {
  for (const char* text :
       {"\r\n", "-\r\n", "-0\r\n", "00\r\n", "01\r\n", "+1\r\n", " 1\r\n",
        "1 \r\n", "1\n", "1\rx", "9223372036854775808\r\n",
        "-9223372036854775809\r\n", "99999999999999999999\r\n", "1a\r\n"}) {
    EXPECT_EQ(ReadNumberLine(text).outcome, NumberLineOutcome::kInvalid)
        << testing::PrintToString(text);
  }
}

}  // namespace
}  // namespace kvd
