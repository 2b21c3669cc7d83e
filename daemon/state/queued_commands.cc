// SPDX-License-Identifier: MIT
#include "daemon/state/queued_commands.h"

namespace kvd {

uint64_t QueuedCommands::BytesOf(std::span<const std::string_view> words) {
  // The list doubles when it grows.
  uint64_t bytes = 2 * sizeof(Queued);
  for (const std::string_view word : words) {
    bytes += word.size() + sizeof(size_t);
  }
  return bytes;
}

void QueuedCommands::Add(int row, std::span<const std::string_view> words,
                         bool writes) {
  if (aborted_) return;
  bytes_ += BytesOf(words);
  writes_ |= writes;
  commands_.push_back({row, KeptWords(words)});
}

void QueuedCommands::Abort() {
  commands_ = {};
  bytes_ = 0;
  writes_ = false;
  aborted_ = true;
}

}  // namespace kvd
