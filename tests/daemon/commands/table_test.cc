// SPDX-License-Identifier: MIT
#include "daemon/commands/table.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "daemon/commands/text.h"

namespace kvd {
namespace {

// `name_words` is how many words name the command.
void CheckRow(const Command& command, int name_words) {
  SCOPED_TRACE(command.name);
  EXPECT_FALSE(command.summary.empty());
  EXPECT_TRUE(command.summary.ends_with('.'));
  EXPECT_FALSE(command.since.empty());
  EXPECT_FALSE(command.complexity.empty());
  EXPECT_GE(command.words_min, 1);
  EXPECT_GE(command.words_max, command.words_min);
  EXPECT_TRUE(command.handler != nullptr || !command.subcommands.empty());
  // A command of keys needs words for them, and they are its first ones.
  if (command.keys.first != 0) {
    EXPECT_EQ(command.keys.first, name_words);
    EXPECT_GT(command.keys.step, 0);
    EXPECT_GT(command.words_min, name_words);
    EXPECT_TRUE(command.syntax.starts_with("key")) << command.syntax;
    EXPECT_TRUE(command.access == Access::kRead ||
                command.access == Access::kWrite);
  }
  // What needs more memory changes something.
  if ((command.flags & kDenyOom) != 0) {
    EXPECT_EQ(command.access, Access::kWrite);
  }
}

TEST(CommandTable, EveryRowIsComplete) {
  for (const Command& command : Commands()) {
    CheckRow(command, 1);
    for (const Command& subcommand : command.subcommands) {
      CheckRow(subcommand, 2);
    }
  }
}

TEST(CommandTable, EveryNameIsFoundInAnyCase) {
  for (const Command& command : Commands()) {
    EXPECT_EQ(FindCommand(command.name), &command);
    EXPECT_EQ(FindCommand(LowerName(command)), &command);
    for (const Command& subcommand : command.subcommands) {
      EXPECT_EQ(FindSubcommand(command, LowerName(subcommand)), &subcommand);
    }
  }
}

TEST(CommandTable, NamesAreUpperCaseAndUnique) {
  std::set<std::string_view> names;
  for (const Command& command : Commands()) {
    EXPECT_TRUE(names.insert(command.name).second) << command.name;
    EXPECT_TRUE(IsWord(LowerName(command), command.name));
    EXPECT_NE(LowerName(command), command.name);
  }
}

TEST(CommandTable, OtherNamesAreNotFound) {
  for (const std::string& name :
       {std::string(), std::string("GE"), std::string("GETT"),
        std::string("G\0T", 3), std::string(100, 'G'), std::string("\xff")}) {
    EXPECT_EQ(FindCommand(name), nullptr) << name;
  }
  EXPECT_EQ(FindSubcommand(*FindCommand("client"), "nosuch"), nullptr);
}

std::string KeysOf(std::string_view name, size_t words) {
  std::string found;
  ForEachKey(*FindCommand(name), words,
             [&](size_t i) { found += std::to_string(i) + " "; });
  return found;
}

TEST(CommandTable, KnowsWhichWordsAreKeys) {
  EXPECT_EQ(KeysOf("GET", 2), "1 ");
  EXPECT_EQ(KeysOf("SET", 5), "1 ");
  EXPECT_EQ(KeysOf("DEL", 4), "1 2 3 ");
  EXPECT_EQ(KeysOf("MSET", 5), "1 3 ");
  EXPECT_EQ(KeysOf("RENAME", 3), "1 2 ");
  EXPECT_EQ(KeysOf("PING", 2), "");
}

}  // namespace
}  // namespace kvd
