// SPDX-License-Identifier: MIT
#include "etcd/engine/names.h"

#include <fmt/format.h>

#include <charconv>

#include "base/coding.h"
#include "base/limits.h"
#include "store/memory/basics.h"

namespace kvd::etcd {
namespace {

constexpr char kPlain = '0';         // The value follows …
constexpr char kWithDeadline = '1';  // … behind 8 bytes.
constexpr size_t kDeadlineBytes = 8;

// Takes digits up to `end` off the front; as fmt writes them, so that no number
// has two names.
std::optional<uint64_t> TakeNumber(std::string_view* text, char end) {
  uint64_t number = 0;
  const char* const last = text->data() + text->size();
  const auto [rest, error] = std::from_chars(text->data(), last, number);
  if (error != std::errc() || rest == last || *rest != end) return std::nullopt;
  if (text->front() == '0' && rest != text->data() + 1) return std::nullopt;
  text->remove_prefix(static_cast<size_t>(rest - text->data()) + 1);
  return number;
}

std::string_view TakeWord(std::string_view* text) {
  const std::string_view word = text->substr(0, text->find(' '));
  text->remove_prefix(std::min(text->size(), word.size() + 1));
  return word;
}

// A word and two numbers that fit into int64_t, and nothing else.
struct WordAndNumbers {
  std::string word;
  uint64_t one = 0;
  uint64_t other = 0;
};
std::optional<WordAndNumbers> TakeWordAndNumbers(std::string_view bytes) {
  WordAndNumbers words;
  words.word = TakeWord(&bytes);
  std::string rest(bytes);
  std::string_view numbers = rest += ' ';
  const auto one = TakeNumber(&numbers, ' ');
  if (words.word.empty() || !one || *one > INT64_MAX) return std::nullopt;
  const auto other = TakeNumber(&numbers, ' ');
  if (!other || *other > INT64_MAX || !numbers.empty()) return std::nullopt;
  words.one = *one;
  words.other = *other;
  return words;
}

}  // namespace

std::string Names::DatabasePrefix(int database) const {
  return fmt::format("{}{}/", prefix_, database);
}

std::string Names::DataPrefix(int database, uint64_t generation) const {
  return Data(database, generation, "");
}

std::string Names::Data(int database, uint64_t generation,
                        std::string_view key) const {
  // For every key of every batch: by one allocation.
  const fmt::format_int number(database);
  const fmt::format_int of_it(generation);
  std::string name;
  name.reserve(prefix_.size() + number.size() + of_it.size() + 2 + key.size());
  name.append(prefix_).append(number.data(), number.size()) += '/';
  name.append(of_it.data(), of_it.size()) += '/';
  return name.append(key);
}

std::string Names::Generation(int database) const {
  return fmt::format("{}{}", GenerationPrefix(), database);
}

std::string Names::Sequence(std::string_view id) const {
  return SequencePrefix().append(id);
}

std::string Names::Beat(std::string_view id) const {
  return (prefix_ + "h/").append(id);
}

Name Names::Parse(std::string_view name) const {
  Name parsed;
  if (!name.starts_with(prefix_)) return parsed;
  name.remove_prefix(prefix_.size());
  if (name == "s/-") {
    parsed.kind = Name::Kind::kRemoval;
    return parsed;
  }
  if (name.starts_with("s/") || name.starts_with("h/")) {
    parsed.kind =
        name.front() == 's' ? Name::Kind::kSequence : Name::Kind::kBeat;
    parsed.key = name.substr(2);
    return parsed;
  }
  const bool is_generation = name.starts_with("g/");
  std::string ended(is_generation ? name.substr(2) : "");
  std::string_view digits = ended += '/';
  const auto database =
      is_generation ? TakeNumber(&digits, '/') : TakeNumber(&name, '/');
  if (!database || *database >= kDatabases) return parsed;
  parsed.database = static_cast<int>(*database);
  if (is_generation) {
    if (digits.empty()) parsed.kind = Name::Kind::kGeneration;
    return parsed;
  }
  const auto generation = TakeNumber(&name, '/');
  if (!generation || name.size() > kKeyBytesMax) return parsed;
  parsed.kind = Name::Kind::kData;
  parsed.generation = *generation;
  parsed.key = name;
  return parsed;
}

std::string EncodeValue(std::string_view value, uint64_t deadline_ms) {
  std::string bytes;
  bytes.reserve(1 + kDeadlineBytes + value.size());
  bytes += deadline_ms == 0 ? kPlain : kWithDeadline;
  if (deadline_ms != 0) AppendLe<uint64_t>(&bytes, deadline_ms);
  bytes += value;
  return bytes;
}

std::optional<StoredValue> DecodeValue(std::string_view bytes) {
  if (bytes.empty()) return std::nullopt;
  const char kind = bytes.front();
  bytes.remove_prefix(1);
  if (kind == kPlain) return StoredValue{bytes, 0};
  if (kind != kWithDeadline || bytes.size() < kDeadlineBytes) {
    return std::nullopt;
  }
  const auto deadline_ms = LoadLe<uint64_t>(bytes.data());
  if (deadline_ms == 0 || deadline_ms > INT64_MAX) return std::nullopt;
  return StoredValue{bytes.substr(kDeadlineBytes), deadline_ms};
}

std::string EncodeSequence(const Sequence& sequence) {
  return fmt::format("{} {} {}", sequence.nonce, sequence.number,
                     sequence.clock_ms);
}

std::optional<Sequence> DecodeSequence(std::string_view bytes) {
  const auto words = TakeWordAndNumbers(bytes);
  if (!words) return std::nullopt;
  return Sequence{words->word, words->one, static_cast<int64_t>(words->other)};
}

std::string EncodeBeat(const Beat& beat) {
  return fmt::format("{} {} {}", beat.nonce, beat.clock_ms, beat.revision);
}

std::optional<Beat> DecodeBeat(std::string_view bytes) {
  const auto words = TakeWordAndNumbers(bytes);
  if (!words) return std::nullopt;
  return Beat{words->word, static_cast<int64_t>(words->one),
              static_cast<int64_t>(words->other)};
}

}  // namespace kvd::etcd
