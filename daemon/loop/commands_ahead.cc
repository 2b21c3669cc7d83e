// SPDX-License-Identifier: MIT
#include "daemon/loop/commands_ahead.h"

#include <functional>

namespace kvd {

bool CommandsAhead::ParseAhead(std::string_view input) {
  if (left() > 0 || ended_by_ != ParseOutcome::kCommand) return false;
  ahead_.clear();
  words_.clear();
  if (words_.capacity() > 16 * kWordsMax) words_.shrink_to_fit();
  given_ = 0;
  while (ahead_.size() < kCommandsMax && words_.size() < kWordsMax) {
    ended_by_ = parser_.Next(input);
    if (ended_by_ != ParseOutcome::kCommand) break;
    const std::span<const std::string_view> args = parser_.args();
    ahead_.push_back({words_.size(), args.size(), parser_.consumed(), {}});
    words_.insert(words_.end(), args.begin(), args.end());
    // The words of an inline command live in the parser until its next call.
    const char* word = args.front().data();
    const bool in_parser = std::less<>()(word, input.data()) ||
                           !std::less<>()(word, input.data() + input.size());
    input.remove_prefix(parser_.consumed());
    if (in_parser) break;
  }
  return !ahead_.empty();
}

ParseOutcome CommandsAhead::Next() {
  if (left() > 0) {
    ++given_;
    consumed_ = current().bytes;
    return ParseOutcome::kCommand;
  }
  const ParseOutcome outcome = ended_by_;
  consumed_ = outcome == ParseOutcome::kNeedMore ? parser_.consumed() : 0;
  // More input may come; after an error nothing makes sense any more.
  if (outcome == ParseOutcome::kNeedMore) ended_by_ = ParseOutcome::kCommand;
  return outcome;
}

}  // namespace kvd
