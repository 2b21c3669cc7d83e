// SPDX-License-Identifier: MIT
//
// A program's arguments, told apart into options and words. A word reaches the
// program byte by byte as it was given; there is no other grammar than this:
//
//   --name VALUE, --name=VALUE, -n VALUE, -nVALUE   an option with a value,
//                                                   whatever the value is
//   --name, -n                                      an option without one
//   --                                              all that follows are words
//
// An argument is an option only if its name is known. Everything else is a
// word, "-", "-1" and "--unknown" included.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/error.h"

namespace kvd {

// "--ttl" or "-n".
struct OptionName {
  std::string_view name;
  bool takes_value;
};

struct Argument {
  static constexpr size_t kWord = SIZE_MAX;

  size_t option = kWord;  // Its index among the known ones.
  std::string_view text;  // The word, or the option's value.
  // The word comes after "--", so it cannot be a mistyped option.
  bool after_dashes = false;
  // The option is a single argument: a script may have meant it as a word.
  bool alone = false;

  bool is_word() const { return option == kWord; }
};

// Goes through main()'s arguments, which must outlive it and what it returns.
class ArgumentScanner {
 public:
  ArgumentScanner(int argc, const char* const* argv)
      : arguments_(argv, static_cast<size_t>(argc)) {}

  bool at_end() const { return next_ >= arguments_.size(); }

  // The next one; there must be one. Errors: an option whose value is missing
  // or empty, a value for an option that takes none, and "--" with nothing
  // after it, since a word would be lost silently.
  Result<Argument> Next(std::span<const OptionName> known);

  // All that follow are words, "--" included.
  void EndOptions() { options_ended_ = true; }

 private:
  Result<Argument> TakeOption(size_t option, const OptionName& name,
                              std::string_view rest);

  std::span<const char* const> arguments_;
  size_t next_ = 1;  // The first is the program's name.
  bool options_ended_ = false;
};

// Whether a word is written like a long option: "--a…".
bool LooksLikeOption(std::string_view word);

}  // namespace kvd
