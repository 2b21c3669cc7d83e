// SPDX-License-Identifier: MIT
#include "daemon/commands/support.h"

#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <utility>

#include "base/check.h"
#include "base/checksum.h"
#include "config/units.h"
#include "daemon/commands/text.h"

namespace kvd {
namespace {

constexpr int64_t kInt64Max = std::numeric_limits<int64_t>::max();
constexpr int64_t kInt64Min = std::numeric_limits<int64_t>::min();

constexpr DeadlineOption kDeadlineOptions[] = {
    {"EX", TimeUnit::kSeconds, TimeBase::kNow, {}},
    {"PX", TimeUnit::kMilliseconds, TimeBase::kNow, {}},
    {"EXAT", TimeUnit::kSeconds, TimeBase::kEpoch, {}},
    {"PXAT", TimeUnit::kMilliseconds, TimeBase::kEpoch, {}},
};

using Condition = SetOptions::Condition;

struct Comparison {
  std::string_view word;
  Condition condition;
};
constexpr Comparison kComparisons[] = {{"IFEQ", Condition::kIfEq},
                                       {"IFNE", Condition::kIfNe},
                                       {"IFDEQ", Condition::kIfDeq},
                                       {"IFDNE", Condition::kIfDne}};

// As many hex digits as a digest has.
constexpr size_t kDigestBytes = 16;

// The condition at `*index`, which moves to its last word; kNone if there is
// another word.
std::optional<Condition> TakeCondition(Call& call, SetDialect dialect,
                                       size_t* index, SetOptions* options) {
  const std::string_view word = call.args[*index];
  const bool has_next = *index + 1 < call.args.size();
  if (IsWord(word, "NX")) return Condition::kNx;
  if (IsWord(word, "XX")) return Condition::kXx;
  if (dialect == SetDialect::kMany || !has_next) return Condition::kNone;
  if (const auto comparison = ComparisonOf(word)) {
    options->expected = call.args[++*index];
    return comparison;
  }
  if (dialect == SetDialect::kKv && IsWord(word, "IFREV")) {
    const auto revision = ParseUnsigned(call.args[++*index]);
    if (!revision) {
      call.reply.Error(kNotAnInteger);
      return std::nullopt;
    }
    options->expected_rev = *revision;
    return Condition::kIfRev;
  }
  return Condition::kNone;
}

// One option at `*index`, which moves to its last word. False after an error
// reply.
bool TakeSetOption(Call& call, SetDialect dialect, size_t* index,
                   SetOptions* options, DeadlineOption* deadline) {
  const auto condition = TakeCondition(call, dialect, index, options);
  if (!condition) return false;
  if (*condition != Condition::kNone) {
    // The same one twice is harmless for the words without a value.
    const bool clash =
        options->condition != Condition::kNone &&
        (options->condition != *condition ||
         (*condition != Condition::kNx && *condition != Condition::kXx));
    if (clash) call.reply.Error(kSyntaxError);
    options->condition = *condition;
    return !clash;
  }
  const std::string_view word = call.args[*index];
  if (dialect == SetDialect::kRedis && IsWord(word, "GET")) {
    options->get = true;
    return true;
  }
  if (IsWord(word, "KEEPTTL") && !deadline->given()) {
    options->keep_ttl = true;
    return true;
  }
  if (!options->keep_ttl && TakeDeadline(call, index, deadline)) return true;
  call.reply.Error(kSyntaxError);
  return false;
}

}  // namespace

void ReplyLargePart(Call& call, const Entry& entry, std::string_view part) {
  if (call.lent == nullptr) return call.reply.Bulk(part);
  if (call.reply.BeginBulk(part.size())) {
    LentValue lent = {call.reply.out()->size(), part, LentValue::Kept()};
    // A cold one is not the entry's: the command read it for itself, and
    // Execute() sees to it that it stays.
    if (!entry.is_cold()) lent.owner.emplace<ValuePin>(entry);
    call.lent->push_back(std::move(lent));
  }
  call.reply.EndBulk();
}

void ReplyChunks(Call& call, const Listing& listing) {
  if (!call.reply.Claim(listing.bytes())) return;
  std::string* out = call.reply.out();
  for (const Listing::Chunk& chunk : listing.chunks()) {
    const std::string_view text = *chunk;
    if (call.lent == nullptr || text.size() < kLentBytesMin) {
      out->append(text);
      continue;
    }
    // What is lent belongs before some text: the last line end.
    const size_t size = text.size() - 2;
    call.lent->push_back({out->size(), text.substr(0, size), chunk});
    out->append(text.substr(size));
  }
}

bool AnswersUnblocked(Call& call) {
  const auto how =
      std::exchange(call.session.unblocked, Session::Unblocked::kNo);
  if (how != Session::Unblocked::kWithError) return false;
  call.reply.Error("UNBLOCKED client unblocked via CLIENT UNBLOCK");
  return true;
}

bool HasLog(Call& call) {
  if (call.service.batches == nullptr) return true;
  call.reply.Error(
      "ERR the data is in etcd, so kvd has no log to compact. Let etcd compact "
      "its own history: start it with --auto-compaction-retention, or run "
      "\"etcdctl compact\"");
  return false;
}

void ReplyLines(Call& call, std::span<const std::string_view> lines) {
  call.reply.ArrayHeader(lines.size());
  for (const std::string_view line : lines) call.reply.SimpleString(line);
}

void ReplyText(Call& call, std::string text) {
  if (call.lent == nullptr || text.size() < kLentBytesMin) {
    return call.reply.VerbatimText(text);
  }
  const auto kept = std::make_shared<const std::string>(std::move(text));
  if (call.reply.BeginVerbatimText(kept->size())) {
    call.lent->push_back({call.reply.out()->size(), *kept, kept});
  }
  call.reply.EndBulk();
}

bool ValueFits(Call& call, uint64_t bytes) {
  const uint64_t limit = call.service.config.limits.value_bytes;
  if (bytes <= limit) return HasTransactionRoom(call, bytes);
  call.reply.Error(
      fmt::format("ERR string exceeds maximum allowed size (limits.value_size "
                  "is {})",
                  FormatSize(limit)));
  return false;
}

bool ReservePut(Call& call, std::string_view key, size_t value_size,
                int64_t deadline_ms) {
  const uint64_t bytes = Operation::PutBytes(key.size(), value_size);
  if (!HasTransactionRoom(call, bytes)) return false;
  if (call.op->AdmitPut(key, value_size, deadline_ms) != Room::kReady) {
    return false;
  }
  return call.op->Reserve(bytes, Purpose::kWrite) == Room::kReady;
}

bool ReserveRemoval(Call& call, std::string_view key) {
  return call.op->Reserve(Operation::RemoveBytes(key.size()),
                          Purpose::kRemoval) == Room::kReady;
}

NewValue::NewValue(size_t size)
    : size_(size), bytes_(static_cast<char*>(std::calloc(size, 1))) {
  KVD_CHECK(bytes_ != nullptr || size == 0);
}

void NewValue::Write(size_t at, std::string_view part) {
  if (!part.empty()) std::memcpy(bytes_.get() + at, part.data(), part.size());
}

std::optional<int64_t> IntegerWord(Call& call, size_t index) {
  const auto value = ParseInteger(call.args[index]);
  if (!value) call.reply.Error(kNotAnInteger);
  return value;
}

std::optional<int64_t> TimeoutWord(Call& call, size_t index) {
  const auto timeout_ms = ParseInteger(call.args[index]);
  if (!timeout_ms) {
    call.reply.Error("ERR timeout is not an integer or out of range");
    return std::nullopt;
  }
  if (*timeout_ms < 0) {
    call.reply.Error("ERR timeout is negative");
    return std::nullopt;
  }
  return timeout_ms;
}

std::optional<Glob> PatternWord(Call& call, size_t index, bool ignore_case) {
  auto glob = Glob::Compile(call.args[index], ignore_case);
  if (!glob) {
    call.reply.Error(fmt::format("ERR pattern is too long (maximum {} bytes)",
                                 Glob::kPatternBytesMax));
  }
  return glob;
}

std::optional<int64_t> DeadlineFrom(const Call& call, int64_t value,
                                    TimeUnit unit, TimeBase base) {
  if (unit == TimeUnit::kSeconds) {
    if (value > kInt64Max / 1000 || value < kInt64Min / 1000) {
      return std::nullopt;
    }
    value *= 1000;
  }
  if (base == TimeBase::kEpoch) return value;
  if (value > kInt64Max - call.op->now_ms()) return std::nullopt;
  return value + call.op->now_ms();
}

void InvalidExpireTime(Call& call) {
  call.reply.Error(fmt::format("ERR invalid expire time in '{}' command",
                               LowerCase(call.args[0])));
}

bool TakeDeadline(const Call& call, size_t* index, DeadlineOption* option) {
  for (const DeadlineOption& known : kDeadlineOptions) {
    if (!IsWord(call.args[*index], known.word)) continue;
    if (*index + 1 == call.args.size()) return false;
    if (option->given() && option->word != known.word) return false;
    *option = known;
    option->number = call.args[++*index];
    return true;
  }
  return false;
}

std::optional<int64_t> ParseDeadline(Call& call, const DeadlineOption& option) {
  if (!option.given()) return 0;
  const auto number = ParseInteger(option.number);
  if (!number) {
    call.reply.Error(kNotAnInteger);
    return std::nullopt;
  }
  if (*number > 0) {
    const auto deadline_ms =
        DeadlineFrom(call, *number, option.unit, option.base);
    if (deadline_ms) return deadline_ms;
  }
  InvalidExpireTime(call);
  return std::nullopt;
}

std::optional<SetOptions> ParseSetOptions(Call& call, SetDialect dialect,
                                          size_t first) {
  SetOptions options;
  DeadlineOption deadline;
  for (size_t i = first; i < call.args.size(); ++i) {
    if (!TakeSetOption(call, dialect, &i, &options, &deadline)) {
      return std::nullopt;
    }
  }
  const auto deadline_ms = ParseDeadline(call, deadline);
  if (!deadline_ms) return std::nullopt;
  options.deadline_ms = *deadline_ms;
  return options;
}

std::optional<Condition> ComparisonOf(std::string_view word) {
  for (const Comparison& comparison : kComparisons) {
    if (IsWord(word, comparison.word)) return comparison.condition;
  }
  return std::nullopt;
}

std::optional<bool> ConditionHolds(Call& call, const SetOptions& options,
                                   const Entry* old) {
  const std::string_view expected = options.expected;
  switch (options.condition) {
    case Condition::kNone:
      return true;
    case Condition::kNx:
      return old == nullptr;
    case Condition::kXx:
      return old != nullptr;
    case Condition::kIfEq:
      return old != nullptr && call.op->Value(*old) == expected;
    case Condition::kIfNe:
      return old == nullptr || call.op->Value(*old) != expected;
    case Condition::kIfDeq:
    case Condition::kIfDne: {
      const bool wants_same = options.condition == Condition::kIfDeq;
      if (old == nullptr) return !wants_same;
      if (expected.size() != kDigestBytes) {
        call.reply.Error(fmt::format(
            "ERR must be exactly {} hexadecimal characters", kDigestBytes));
        return std::nullopt;
      }
      return SameWord(expected, DigestOf(call.op->Value(*old))) == wants_same;
    }
    case Condition::kIfRev:
      return options.expected_rev == (old == nullptr ? 0 : old->seq());
  }
  return false;
}

std::string DigestOf(std::string_view value) {
  return fmt::format("{:016x}", Checksum(value, /*seed=*/0));
}

}  // namespace kvd
