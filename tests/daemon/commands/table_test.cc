// SPDX-License-Identifier: MIT
#include "daemon/commands/table.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <string_view>
#include <vector>

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
  // A command of keys needs words for them. Few of them have another one first:
  // what counts the keys, or says what to do. A script comes before both, and
  // may have no keys.
  if (command.keys.first != 0) {
    const int script = command.group == CommandGroup::kScripting;
    const int others =
        script + (command.name == "BITOP" || command.keys.count != 0);
    EXPECT_EQ(command.keys.first, name_words + others);
    EXPECT_TRUE(command.keys.count == 0 ||
                command.keys.count == name_words + script);
    EXPECT_GT(command.keys.step, 0);
    EXPECT_GT(command.words_min, name_words + others - script);
    EXPECT_EQ(command.syntax.starts_with("key"), others == 0) << command.syntax;
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

// Whoever gives a wrong subcommand is told to try it.
TEST(CommandTable, EveryContainerHasHelp) {
  for (const Command& command : Commands()) {
    if (command.subcommands.empty()) continue;
    EXPECT_NE(FindSubcommand(command, "help"), nullptr) << command.name;
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

std::string KeysOf(const std::vector<std::string_view>& words) {
  std::string found;
  ForEachKey(*FindCommand(words[0]), words,
             [&](size_t i) { found += std::to_string(i) + " "; });
  return found;
}

std::string KeysOf(std::string_view name, size_t count) {
  std::vector<std::string_view> words(count, "1");
  words[0] = name;
  return KeysOf(words);
}

TEST(CommandTable, KnowsWhichWordsAreKeys) {
  EXPECT_EQ(KeysOf("GET", 2), "1 ");
  EXPECT_EQ(KeysOf("SET", 5), "1 ");
  EXPECT_EQ(KeysOf("DEL", 4), "1 2 3 ");
  EXPECT_EQ(KeysOf("MSET", 5), "1 3 ");
  EXPECT_EQ(KeysOf("RENAME", 3), "1 2 ");
  EXPECT_EQ(KeysOf("BITOP", 5), "2 3 4 ");
  EXPECT_EQ(KeysOf("PING", 2), "");
}

TEST(CommandTable, CountsKeysWhereAWordSaysHowManyThereAre) {
  EXPECT_EQ(KeysOf({"MSETEX", "1", "a", "1"}), "2 ");
  EXPECT_EQ(KeysOf({"MSETEX", "2", "a", "1", "b", "2", "NX"}), "2 4 ");
  EXPECT_EQ(KeysOf({"MSETEX", "2", "a", "1", "b"}), "2 4 ");
  for (const std::string_view count :
       {"0", "3", "-1", "x", "", "18446744073709551615"}) {
    EXPECT_EQ(KeysOf({"MSETEX", count, "a", "1", "b", "2"}), "") << count;
  }
  EXPECT_EQ(KeysOf({"MSETEX"}), "");
}

}  // namespace
}  // namespace kvd
