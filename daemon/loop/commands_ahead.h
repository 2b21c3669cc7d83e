// SPDX-License-Identifier: MIT
//
// Commands parsed a few ahead of the one that runs, so that the cache misses of
// their keys overlap (keys_ahead.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "resp/command_parser.h"

namespace kvd {

// Gives commands out one by one, as CommandParser does. Thread: loop.
class CommandsAhead {
 public:
  explicit CommandsAhead(ParserLimits limits) : parser_(limits) {}

  // Parses commands if none is left() and the last one is done with; false
  // when there are no new ones. `input` begins after the consumed() bytes of
  // the last Next() and must not move while commands are left().
  bool ParseAhead(std::string_view input);
  // The next command, or what came behind those that were parsed.
  ParseOutcome Next();

  // Of the command that Next() gave; see CommandParser.
  std::span<const std::string_view> args() const {
    return std::span(words_).subspan(current().first_word, current().words);
  }
  // What HashKeys() was told of it; nothing if it has one word.
  std::optional<uint64_t> key_hash() const { return current().key_hash; }
  size_t consumed() const { return consumed_; }
  size_t bytes_wanted() const { return parser_.bytes_wanted(); }
  const std::string& error() const { return parser_.error(); }

  // What it keeps beside the input: views of words, and an inline command's.
  size_t memory_bytes() const {
    return words_.capacity() * sizeof(words_[0]) +
           ahead_.capacity() * sizeof(ahead_[0]) + parser_.memory_bytes();
  }

  // Commands that were parsed and that Next() has not given.
  size_t left() const { return ahead_.size() - given_; }
  // Commands that the last ParseAhead() parsed together.
  size_t together() const { return ahead_.size(); }
  // Calls `hash` with their second words, which mostly are their keys, and
  // keeps what it returns for key_hash().
  template <typename Hash>
  void HashKeys(Hash hash) {
    for (Parsed& parsed : ahead_) {
      if (parsed.words > 1) {
        parsed.key_hash = hash(words_[parsed.first_word + 1]);
      }
    }
  }

  static constexpr size_t kCommandsMax = 16;

 private:
  // With this many words parsed no further command is parsed ahead.
  static constexpr size_t kWordsMax = 256;

  struct Parsed {
    size_t first_word;
    size_t words;
    size_t bytes;
    std::optional<uint64_t> key_hash;
  };

  const Parsed& current() const { return ahead_[given_ - 1]; }

  CommandParser parser_;
  std::vector<Parsed> ahead_;
  std::vector<std::string_view> words_;
  size_t given_ = 0;  // Of the commands in ahead_.
  size_t consumed_ = 0;
  // What came behind the parsed commands; kCommand when they filled the batch.
  ParseOutcome ended_by_ = ParseOutcome::kCommand;
};

}  // namespace kvd
