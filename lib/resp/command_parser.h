// SPDX-License-Identifier: MIT
//
// Bytes of a client become commands: RESP arrays of bulk strings, and inline
// commands for a person with a terminal. Source: the Redis serialization
// protocol specification; error texts and inline quoting are Redis's.
//
// Where Redis is lenient about framing (it skips the two bytes after a length
// or a bulk string unseen), this parser refuses: a client that miscounts its
// value must get an error, not store something else.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/limits.h"

namespace kvd {

// What one command may cost. All bounds are inclusive.
struct ParserLimits {
  size_t arguments_max = 1024 * 1024;
  size_t bulk_bytes_max = kValueBytesMax;
  // The line of an inline command, without its end.
  size_t inline_bytes_max = 64 * 1024;
  // A command as it is on the wire, lengths and line ends included.
  size_t command_bytes_max = 1024 * 1024 * 1024;
};

enum class ParseOutcome {
  kCommand,   // args() holds the next command, never an empty one.
  kNeedMore,  // The rest has not arrived.
  kError,     // error() says why; the connection cannot go on.
};

// An incremental parser with no buffer of its own: the caller owns the input
// and may move it between calls. A command that arrives in many pieces costs
// time linear in its size, and memory grows with what has arrived, never with
// a length that was announced.
//
//   while (true) {
//     const ParseOutcome outcome = parser.Next(input);
//     if (outcome == ParseOutcome::kError) return Refuse(parser.error());
//     if (outcome == ParseOutcome::kCommand) Execute(parser.args());
//     input.remove_prefix(parser.consumed());   // After kNeedMore as well.
//     if (outcome == ParseOutcome::kNeedMore) return KeepForLater(input);
//   }
//
// Thread: one at a time.
class CommandParser {
 public:
  explicit CommandParser(ParserLimits limits) : limits_(limits) {}

  // Parses the next command. `input` begins where the last call left off, that
  // is after the consumed() bytes of the last call's input, and holds
  // everything received since. After kError the parser must not be used again.
  ParseOutcome Next(std::string_view input);

  // The bytes of the last input that the caller must drop. After kCommand: the
  // command and what was skipped before it. After kNeedMore: empty commands
  // that were skipped, usually 0.
  size_t consumed() const { return consumed_; }

  // The command's words. Those of an array are views into the last input, those
  // of an inline command live in the parser until the next call of Next.
  std::span<const std::string_view> args() const { return args_; }

  // After kNeedMore: how many further bytes end the bulk string that has begun,
  // a hint for the size of the next read; 0 when that is not known. The client
  // announced it: cap it before use.
  size_t bytes_wanted() const { return bytes_wanted_; }

  // After kError: the text of the reply, "Protocol error: …". It may quote a
  // byte of the input, of any value.
  const std::string& error() const { return error_; }

  // Memory that it holds for the command: where each word is, and an inline
  // command's bytes.
  size_t memory_bytes() const {
    return words_.capacity() * sizeof(words_[0]) +
           args_.capacity() * sizeof(args_[0]) + inline_bytes_.capacity();
  }

  // The bytes looked at since the start, bodies of bulk strings excepted: tests
  // assert that this is linear in the input.
  uint64_t bytes_examined() const { return bytes_examined_; }

 private:
  // A part of the current command. Not a view: the input may move.
  struct Slice {
    size_t offset;
    size_t size;
  };
  enum class Step { kCommand, kSkipped, kNeedMore, kError };

  bool ReadWholeArray(std::string_view command);
  Step ReadArray(std::string_view command);
  Step ReadArraySize(std::string_view command);
  Step ReadBulkSize(std::string_view command);
  Step ReadInline(std::string_view command);
  bool SplitInline(std::string_view line);
  void ViewArguments(const char* base);
  void StartCommand();
  Step Fail(std::string_view text);

  ParserLimits limits_;

  // Where the current command stands. Offsets count from its first byte.
  size_t position_ = 0;        // What is before it is understood.
  size_t arguments_left_ = 0;  // Not 0 once the array's size is read.
  size_t bulk_bytes_ = 0;
  bool in_bulk_ = false;      // bulk_bytes_ is that of the current argument.
  std::vector<Slice> words_;  // Of the command, or of inline_bytes_.
  std::string inline_bytes_;  // An inline command's words without quotes.

  // What the last call found.
  size_t consumed_ = 0;
  size_t bytes_wanted_ = 0;
  std::vector<std::string_view> args_;
  std::string error_;

  uint64_t bytes_examined_ = 0;
};

}  // namespace kvd
