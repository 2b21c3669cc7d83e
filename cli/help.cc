// SPDX-License-Identifier: MIT
#include "cli/help.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string_view>

namespace kvctl {
namespace {

constexpr size_t kNameWidth = 24;

std::string Line(std::string_view name, std::string_view help) {
  return fmt::format("  {:<{}}{}{}\n", name, kNameWidth - 1,
                     name.size() < kNameWidth ? " " : "  ", help);
}

std::string OptionLines(const Declarations& declared) {
  std::string lines = "\nOptions:\n" + Line("-h,--help", "print this help");
  for (const DeclaredOption& option : declared.options) {
    std::string name = fmt::format("{}", fmt::join(option.names, ","));
    if (!option.value_name.empty()) name += " " + option.value_name;
    lines += Line(name, option.help);
  }
  return lines;
}

std::string ExampleLines(std::string_view examples) {
  std::string lines = "\nExamples:\n";
  while (!examples.empty()) {
    const size_t end = std::min(examples.find('\n'), examples.size());
    lines += fmt::format("  {}\n", examples.substr(0, end));
    examples.remove_prefix(std::min(end + 1, examples.size()));
  }
  return lines;
}

}  // namespace

std::string GeneralHelp(const Declarations& globals) {
  std::string text =
      "kvctl: talk to kvd, the durable key-value store\n"
      "Usage: kvctl [OPTIONS] COMMAND …\n" +
      OptionLines(globals) + "\nCommands:\n";
  for (const VerbRow& row : Verbs()) {
    std::string names = row.name;
    for (const char* alias : row.aliases) names += std::string(", ") + alias;
    text += Line(names, row.summary);
  }
  return text +
         "\nOptions may stand before or after the command. Everything after "
         "\"--\" is a key or\na value, whatever it looks like; before it, "
         "words that are no known option are\nkeys and values, too. In "
         "scripts, write:\n  kvctl set -- \"$key\" \"$value\"\n"
         "\nExit codes:\n"
         "  0 success                    1 no such key, or a condition "
         "failed\n"
         "  2 usage                      3 kvd does not run, or is not ready\n"
         "  4 permission denied          5 no reply; the outcome is unknown\n"
         "  6 kvd answered an error      7 stored data is damaged\n"
         " 74 local input or output    130 interrupted\n"
         "\nkvctl COMMAND --help shows options and examples of a command.\n";
}

std::string VerbHelp(const VerbRow& row, const Declarations& declared) {
  std::string text =
      fmt::format("{}\nUsage: kvctl {} {}\n", row.summary, row.name, row.words);
  if (!declared.words.empty()) text += "\nArguments:\n";
  for (const DeclaredWord& word : declared.words) {
    text += Line(word.name, word.help);
  }
  return text + OptionLines(declared) + ExampleLines(row.examples) +
         "\nkvctl --help shows the options of all commands.\n";
}

}  // namespace kvctl
