// SPDX-License-Identifier: MIT
#include "cli/records/resp_stream.h"

#include <fmt/format.h>
#include <strings.h>

#include <charconv>
#include <limits>

#include "cli/text.h"
#include "resp/reply_parser.h"

namespace kvctl {
namespace {

constexpr size_t kWordBytesShown = 40;

bool IsWord(std::string_view word, std::string_view upper) {
  return word.size() == upper.size() &&
         ::strncasecmp(word.data(), upper.data(), upper.size()) == 0;
}

std::optional<int64_t> ToNumber(std::string_view text) {
  int64_t number = 0;
  const char* last = text.data() + text.size();
  const auto [end, fault] = std::from_chars(text.data(), last, number);
  if (fault != std::errc() || end != last) return {};
  return number;
}

}  // namespace

RespStreamDecoder::RespStreamDecoder()
    : parser_({.bulk_bytes_max = kvd::kValueBytesMax,
               .command_bytes_max =
                   kvd::kValueBytesMax + kvd::kKeyBytesMax + 4096}) {}

DecodeOutcome RespStreamDecoder::Next(std::string_view input, bool is_end,
                                      Record* record) {
  consumed_ = 0;
  while (true) {
    const std::string_view rest = input.substr(consumed_);
    const kvd::ParseOutcome outcome = parser_.Next(rest);
    if (outcome != kvd::ParseOutcome::kError) {
      consumed_ += parser_.consumed();
    }
    place_.byte = bytes_ + 1;
    if (outcome == kvd::ParseOutcome::kError) {
      ++place_.record;
      return Fail(Escape(parser_.error()));
    }
    bytes_ += static_cast<int64_t>(parser_.consumed());
    if (outcome == kvd::ParseOutcome::kNeedMore) {
      if (!is_end || consumed_ == input.size()) return DecodeOutcome::kNeedMore;
      ++place_.record;
      return Fail("the input ends within a command");
    }
    if (IsWord(parser_.args()[0], "SELECT")) {
      if (!TakeSelect()) return DecodeOutcome::kError;
      continue;
    }
    ++place_.record;
    *record = Record();
    record->database = database_;
    return TakeSet(record) ? DecodeOutcome::kRecord : DecodeOutcome::kError;
  }
}

bool RespStreamDecoder::TakeSelect() {
  const auto words = parser_.args();
  const auto number = words.size() == 2 ? ToNumber(words[1]) : std::nullopt;
  if (!number || *number < 0) return Refuse("SELECT takes a database's number");
  database_ = *number;
  return true;
}

bool RespStreamDecoder::TakeSet(Record* record) {
  const auto words = parser_.args();
  if (!IsWord(words[0], "SET")) {
    return Refuse(fmt::format(
        "{} is no record; only SET and SELECT are. To send any commands:  "
        "redis-cli -s SOCKET --pipe",
        Quote(words[0].substr(0, kWordBytesShown))));
  }
  if (words.size() < 3) return Refuse("SET takes a key and a value");
  record->key = words[1];
  record->value = words[2];
  if (words.size() == 3) return true;
  return TakeDeadline(record);
}

bool RespStreamDecoder::TakeDeadline(Record* record) {
  const auto words = parser_.args();
  const bool seconds = IsWord(words[3], "EXAT");
  if ((!seconds && !IsWord(words[3], "PXAT")) || words.size() > 5) {
    return Refuse(fmt::format(
        "{} behind SET's value; a record has EXAT or PXAT there, or nothing",
        Quote(words[3].substr(0, kWordBytesShown))));
  }
  const auto number = words.size() == 5 ? ToNumber(words[4]) : std::nullopt;
  const int64_t unit = seconds ? 1000 : 1;
  if (!number || *number < 1 ||
      *number > std::numeric_limits<int64_t>::max() / unit) {
    return Refuse("no Unix time behind EXAT or PXAT");
  }
  record->expires_ms = *number * unit;
  return true;
}

bool RespStreamDecoder::Refuse(std::string why) {
  Fail(std::move(why));
  return false;
}

void RespStreamEncoder::Append(const Record& record, std::string* out) {
  const int64_t database = record.database.value_or(0);
  if (options_.databases && database != database_) {
    const std::string number = std::to_string(database);
    const std::string_view select[] = {"SELECT", number};
    kvd::AppendCommand(out, select);
    database_ = database;
  }
  if (!record.expires_ms) {
    const std::string_view set[] = {"SET", record.key, record.value};
    return kvd::AppendCommand(out, set);
  }
  const std::string deadline = std::to_string(*record.expires_ms);
  const std::string_view set[] = {"SET", record.key, record.value, "PXAT",
                                  deadline};
  kvd::AppendCommand(out, set);
}

}  // namespace kvctl
