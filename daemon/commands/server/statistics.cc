// SPDX-License-Identifier: MIT
#include "daemon/commands/server/statistics.h"

namespace kvd {
namespace {

void AddUsed(AllCommandStats& all, const CommandRow& row,
             std::vector<UsedRow>* rows) {
  CommandStats& stats = all.Of(row.number);
  if (stats.calls == 0 && stats.rejected == 0) return;
  stats.Settle();
  rows->push_back({LowerName(row), row.command, &stats});
}

}  // namespace

std::vector<UsedRow> UsedRows(AllCommandStats& stats) {
  std::vector<UsedRow> rows;
  for (const CommandRow& row : CommandRows()) AddUsed(stats, row, &rows);
  return rows;
}

// A client may give many names: not by comparing each with all rows.
std::vector<UsedRow> UsedRows(AllCommandStats& stats, std::string_view name) {
  std::vector<UsedRow> rows;
  const size_t bar = name.find('|');
  const Command* container = FindCommand(name.substr(0, bar));
  if (container == nullptr) return rows;
  if (bar == std::string_view::npos) {
    AddUsed(stats, RowOf(*container, *container), &rows);
    for (const Command& command : container->subcommands) {
      AddUsed(stats, RowOf(*container, command), &rows);
    }
  } else if (const Command* command =
                 FindSubcommand(*container, name.substr(bar + 1))) {
    AddUsed(stats, RowOf(*container, *command), &rows);
  }
  return rows;
}

}  // namespace kvd
