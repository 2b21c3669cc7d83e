// SPDX-License-Identifier: MIT
#include "daemon/state/queued_commands.h"

#include <utility>

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
  size_t size = 0;
  for (const std::string_view word : words) size += word.size();
  Queued queued{row, {}, {}};
  queued.text.reserve(size);
  queued.ends.reserve(words.size());
  for (const std::string_view word : words) {
    queued.text.append(word);
    queued.ends.push_back(queued.text.size());
  }
  bytes_ += BytesOf(words);
  writes_ |= writes;
  commands_.push_back(std::move(queued));
}

void QueuedCommands::Abort() {
  commands_ = {};
  bytes_ = 0;
  writes_ = false;
  aborted_ = true;
}

void QueuedCommands::Words(size_t index,
                           std::vector<std::string_view>* words) const {
  const Queued& queued = commands_[index];
  words->clear();
  size_t begin = 0;
  for (const size_t end : queued.ends) {
    words->push_back(std::string_view(queued.text).substr(begin, end - begin));
    begin = end;
  }
}

}  // namespace kvd
