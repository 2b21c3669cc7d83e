// SPDX-License-Identifier: MIT
#include "daemon/state/command_stats.h"

#include <utility>

#include "daemon/commands/table.h"

namespace kvd {
namespace {

// With how many words a call of it is still brief; 0 for none.
size_t BriefWordsOf(const Command& command) {
  if (command.complexity == "O(1)") return kWordsMax;
  return command.keys.last < 0 ? kBriefWords : 0;
}

}  // namespace

void CommandStats::Settle() {
  if (untimed_ > 0) times().run_ns.Add(last_ns_, std::exchange(untimed_, 0));
}

void CommandStats::Reset() {
  const size_t words = brief_words;
  *this = CommandStats();
  brief_words = words;
}

AllCommandStats::AllCommandStats(int64_t threshold_us) {
  const auto brief_words = [&](const Command& command) {
    return threshold_us < kAlwaysTimedBelowUs ? 0 : BriefWordsOf(command);
  };
  const std::span<const Command> commands = Commands();
  stats_.resize(commands.size());
  for (const Command& command : commands) {
    stats_[IndexOf(command)].brief_words = brief_words(command);
    first_subcommand_.push_back(stats_.size());
    for (const Command& subcommand : command.subcommands) {
      stats_.emplace_back().brief_words = brief_words(subcommand);
    }
  }
}

CommandStats& AllCommandStats::Of(const Command& container,
                                  const Command& command) {
  const size_t index = IndexOf(container);
  if (&container == &command) return stats_[index];
  const auto which = &command - container.subcommands.data();
  return stats_[first_subcommand_[index] + static_cast<size_t>(which)];
}

void AllCommandStats::AddUsed(const Command& container, const Command& command,
                              std::vector<Row>* rows) {
  CommandStats& stats = Of(container, command);
  if (stats.calls == 0 && stats.rejected == 0) return;
  stats.Settle();
  std::string name = LowerName(container);
  if (&container != &command) name += "|" + LowerName(command);
  rows->push_back({std::move(name), &command, &stats});
}

void AllCommandStats::AddUsed(const Command& command, std::vector<Row>* rows) {
  AddUsed(command, command, rows);
  for (const Command& subcommand : command.subcommands) {
    AddUsed(command, subcommand, rows);
  }
}

std::vector<AllCommandStats::Row> AllCommandStats::Used() {
  std::vector<Row> rows;
  for (const Command& command : Commands()) AddUsed(command, &rows);
  return rows;
}

// A client may give many names: not by comparing each with all rows.
std::vector<AllCommandStats::Row> AllCommandStats::Used(std::string_view name) {
  std::vector<Row> rows;
  const size_t bar = name.find('|');
  const Command* command = FindCommand(name.substr(0, bar));
  if (command == nullptr) return rows;
  if (bar == std::string_view::npos) {
    AddUsed(*command, &rows);
  } else if (const Command* subcommand =
                 FindSubcommand(*command, name.substr(bar + 1))) {
    AddUsed(*command, *subcommand, &rows);
  }
  return rows;
}

void AllCommandStats::Reset() {
  for (CommandStats& stats : stats_) stats.Reset();
}

}  // namespace kvd
