// SPDX-License-Identifier: MIT
//
// Commands parsed a few ahead of the one that runs. A pipelined client's next
// keys are then known early enough to fetch their index slots into the cache
// while earlier commands run: at a million keys those cache misses are a third
// of all the work.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "resp/command_parser.h"

namespace kvd {

// Gives commands out one by one, as CommandParser does. Thread: loop.
class CommandsAhead {
 public:
  explicit CommandsAhead(ParserLimits limits) : parser_(limits) {}

  // The next command. `input` begins after the consumed() bytes of the last
  // call; what was there before has not moved while commands are left() over.
  ParseOutcome Next(std::string_view input);

  // Of the command that Next() gave; see CommandParser.
  std::span<const std::string_view> args() const {
    return std::span(words_).subspan(current().first_word, current().words);
  }
  size_t consumed() const { return consumed_; }
  size_t bytes_wanted() const { return parser_.bytes_wanted(); }
  const std::string& error() const { return parser_.error(); }

  // Commands that were parsed together with the one that Next() gave.
  size_t together() const { return ahead_.size(); }
  // Whether the last Next() parsed anew, so that ForEach() has news.
  bool refilled() const { return refilled_; }
  // The second words of all commands that were parsed: mostly their keys.
  template <typename Each>
  void ForEachKey(Each each) const {
    for (const Parsed& parsed : ahead_) {
      if (parsed.words > 1) each(words_[parsed.first_word + 1]);
    }
  }

  static constexpr size_t kCommandsMax = 16;

 private:
  // A command with more words than this is parsed no further ahead of.
  static constexpr size_t kWordsMax = 256;

  struct Parsed {
    size_t first_word;
    size_t words;
    size_t bytes;
  };

  const Parsed& current() const { return ahead_[current_]; }
  void Refill(std::string_view input);

  CommandParser parser_;
  std::vector<Parsed> ahead_;
  std::vector<std::string_view> words_;
  size_t current_ = 0;
  size_t consumed_ = 0;
  bool refilled_ = false;
  // What came behind the parsed commands; kCommand when they filled the batch.
  ParseOutcome ended_by_ = ParseOutcome::kCommand;
};

}  // namespace kvd
