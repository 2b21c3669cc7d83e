// SPDX-License-Identifier: MIT
#include "daemon/handling.h"

#include <limits>

#include "config/units.h"
#include "daemon/text.h"

namespace kvd {
namespace {

constexpr int64_t kInt64Max = std::numeric_limits<int64_t>::max();
constexpr int64_t kInt64Min = std::numeric_limits<int64_t>::min();

struct DeadlineOption {
  std::string_view word;
  TimeUnit unit;
  TimeBase base;
};

constexpr DeadlineOption kDeadlineOptions[] = {
    {"EX", TimeUnit::kSeconds, TimeBase::kNow},
    {"PX", TimeUnit::kMilliseconds, TimeBase::kNow},
    {"EXAT", TimeUnit::kSeconds, TimeBase::kEpoch},
    {"PXAT", TimeUnit::kMilliseconds, TimeBase::kEpoch},
};

using Condition = SetOptions::Condition;

// The condition at `*index`, which moves to its last word; kNone if there is
// another word.
std::optional<Condition> TakeCondition(Call& call, SetDialect dialect,
                                       size_t* index, SetOptions* options) {
  const std::string_view word = call.args[*index];
  const bool has_next = *index + 1 < call.args.size();
  if (IsWord(word, "NX")) return Condition::kNx;
  if (IsWord(word, "XX")) return Condition::kXx;
  if (IsWord(word, "IFEQ") && has_next) {
    options->expected = call.args[++*index];
    return Condition::kIfEq;
  }
  if (dialect == SetDialect::kKv && IsWord(word, "IFREV") && has_next) {
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
                   SetOptions* options) {
  const auto condition = TakeCondition(call, dialect, index, options);
  if (!condition) return false;
  if (*condition != Condition::kNone) {
    // The same one twice is harmless for the words without a value.
    const bool clash =
        options->condition != Condition::kNone &&
        (options->condition != *condition || *condition == Condition::kIfEq ||
         *condition == Condition::kIfRev);
    if (clash) call.reply.Error(kSyntaxError);
    options->condition = *condition;
    return !clash;
  }
  const std::string_view word = call.args[*index];
  if (dialect == SetDialect::kRedis && IsWord(word, "GET")) {
    options->get = true;
    return true;
  }
  if (IsWord(word, "KEEPTTL") && !options->deadline_ms) {
    options->keep_ttl = true;
    return true;
  }
  if (!options->keep_ttl && !options->deadline_ms) {
    switch (TakeDeadline(call, index, &options->deadline_ms)) {
      case DeadlineWord::kTaken:
        return true;
      case DeadlineWord::kError:
        return false;
      case DeadlineWord::kNone:
        break;
    }
  }
  call.reply.Error(kSyntaxError);
  return false;
}

}  // namespace

void ReplyLargeValue(Call& call, const Entry& entry, std::string_view value) {
  // A cold one is not the entry's: the command read it for itself.
  if (call.lent == nullptr || entry.is_cold()) return call.reply.Bulk(value);
  call.reply.BeginBulk(value.size());
  call.lent->push_back({call.reply.out()->size(), value, ValuePin(entry)});
  call.reply.EndBulk();
}

bool ValueFits(Call& call, uint64_t bytes) {
  const uint64_t limit = call.service.config.limits.value_bytes;
  if (bytes <= limit) return true;
  call.reply.Error(
      fmt::format("ERR string exceeds maximum allowed size (limits.value_size "
                  "is {})",
                  FormatSize(limit)));
  return false;
}

bool ReservePut(Call& call, std::string_view key, size_t value_size) {
  if (call.op->AdmitPut(key, value_size) != Room::kReady) return false;
  return call.op->Reserve(Operation::PutBytes(key.size(), value_size),
                          Purpose::kWrite) == Room::kReady;
}

bool ReserveRemoval(Call& call, std::string_view key) {
  return call.op->Reserve(Operation::RemoveBytes(key.size()),
                          Purpose::kRemoval) == Room::kReady;
}

std::optional<int64_t> IntegerWord(Call& call, size_t index) {
  const auto value = ParseInteger(call.args[index]);
  if (!value) call.reply.Error(kNotAnInteger);
  return value;
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

DeadlineWord TakeDeadline(Call& call, size_t* index,
                          std::optional<int64_t>* deadline_ms) {
  for (const DeadlineOption& option : kDeadlineOptions) {
    if (!IsWord(call.args[*index], option.word)) continue;
    if (*index + 1 == call.args.size()) return DeadlineWord::kNone;
    const auto value = IntegerWord(call, ++*index);
    if (!value) return DeadlineWord::kError;
    if (*value > 0) {
      *deadline_ms = DeadlineFrom(call, *value, option.unit, option.base);
      if (*deadline_ms) return DeadlineWord::kTaken;
    }
    InvalidExpireTime(call);
    return DeadlineWord::kError;
  }
  return DeadlineWord::kNone;
}

std::optional<SetOptions> ParseSetOptions(Call& call, SetDialect dialect) {
  SetOptions options;
  for (size_t i = 3; i < call.args.size(); ++i) {
    if (!TakeSetOption(call, dialect, &i, &options)) return std::nullopt;
  }
  return options;
}

bool ConditionHolds(Call& call, const SetOptions& options, const Entry* old) {
  switch (options.condition) {
    case Condition::kNone:
      return true;
    case Condition::kNx:
      return old == nullptr;
    case Condition::kXx:
      return old != nullptr;
    case Condition::kIfEq:
      return old != nullptr && call.op->Value(*old) == options.expected;
    case Condition::kIfRev:
      return options.expected_rev == (old == nullptr ? 0 : old->seq());
  }
  return false;
}

}  // namespace kvd
