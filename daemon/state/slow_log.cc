// SPDX-License-Identifier: MIT
#include "daemon/state/slow_log.h"

#include <fmt/format.h>

#include <iterator>

#include "daemon/state/session.h"

namespace kvd {
namespace {

// Words behind those that are shortened, with numbers of ten digits.
constexpr size_t kNoteBytesMax = sizeof("... (1234567890 more arguments)");
static_assert(sizeof(SlowLog::Entry) + kClientNameBytesMax +
                  SlowLog::kWordsMax * (SlowLog::kWordBytesMax + kNoteBytesMax +
                                        sizeof(uint16_t)) <=
              SlowLog::kEntryBytesMax);

void AppendShortened(std::string_view word, std::string* text) {
  text->append(word.substr(0, SlowLog::kWordBytesMax));
  if (word.size() <= SlowLog::kWordBytesMax) return;
  fmt::format_to(std::back_inserter(*text), "... ({} more bytes)",
                 word.size() - SlowLog::kWordBytesMax);
}

void AppendWords(std::span<const std::string_view> words,
                 SlowLog::Entry* entry) {
  const bool all = words.size() <= SlowLog::kWordsMax;
  const auto end_word = [entry] {
    entry->word_ends.push_back(static_cast<uint16_t>(entry->text.size()));
  };
  for (const std::string_view word :
       words.first(all ? words.size() : SlowLog::kWordsMax - 1)) {
    AppendShortened(word, &entry->text);
    end_word();
  }
  if (all) return;
  fmt::format_to(std::back_inserter(entry->text), "... ({} more arguments)",
                 words.size() - entry->word_ends.size());
  end_word();
}

}  // namespace

SlowLog::Entry SlowLog::EntryOf(int64_t unix_s, int64_t us,
                                std::span<const std::string_view> words,
                                std::string_view client_name) {
  Entry entry{0, unix_s, us, 0, std::string(client_name), {}, {}};
  AppendWords(words, &entry);
  entry.text.shrink_to_fit();
  entry.word_ends.shrink_to_fit();
  return entry;
}

void SlowLog::Add(Entry entry, Seq seq) {
  if (length_ == 0) return;
  entry.id = next_id_++;
  entry.seq = seq;
  memory_bytes_ += entry.memory_bytes();
  entries_.push_front(std::move(entry));
  DropOldest();
}

void SlowLog::set_length(int64_t length) {
  length_ = static_cast<size_t>(length);
  DropOldest();
}

void SlowLog::DropOldest() {
  while (entries_.size() > length_) {
    memory_bytes_ -= entries_.back().memory_bytes();
    entries_.pop_back();
  }
}

void SlowLog::Clear() {
  entries_.clear();
  memory_bytes_ = 0;
}

}  // namespace kvd
