// SPDX-License-Identifier: MIT
//
// Bytes off a socket into both parsers of lib/resp. Beside not crashing, they
// must find the same in a whole input as in pieces of it: the first byte of the
// fuzzer's input seeds the sizes of the pieces.
#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "resp/command_parser.h"
#include "resp/number_line.h"
#include "resp/reply_parser.h"

namespace kvd {
namespace {

// Small, so that the fuzzer meets the limits.
constexpr ParserLimits kLimits = {.arguments_max = 64,
                                  .bulk_bytes_max = 512,
                                  .inline_bytes_max = 128,
                                  .command_bytes_max = 1024};

// Lines in pieces may be looked at again, at most this often.
constexpr uint64_t kWorkPerByteMax = kNumberLineBytesMax;

struct Commands {
  std::vector<std::vector<std::string>> commands;
  std::string error;
  bool operator==(const Commands&) const = default;
};

// Parses what a connection would receive. `next_size` gives the pieces' sizes.
template <typename NextSize>
Commands ParseCommands(std::string_view input, NextSize next_size) {
  Commands found;
  CommandParser parser(kLimits);
  size_t begin = 0;
  size_t end = 0;
  do {
    end += std::min(next_size(), input.size() - end);
    ParseOutcome outcome;
    do {
      // A copy: its end is the end of an allocation, and it moves.
      const std::string arrived(input.substr(begin, end - begin));
      outcome = parser.Next(arrived);
      if (outcome == ParseOutcome::kError) {
        KVD_CHECK(!parser.error().empty());
        found.error = parser.error();
        return found;
      }
      KVD_CHECK(parser.consumed() <= arrived.size());
      if (outcome == ParseOutcome::kCommand) {
        KVD_CHECK(!parser.args().empty() && parser.consumed() > 0);
        found.commands.emplace_back(parser.args().begin(), parser.args().end());
      }
      begin += parser.consumed();
    } while (outcome == ParseOutcome::kCommand);
  } while (end < input.size());
  KVD_CHECK(parser.bytes_examined() <= (input.size() + 1) * kWorkPerByteMax);
  return found;
}

bool Same(const Reply& a, const Reply& b) {
  if (a.type != b.type || a.text != b.text || a.integer != b.integer ||
      a.elements.size() != b.elements.size()) {
    return false;
  }
  for (size_t i = 0; i < a.elements.size(); ++i) {
    if (!Same(a.elements[i], b.elements[i])) return false;
  }
  return true;
}

struct Replies {
  std::vector<Reply> replies;
  std::string error;
};

template <typename NextSize>
Replies ParseReplies(std::string_view input, NextSize next_size) {
  Replies found;
  ReplyParser parser;
  size_t begin = 0;
  size_t end = 0;
  do {
    end += std::min(next_size(), input.size() - end);
    ReplyOutcome outcome;
    do {
      const std::string arrived(input.substr(begin, end - begin));
      outcome = parser.Next(arrived);
      if (outcome == ReplyOutcome::kError) {
        found.error = parser.error();
        return found;
      }
      KVD_CHECK(parser.consumed() <= arrived.size());
      if (outcome == ReplyOutcome::kReply) {
        found.replies.push_back(parser.TakeReply());
      }
      begin += parser.consumed();
    } while (outcome == ReplyOutcome::kReply);
  } while (end < input.size());
  return found;
}

void Check(uint8_t seed, std::string_view input) {
  const auto whole = [&] { return input.size(); };
  std::minstd_rand random(seed);
  const auto pieces = [&] { return size_t{1} + random() % 16; };

  KVD_CHECK(ParseCommands(input, whole) == ParseCommands(input, pieces));

  const Replies once = ParseReplies(input, whole);
  const Replies again = ParseReplies(input, pieces);
  KVD_CHECK(once.error == again.error);
  KVD_CHECK(once.replies.size() == again.replies.size());
  for (size_t i = 0; i < once.replies.size(); ++i) {
    KVD_CHECK(Same(once.replies[i], again.replies[i]));
  }
}

}  // namespace
}  // namespace kvd

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  kvd::Check(data[0], {reinterpret_cast<const char*>(data) + 1, size - 1});
  return 0;
}
