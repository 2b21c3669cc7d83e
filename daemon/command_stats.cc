// SPDX-License-Identifier: MIT
#include "daemon/command_stats.h"

#include <utility>

#include "daemon/command.h"
#include "daemon/text.h"

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

std::vector<AllCommandStats::Row> AllCommandStats::Used() {
  std::vector<Row> rows;
  const auto add = [&](std::string name, const Command& container,
                       const Command& command) {
    CommandStats& stats = Of(container, command);
    if (stats.calls == 0 && stats.rejected == 0) return;
    stats.Settle();
    rows.push_back({std::move(name), &command, &stats});
  };
  for (const Command& command : Commands()) {
    add(LowerName(command), command, command);
    for (const Command& subcommand : command.subcommands) {
      add(LowerName(command) + "|" + LowerName(subcommand), command,
          subcommand);
    }
  }
  return rows;
}

std::vector<AllCommandStats::Row> AllCommandStats::Used(std::string_view name) {
  const std::string wanted = LowerCase(name);
  std::vector<Row> rows = Used();
  std::erase_if(rows, [&](const Row& row) {
    return row.name != wanted && !row.name.starts_with(wanted + "|");
  });
  return rows;
}

void AllCommandStats::Reset() {
  for (CommandStats& stats : stats_) stats.Reset();
}

}  // namespace kvd
