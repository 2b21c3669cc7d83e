// SPDX-License-Identifier: MIT
#include "daemon/loop/commands_ahead.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kvd {
namespace {

constexpr ParserLimits kLimits = {.arguments_max = 1 << 20,
                                  .bulk_bytes_max = 1 << 20,
                                  .inline_bytes_max = 64 << 10,
                                  .command_bytes_max = 1 << 20};

std::string Get(int i) {
  const std::string key = std::to_string(i);
  return "*2\r\n$3\r\nGET\r\n$" + std::to_string(key.size()) + "\r\n" + key +
         "\r\n";
}

// Takes all commands that `input` holds; drops from it what was consumed.
std::vector<std::string> TakeAll(CommandsAhead* commands, std::string* input,
                                 ParseOutcome* ended_by) {
  std::vector<std::string> taken;
  std::string_view rest = *input;
  while (true) {
    commands->ParseAhead(rest);
    *ended_by = commands->Next();
    if (*ended_by == ParseOutcome::kCommand) {
      std::string words;
      for (const std::string_view word : commands->args()) {
        words += std::string(word) + ",";
      }
      taken.push_back(words);
    }
    rest.remove_prefix(commands->consumed());
    if (*ended_by != ParseOutcome::kCommand) break;
  }
  *input = std::string(rest);
  return taken;
}

TEST(CommandsAhead, GivesWhatAParserWouldAtEverySplit) {
  std::string all;
  std::vector<std::string> expected;
  for (int i = 0; i < 40; ++i) {
    all += Get(i);
    expected.push_back("GET," + std::to_string(i) + ",");
    if (i % 7 == 0) {
      all += "\r\nPING\r\n";
      expected.push_back("PING,");
    }
    if (i % 9 == 0) {
      all += "*0\r\nSET \"a b\" 'c'\r\n";
      expected.push_back("SET,a b,c,");
    }
  }
  for (size_t split = 0; split <= all.size(); ++split) {
    SCOPED_TRACE(split);
    CommandsAhead commands(kLimits);
    ParseOutcome ended_by;
    std::string input = all.substr(0, split);
    std::vector<std::string> taken = TakeAll(&commands, &input, &ended_by);
    EXPECT_EQ(ended_by, ParseOutcome::kNeedMore);
    input += all.substr(split);
    for (std::string& words : TakeAll(&commands, &input, &ended_by)) {
      taken.push_back(words);
    }
    EXPECT_EQ(taken, expected);
    EXPECT_EQ(input, "");
  }
}

TEST(CommandsAhead, GivesTheCommandsBeforeAnErrorFirst) {
  CommandsAhead commands(kLimits);
  std::string input = Get(1) + Get(2) + "*x\r\n" + Get(3);
  ParseOutcome ended_by;
  const std::vector<std::string> taken = TakeAll(&commands, &input, &ended_by);
  EXPECT_EQ(taken, (std::vector<std::string>{"GET,1,", "GET,2,"}));
  EXPECT_EQ(ended_by, ParseOutcome::kError);
  EXPECT_EQ(commands.error(), "Protocol error: invalid multibulk length");
}

TEST(CommandsAhead, NamesTheKeysOfABatchOnce) {
  CommandsAhead commands(kLimits);
  std::string input;
  for (int i = 0; i < 20; ++i) input += Get(i);
  std::string_view rest = input;
  std::vector<size_t> batches;
  for (int i = 0; i < 20; ++i) {
    if (commands.ParseAhead(rest)) {
      batches.push_back(0);
      commands.HashKeys([&](std::string_view) {
        return std::optional<uint64_t>(++batches.back());
      });
      EXPECT_EQ(batches.back(), commands.together());
    }
    ASSERT_EQ(commands.Next(), ParseOutcome::kCommand);
    rest.remove_prefix(commands.consumed());
  }
  EXPECT_EQ(batches, (std::vector<size_t>{CommandsAhead::kCommandsMax, 4}));
}

TEST(CommandsAhead, KeepsTheHashOfEachKey) {
  CommandsAhead commands(kLimits);
  const std::string input = Get(7) + "PING\r\n" + Get(8);
  ASSERT_TRUE(commands.ParseAhead(input));
  commands.HashKeys([&](std::string_view key) -> std::optional<uint64_t> {
    if (key == "8") return std::nullopt;
    return 100 + key.size();
  });
  std::vector<std::optional<uint64_t>> hashes;
  for (size_t i = commands.together(); i > 0; --i) {
    ASSERT_EQ(commands.Next(), ParseOutcome::kCommand);
    hashes.push_back(commands.key_hash());
  }
  ASSERT_GE(hashes.size(), 2u);
  EXPECT_EQ(hashes[0], 101u);
  EXPECT_EQ(hashes[1], std::nullopt);
}

// The first ParseAhead() may come long before the command is asked for.
TEST(CommandsAhead, ParsesOnOnlyWhenNothingIsLeftOver) {
  CommandsAhead commands(kLimits);
  const std::string input = Get(1) + Get(2);
  std::string_view rest = input;
  EXPECT_TRUE(commands.ParseAhead(rest));
  EXPECT_FALSE(commands.ParseAhead(rest));
  ASSERT_EQ(commands.Next(), ParseOutcome::kCommand);
  EXPECT_EQ(commands.args()[1], "1");
  rest.remove_prefix(commands.consumed());
  EXPECT_FALSE(commands.ParseAhead(rest));
  ASSERT_EQ(commands.Next(), ParseOutcome::kCommand);
  EXPECT_EQ(commands.args()[1], "2");
  rest.remove_prefix(commands.consumed());
  EXPECT_FALSE(commands.ParseAhead(rest));
  EXPECT_EQ(commands.Next(), ParseOutcome::kNeedMore);
}

}  // namespace
}  // namespace kvd
