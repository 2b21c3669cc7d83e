// SPDX-License-Identifier: MIT
#include "daemon/slow_log.h"

#include <fmt/format.h>

#include <utility>

namespace kvd {
namespace {

std::string Shortened(std::string_view word) {
  if (word.size() <= SlowLog::kWordBytesMax) return std::string(word);
  return fmt::format("{}... ({} more bytes)",
                     word.substr(0, SlowLog::kWordBytesMax),
                     word.size() - SlowLog::kWordBytesMax);
}

std::vector<std::string> Shortened(std::span<const std::string_view> words) {
  const bool all = words.size() <= SlowLog::kWordsMax;
  std::vector<std::string> kept;
  for (const std::string_view word :
       words.first(all ? words.size() : SlowLog::kWordsMax - 1)) {
    kept.push_back(Shortened(word));
  }
  if (!all) {
    kept.push_back(
        fmt::format("... ({} more arguments)", words.size() - kept.size()));
  }
  return kept;
}

}  // namespace

void SlowLog::Add(int64_t unix_s, int64_t us,
                  std::span<const std::string_view> words,
                  std::string client_address, std::string client_name) {
  if (length_ == 0) return;
  entries_.push_front({next_id_++, unix_s, us, Shortened(words),
                       std::move(client_address), std::move(client_name)});
  if (entries_.size() > length_) entries_.pop_back();
}

}  // namespace kvd
