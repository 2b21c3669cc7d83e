// SPDX-License-Identifier: MIT
//
// What a line may hold: options and words, each with its help and with where
// its value goes. Parsed by command_line.cc, shown by help.cc.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/failure.h"

namespace kvctl {

struct DeclaredOption {
  std::vector<std::string> names;  // "-n", "--limit".
  std::string value_name;          // "N"; empty when it takes no value.
  std::string help;
  std::function<Attempt<void>(std::string_view)> set;
};

// A word in whose place standard input may stand.
struct WordOrInput {
  std::optional<std::string> word;
  bool asks_for_input = false;  // It was "-", before any "--".
  // When there is neither: an option that is a single argument, if any. Perhaps
  // a script meant it to be a word.
  std::string option_instead;
};

struct DeclaredWord {
  enum class Count { kOne, kAtMostOne, kAny, kOneOrMore };

  std::string name;  // "KEY".
  std::string help;
  Count count;
  bool ends_options = false;  // Behind it nothing is an option any more.
  std::function<Attempt<void>(std::string_view)> set = {};
  WordOrInput* or_input = nullptr;  // Where standard input may stand instead.
};

struct Declarations {
  std::vector<DeclaredOption> options;
  std::vector<DeclaredWord> words;
};

}  // namespace kvctl
