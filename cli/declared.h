// SPDX-License-Identifier: MIT
//
// What a command line may hold: options and words, each with its help and a
// function that stores its value. Parsed by command_line.cc, shown by help.cc.
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

// A word that may be left out to read standard input instead.
struct WordOrInput {
  std::optional<std::string> word;
  bool asks_for_input = false;  // It was "-", before any "--".
  // When there is neither: the first option that is a single argument, if any.
  // A script may have meant it as the word.
  std::string option_instead;
};

struct DeclaredWord {
  enum class Count { kOne, kAtMostOne, kAny, kOneOrMore };

  std::string name;  // "KEY".
  std::string help;
  Count count;
  bool ends_options = false;  // After it nothing is an option.
  std::function<Attempt<void>(std::string_view)> set = {};
  WordOrInput* or_input = nullptr;  // Set when standard input may replace it.
};

struct Declarations {
  std::vector<DeclaredOption> options;
  std::vector<DeclaredWord> words;
};

}  // namespace kvctl
