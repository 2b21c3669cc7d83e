// SPDX-License-Identifier: MIT
//
// Commands that read and write values.
#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/strings/lcs.h"
#include "daemon/commands/handlers.h"
#include "daemon/commands/support.h"
#include "daemon/commands/text.h"

namespace kvd {
namespace {

// Of one LCS: at most some 35 ms of the loop, most of them for its 32 MiB of
// memory.
constexpr uint64_t kLcsStepsMax = uint64_t{4} << 20;

void ReplyValueOrNull(Call& call, const Entry* entry) {
  if (entry == nullptr) {
    call.reply.Null();
  } else {
    ReplyValue(call, *entry);
  }
}

// Puts `value`, whose size is checked, with `deadline_ms`; false if there is no
// room.
bool PutChecked(Call& call, std::string_view key, std::string_view value,
                int64_t deadline_ms, KeyEvent event) {
  if (!ReservePut(call, key, value.size(), deadline_ms)) return false;
  call.op->Put(key, value, deadline_ms, event);
  return true;
}

void SetWithDeadline(Call& call, TimeUnit unit) {
  const auto time = IntegerWord(call, 2);
  if (!time) return;
  const auto deadline_ms = *time > 0
                               ? DeadlineFrom(call, *time, unit, TimeBase::kNow)
                               : std::nullopt;
  if (!deadline_ms) return InvalidExpireTime(call);
  if (!ValueFits(call, call.args[3].size())) return;
  if (!PutChecked(call, call.args[1], call.args[3], *deadline_ms,
                  KeyEvent::kSetWithDeadline)) {
    return;
  }
  call.reply.Ok();
}

void AddInteger(Call& call, int64_t delta) {
  const Entry* old = call.op->Find(call.args[1]);
  const auto before = old == nullptr ? std::optional<int64_t>(0)
                                     : ParseInteger(call.op->Value(*old));
  if (!before) return call.reply.Error(kNotAnInteger);
  int64_t after = 0;
  if (__builtin_add_overflow(*before, delta, &after)) {
    return call.reply.Error("ERR increment or decrement would overflow");
  }
  const fmt::format_int digits(after);
  if (!PutChecked(call, call.args[1], {digits.data(), digits.size()},
                  DeadlineOf(old), KeyEvent::kIncrBy)) {
    return;
  }
  call.reply.Integer(after);
}

void WrongNumberOfWords(Call& call) {
  call.reply.Error(fmt::format("ERR wrong number of arguments for '{}' command",
                               LowerCase(call.args[0])));
}

using Words = std::span<const std::string_view>;

uint64_t PairsBytes(const Words& pairs) {
  uint64_t bytes = 0;
  for (size_t i = 0; i < pairs.size(); i += 2) {
    bytes += Operation::PutBytes(pairs[i].size(), pairs[i + 1].size());
  }
  return bytes;
}

// Whether the values of these keys and values fit; answers an error if not.
bool ValuesFit(Call& call, const Words& pairs) {
  for (size_t i = 1; i < pairs.size(); i += 2) {
    if (!ValueFits(call, pairs[i].size())) return false;
  }
  return true;
}

// Whether the words after the name are pairs with values that fit.
bool PairsFit(Call& call) {
  if (call.args.size() % 2 != 0) {
    return ValuesFit(call, call.args.subspan(1));
  }
  WrongNumberOfWords(call);
  return false;
}

// Puts all, each with the deadline that `deadline_of` says; false if there is
// no room.
template <typename DeadlineOfKey>
bool PutPairs(Call& call, const Words& pairs, KeyEvent event,
              DeadlineOfKey deadline_of) {
  const uint64_t bytes = PairsBytes(pairs);
  if (!HasTransactionRoom(call, bytes)) return false;
  for (size_t i = 0; i < pairs.size(); i += 2) {
    if (call.op->AdmitPut(pairs[i], pairs[i + 1].size(),
                          deadline_of(pairs[i])) != Room::kReady) {
      return false;
    }
  }
  if (call.op->Reserve(bytes, Purpose::kWrite) != Room::kReady) return false;
  for (size_t i = 0; i < pairs.size(); i += 2) {
    call.op->Put(pairs[i], pairs[i + 1], deadline_of(pairs[i]), event);
  }
  return true;
}

bool PutPairs(Call& call) {
  return PutPairs(call, call.args.subspan(1), KeyEvent::kSet,
                  [](std::string_view) { return int64_t{0}; });
}

// How many pairs MSETEX says there are; nothing after an error reply.
std::optional<size_t> CountedPairs(Call& call) {
  const auto count = ParseInteger(call.args[1]);
  if (!count || *count <= 0 || *count > std::numeric_limits<int32_t>::max()) {
    call.reply.Error("ERR invalid numkeys value");
    return std::nullopt;
  }
  const auto pairs = static_cast<size_t>(*count);
  if (pairs > (call.args.size() - 2) / 2) {
    call.reply.Error("ERR wrong number of key-value pairs");
    return std::nullopt;
  }
  return pairs;
}

// Whether NX or XX holds for all keys of these pairs.
bool HoldsForAll(Call& call, const SetOptions& options, const Words& pairs) {
  if (options.condition == SetOptions::Condition::kNone) return true;
  for (size_t i = 0; i < pairs.size(); i += 2) {
    const Entry* old = call.op->Find(pairs[i]);
    if (!ConditionHolds(call, options, old).value_or(false)) return false;
  }
  return true;
}

struct LcsOptions {
  bool length = false;
  bool runs = false;
  bool run_lengths = false;
  int64_t run_length_min = 0;
};

// The words from the fourth on; nothing after an error reply.
std::optional<LcsOptions> ParseLcsOptions(Call& call) {
  LcsOptions options;
  for (size_t i = 3; i < call.args.size(); ++i) {
    const std::string_view word = call.args[i];
    if (IsWord(word, "LEN")) {
      options.length = true;
    } else if (IsWord(word, "IDX")) {
      options.runs = true;
    } else if (IsWord(word, "WITHMATCHLEN")) {
      options.run_lengths = true;
    } else if (IsWord(word, "MINMATCHLEN") && i + 1 < call.args.size()) {
      const auto least = IntegerWord(call, ++i);
      if (!least) return std::nullopt;
      options.run_length_min = *least;
    } else {
      call.reply.Error(kSyntaxError);
      return std::nullopt;
    }
  }
  if (options.length && options.runs) {
    call.reply.Error(
        "ERR If you want both the length and indexes, please just use IDX.");
    return std::nullopt;
  }
  return options;
}

// Whether nobody waits too long for it; answers an error if somebody would.
bool LcsFits(Call& call, size_t a_size, size_t b_size) {
  if (LcsSteps(a_size, b_size) <= kLcsStepsMax) return true;
  call.reply.Error(fmt::format(
      "ERR String too long for LCS: the values have {} and {} bytes, and the "
      "product of the two may be {} (less than 64 bytes count as 64). Take "
      "parts of them",
      a_size, b_size, kLcsStepsMax * 64));
  return false;
}

void ReplySpan(Call& call, size_t first, size_t size) {
  call.reply.ArrayHeader(2);
  call.reply.Integer(static_cast<int64_t>(first));
  call.reply.Integer(static_cast<int64_t>(first + size - 1));
}

void ReplyRuns(Call& call, const LcsOptions& options,
               std::vector<CommonRun> runs) {
  size_t size = 0;
  for (const CommonRun& run : runs) size += run.size;
  std::erase_if(runs, [&](const CommonRun& run) {
    return static_cast<int64_t>(run.size) < options.run_length_min;
  });
  call.reply.MapHeader(2);
  call.reply.Bulk("matches");
  call.reply.ArrayHeader(runs.size());
  for (const CommonRun& run : runs) {
    call.reply.ArrayHeader(options.run_lengths ? 3 : 2);
    ReplySpan(call, run.in_a, run.size);
    ReplySpan(call, run.in_b, run.size);
    if (options.run_lengths) {
      call.reply.Integer(static_cast<int64_t>(run.size));
    }
  }
  call.reply.Bulk("len");
  call.reply.Integer(static_cast<int64_t>(size));
}

// The part of `value` from `first` to `last`, both included and counted from
// the end when negative.
std::string_view RangeOf(std::string_view value, int64_t first, int64_t last) {
  const auto size = static_cast<int64_t>(value.size());
  if (first < 0 && last < 0 && first > last) return {};
  if (first < 0) first = std::max<int64_t>(first + size, 0);
  if (last < 0) last = std::max<int64_t>(last + size, 0);
  last = std::min(last, size - 1);
  if (first > last) return {};
  return value.substr(static_cast<size_t>(first),
                      static_cast<size_t>(last - first + 1));
}

}  // namespace

void HandleGet(Call& call) {
  ReplyValueOrNull(call, Lookup(call, call.args[1]));
}

void HandleSet(Call& call) {
  const std::string_view key = call.args[1];
  const std::string_view value = call.args[2];
  const auto options = ParseSetOptions(call, SetDialect::kRedis);
  if (!options || !ValueFits(call, value.size())) return;

  const Entry* old = nullptr;
  if (options->condition != SetOptions::Condition::kNone || options->get ||
      options->keep_ttl) {
    old = call.op->Find(key);
  }
  const auto holds = ConditionHolds(call, *options, old);
  if (!holds) return;
  if (options->get) ReplyValueOrNull(call, old);
  if (!*holds) {
    if (!options->get) call.reply.Null();
    return;
  }
  const int64_t deadline_ms =
      options->keep_ttl ? DeadlineOf(old) : options->deadline_ms;
  if (!PutChecked(call, key, value, deadline_ms, EventOf(*options))) return;
  if (!options->get) call.reply.Ok();
}

void HandleSetNx(Call& call) {
  if (!ValueFits(call, call.args[2].size())) return;
  if (call.op->Find(call.args[1]) != nullptr) return call.reply.Integer(0);
  if (!PutChecked(call, call.args[1], call.args[2], 0, KeyEvent::kSet)) return;
  call.reply.Integer(1);
}

void HandleSetEx(Call& call) { SetWithDeadline(call, TimeUnit::kSeconds); }

void HandlePSetEx(Call& call) {
  SetWithDeadline(call, TimeUnit::kMilliseconds);
}

void HandleGetSet(Call& call) {
  if (!ValueFits(call, call.args[2].size())) return;
  ReplyValueOrNull(call, Lookup(call, call.args[1]));
  PutChecked(call, call.args[1], call.args[2], 0, KeyEvent::kSet);
}

void HandleGetDel(Call& call) {
  const Entry* old = Lookup(call, call.args[1]);
  ReplyValueOrNull(call, old);
  if (old == nullptr || !ReserveRemoval(call, call.args[1])) return;
  call.op->Remove(call.args[1], KeyEvent::kDel);
}

void HandleGetEx(Call& call) {
  const std::string_view key = call.args[1];
  bool persist = false;
  DeadlineOption deadline;
  for (size_t i = 2; i < call.args.size(); ++i) {
    if (IsWord(call.args[i], "PERSIST") && !deadline.given()) {
      persist = true;
    } else if (persist || !TakeDeadline(call, &i, &deadline)) {
      return call.reply.Error(kSyntaxError);
    }
  }
  const Entry* entry = Lookup(call, key);
  if (entry == nullptr) return call.reply.Null();
  const auto deadline_ms = ParseDeadline(call, deadline);
  if (!deadline_ms) return;
  ReplyValue(call, *entry);
  if (deadline.given() && *deadline_ms <= call.op->now_ms()) {
    if (ReserveRemoval(call, key)) call.op->Remove(key, KeyEvent::kDel);
  } else if (deadline.given() || (persist && entry->has_deadline())) {
    PutChecked(call, key, call.op->Value(*entry), *deadline_ms,
               persist ? KeyEvent::kPersist : KeyEvent::kExpire);
  }
}

void HandleDelIfEq(Call& call) {
  const Entry* old = call.op->Find(call.args[1]);
  if (old == nullptr || call.op->Value(*old) != call.args[2]) {
    return call.reply.Integer(0);
  }
  if (!ReserveRemoval(call, call.args[1])) return;
  call.op->Remove(call.args[1], KeyEvent::kDel);
  call.reply.Integer(1);
}

void HandleDelEx(Call& call) {
  const bool always = call.args.size() == 2;
  if (!always && call.args.size() != 4) return WrongNumberOfWords(call);
  SetOptions options;
  if (!always) {
    const auto condition = ComparisonOf(call.args[2]);
    if (!condition) {
      return call.reply.Error(
          "ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE");
    }
    options.condition = *condition;
    options.expected = call.args[3];
  }
  const Entry* old = call.op->Find(call.args[1]);
  if (old == nullptr) return call.reply.Integer(0);
  const auto holds = ConditionHolds(call, options, old);
  if (!holds) return;
  if (!*holds) return call.reply.Integer(0);
  if (!ReserveRemoval(call, call.args[1])) return;
  call.op->Remove(call.args[1], KeyEvent::kDel);
  call.reply.Integer(1);
}

void HandleDigest(Call& call) {
  const Entry* entry = Lookup(call, call.args[1]);
  if (entry == nullptr) return call.reply.Null();
  call.reply.Bulk(DigestOf(call.op->Value(*entry)));
}

void HandleMGet(Call& call) {
  const auto keys = call.args.subspan(1);
  std::vector<const Entry*> entries;
  entries.reserve(keys.size());
  size_t bytes = 0;
  for (const std::string_view key : keys) {
    entries.push_back(Lookup(call, key));
    if (entries.back() != nullptr) bytes += entries.back()->value_size();
  }
  // No value is fetched for a reply that is too large.
  if (!call.reply.HasRoom(bytes)) {
    call.reply.Claim(bytes);
    return;
  }
  call.reply.ArrayHeader(keys.size());
  for (const Entry* entry : entries) ReplyValueOrNull(call, entry);
}

void HandleMSet(Call& call) {
  if (PairsFit(call) && PutPairs(call)) call.reply.Ok();
}

void HandleMSetNx(Call& call) {
  if (!PairsFit(call)) return;
  for (size_t i = 1; i < call.args.size(); i += 2) {
    if (call.op->Find(call.args[i]) != nullptr) return call.reply.Integer(0);
  }
  if (PutPairs(call)) call.reply.Integer(1);
}

void HandleMSetEx(Call& call) {
  const auto count = CountedPairs(call);
  if (!count) return;
  const Words pairs = call.args.subspan(2, 2 * *count);
  const auto options =
      ParseSetOptions(call, SetDialect::kMany, 2 + pairs.size());
  if (!options || !ValuesFit(call, pairs)) return;
  if (!HoldsForAll(call, *options, pairs)) return call.reply.Integer(0);
  const auto deadline_of = [&](std::string_view key) {
    return options->keep_ttl ? DeadlineOf(call.op->Find(key))
                             : options->deadline_ms;
  };
  if (PutPairs(call, pairs, EventOf(*options), deadline_of)) {
    call.reply.Integer(1);
  }
}

void HandleAppend(Call& call) {
  const std::string_view key = call.args[1];
  const std::string_view part = call.args[2];
  const Entry* old = call.op->Find(key);
  const std::string_view before = ValueOrNothing(call, old);
  const size_t size = before.size() + part.size();
  if (!ValueFits(call, size)) return;
  if (!ReservePut(call, key, size, DeadlineOf(old))) return;
  if (before.empty()) {
    call.op->Put(key, part, DeadlineOf(old), KeyEvent::kAppend);
  } else {
    std::string after;
    after.reserve(size);
    after.append(before).append(part);
    call.op->Put(key, after, DeadlineOf(old), KeyEvent::kAppend);
  }
  call.reply.Integer(static_cast<int64_t>(size));
}

void HandleStrLen(Call& call) {
  const Entry* entry = Lookup(call, call.args[1]);
  call.reply.Integer(static_cast<int64_t>(SizeOf(entry)));
}

void HandleGetRange(Call& call) {
  const auto first = IntegerWord(call, 2);
  if (!first) return;
  const auto last = IntegerWord(call, 3);
  if (!last) return;
  const Entry* entry = Lookup(call, call.args[1]);
  if (entry == nullptr) return call.reply.Bulk({});
  ReplyPart(call, *entry, RangeOf(call.op->Value(*entry), *first, *last));
}

void HandleSetRange(Call& call) {
  const auto offset = IntegerWord(call, 2);
  if (!offset) return;
  if (*offset < 0) return call.reply.Error("ERR offset is out of range");
  const std::string_view part = call.args[3];
  const Entry* old = call.op->Find(call.args[1]);
  const size_t before = SizeOf(old);
  if (part.empty()) return call.reply.Integer(static_cast<int64_t>(before));
  const auto begin = static_cast<uint64_t>(*offset);
  if (!ValueFits(call, begin + part.size())) return;
  const std::string_view text = ValueOrNothing(call, old);
  const size_t size = std::max(before, begin + part.size());
  if (!ReservePut(call, call.args[1], size, DeadlineOf(old))) return;
  NewValue after(size);
  after.Write(0, text);
  after.Write(begin, part);
  call.op->Put(call.args[1], after.text(), DeadlineOf(old),
               KeyEvent::kSetRange);
  call.reply.Integer(static_cast<int64_t>(size));
}

void HandleLcs(Call& call) {
  const auto options = ParseLcsOptions(call);
  if (!options) return;
  const Entry* const entries[] = {Lookup(call, call.args[1]),
                                  Lookup(call, call.args[2])};
  if (!LcsFits(call, SizeOf(entries[0]), SizeOf(entries[1]))) return;
  const std::string_view a = ValueOrNothing(call, entries[0]);
  const std::string_view b = ValueOrNothing(call, entries[1]);
  if (options->length) {
    return call.reply.Integer(static_cast<int64_t>(LcsSize(a, b)));
  }
  std::vector<CommonRun> runs = LcsRuns(a, b);
  if (options->runs) return ReplyRuns(call, *options, std::move(runs));
  std::string text;
  for (auto run = runs.rbegin(); run != runs.rend(); ++run) {
    text += a.substr(run->in_a, run->size);
  }
  call.reply.Bulk(text);
}

void HandleIncr(Call& call) { AddInteger(call, 1); }

void HandleDecr(Call& call) { AddInteger(call, -1); }

void HandleIncrBy(Call& call) {
  const auto delta = IntegerWord(call, 2);
  if (delta) AddInteger(call, *delta);
}

void HandleDecrBy(Call& call) {
  const auto delta = IntegerWord(call, 2);
  if (!delta) return;
  if (*delta == std::numeric_limits<int64_t>::min()) {
    return call.reply.Error("ERR decrement would overflow");
  }
  AddInteger(call, -*delta);
}

void HandleIncrByFloat(Call& call) {
  const Entry* old = call.op->Find(call.args[1]);
  const auto before = old == nullptr ? std::optional<long double>(0)
                                     : ParseFloat(call.op->Value(*old));
  const auto delta = ParseFloat(call.args[2]);
  if (!before || !delta) {
    return call.reply.Error("ERR value is not a valid float");
  }
  const long double after = *before + *delta;
  if (!std::isfinite(after)) {
    return call.reply.Error("ERR increment would produce NaN or Infinity");
  }
  const std::string text = FormatFloat(after);
  if (!PutChecked(call, call.args[1], text, DeadlineOf(old),
                  KeyEvent::kIncrByFloat))
    return;
  call.reply.Bulk(text);
}

}  // namespace kvd
