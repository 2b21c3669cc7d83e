// SPDX-License-Identifier: MIT
#include "daemon/commands/server/statistics.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace kvd {
namespace {

CommandStats& Of(AllCommandStats& all, const Command& container,
                 const Command& command) {
  return all.Of(RowOf(container, command).number);
}

TEST(CommandStatistics, EveryRowHasItsOwn) {
  AllCommandStats all;
  std::vector<std::string> names;
  const auto use = [&](const Command& container, const Command& command) {
    CommandStats& stats = Of(all, container, command);
    EXPECT_EQ(stats.calls, 0u) << command.name;
    stats.calls = names.size() + 1;
    names.push_back(LowerName(container) +
                    (&container == &command ? "" : "|" + LowerName(command)));
  };
  for (const Command& command : Commands()) {
    use(command, command);
    for (const Command& sub : command.subcommands) use(command, sub);
  }
  EXPECT_EQ(names.size(), CommandRows().size());
  const std::vector<UsedRow> rows = UsedRows(all);
  ASSERT_EQ(rows.size(), names.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(rows[i].name, names[i]);
    EXPECT_EQ(rows[i].stats->calls, i + 1);
    EXPECT_EQ(rows[i].command, CommandRows()[i].command);
  }
  all.Reset();
  EXPECT_TRUE(UsedRows(all).empty());
}

TEST(CommandStatistics, StayWhereTheyAreWhenOthersAreMade) {
  AllCommandStats all;
  CommandStats* const first = &all.Of(0);
  all.Of(static_cast<int>(CommandRows().size()) - 1);
  EXPECT_EQ(&all.Of(0), first);
}

TEST(CommandStatistics, AContainersNameMeansItsSubcommands) {
  AllCommandStats all;
  const Command& config = *FindCommand("CONFIG");
  Of(all, config, *FindSubcommand(config, "get")).calls = 1;
  Of(all, config, *FindSubcommand(config, "resetstat")).calls = 1;
  EXPECT_EQ(UsedRows(all, "Config").size(), 2u);
  ASSERT_EQ(UsedRows(all, "config|GET").size(), 1u);
  EXPECT_EQ(UsedRows(all, "config|GET")[0].name, "config|get");
  EXPECT_TRUE(UsedRows(all, "conf").empty());
  EXPECT_TRUE(UsedRows(all, "get").empty());
}

}  // namespace
}  // namespace kvd
