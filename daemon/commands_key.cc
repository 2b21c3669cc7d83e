// SPDX-License-Identifier: MIT
//
// Commands on keys whatever their values: removal, deadlines, listings.
#include <algorithm>
#include <limits>
#include <optional>
#include <string>

#include "daemon/handlers.h"
#include "daemon/handling.h"
#include "daemon/text.h"

namespace kvd {
namespace {

constexpr int64_t kNoKey = -2;
constexpr int64_t kNoDeadline = -1;
constexpr size_t kScanCountDefault = 10;
// One SCAN's share of the loop's time; clients that want more ask again.
constexpr int64_t kScanCountMax = 1'000'000;

// Conditions of the EXPIRE family.
struct ExpireConditions {
  bool nx = false;
  bool xx = false;
  bool gt = false;
  bool lt = false;
};

// The words from the fourth on; nothing after an error reply.
std::optional<ExpireConditions> ParseExpireConditions(Call& call) {
  ExpireConditions conditions;
  for (const std::string_view word : call.args.subspan(3)) {
    if (IsWord(word, "NX")) {
      conditions.nx = true;
    } else if (IsWord(word, "XX")) {
      conditions.xx = true;
    } else if (IsWord(word, "GT")) {
      conditions.gt = true;
    } else if (IsWord(word, "LT")) {
      conditions.lt = true;
    } else {
      call.reply.Error(fmt::format("ERR Unsupported option {}", Quoted(word)));
      return std::nullopt;
    }
  }
  if (conditions.nx && (conditions.xx || conditions.gt || conditions.lt)) {
    call.reply.Error(
        "ERR NX and XX, GT or LT options at the same time are not compatible");
    return std::nullopt;
  }
  if (conditions.gt && conditions.lt) {
    call.reply.Error(
        "ERR GT and LT options at the same time are not compatible");
    return std::nullopt;
  }
  return conditions;
}

// A key without a deadline lives longer than any deadline.
bool MayExpireAt(const ExpireConditions& conditions, const Entry& entry,
                 int64_t deadline_ms) {
  const bool has = entry.has_deadline();
  const int64_t current = DeadlineOf(&entry);
  if (conditions.nx && has) return false;
  if (conditions.xx && !has) return false;
  if (conditions.gt && (!has || deadline_ms <= current)) return false;
  if (conditions.lt && has && deadline_ms >= current) return false;
  return true;
}

void Expire(Call& call, TimeUnit unit, TimeBase base) {
  const std::string_view key = call.args[1];
  const auto conditions = ParseExpireConditions(call);
  if (!conditions) return;
  const auto time = IntegerWord(call, 2);
  if (!time) return;
  const auto deadline_ms = DeadlineFrom(call, *time, unit, base);
  if (!deadline_ms) return InvalidExpireTime(call);

  const Entry* entry = call.op->Find(key);
  if (entry == nullptr || !MayExpireAt(*conditions, *entry, *deadline_ms)) {
    return call.reply.Integer(0);
  }
  if (*deadline_ms <= call.op->now_ms()) {
    if (!ReserveRemoval(call, key)) return;
    call.op->Remove(key);
  } else {
    const std::string_view value = call.op->Value(*entry);
    if (!ReservePut(call, key, value.size())) return;
    call.op->Put(key, value, *deadline_ms);
  }
  call.reply.Integer(1);
}

enum class TimeKind { kRemaining, kAbsolute };

void ReplyDeadline(Call& call, TimeKind kind, TimeUnit unit) {
  const Entry* entry = Lookup(call, call.args[1]);
  if (entry == nullptr) return call.reply.Integer(kNoKey);
  if (!entry->has_deadline()) return call.reply.Integer(kNoDeadline);
  int64_t ms = DeadlineOf(entry);
  if (kind == TimeKind::kRemaining) {
    ms = std::max<int64_t>(ms - call.op->now_ms(), 0);
  }
  constexpr int64_t kHalfSecondMs = 500;
  const int64_t rounded = ms / 1000 + (ms % 1000 >= kHalfSecondMs ? 1 : 0);
  call.reply.Integer(unit == TimeUnit::kSeconds ? rounded : ms);
}

// Collects keys as bulk strings, since their number comes first on the wire.
class KeyList {
 public:
  explicit KeyList(const Call& call)
      : writer_(&bytes_, call.reply.protocol()) {}

  void Add(std::string_view key) {
    writer_.Bulk(key);
    ++count_;
  }
  void Reply(Call& call) {
    call.reply.ArrayHeader(count_);
    call.reply.out()->append(bytes_);
  }

 private:
  std::string bytes_;
  ReplyWriter writer_;
  size_t count_ = 0;
};

bool MatchesAll(std::string_view pattern) { return pattern == "*"; }

// Whether FLUSHDB's or FLUSHALL's words are right; answers an error if not.
// ASYNC or SYNC makes no difference: memory is freed in slices anyway.
bool FlushWordsFit(Call& call) {
  if (call.args.size() == 1) return true;
  const bool known =
      IsWord(call.args[1], "ASYNC") || IsWord(call.args[1], "SYNC");
  if (known && call.args.size() == 2) return true;
  call.reply.Error(kSyntaxError);
  return false;
}

// The number of a database at `index`, in bounds or not; nothing after an error
// reply. Source of the bounds: Redis, where such a number is an int.
std::optional<int> DatabaseWord(Call& call, size_t index,
                                std::string_view error) {
  const auto number = ParseInteger(call.args[index]);
  if (!number || *number < std::numeric_limits<int>::min() ||
      *number > std::numeric_limits<int>::max()) {
    call.reply.Error(error);
    return std::nullopt;
  }
  return static_cast<int>(*number);
}

bool IsDatabase(int number) { return number >= 0 && number < kDatabases; }

struct ScanOptions {
  std::optional<Glob> glob;  // Nothing: all keys match.
  size_t count = kScanCountDefault;
  bool strings = true;  // The type asked for is the one there is.
};

// The words from the third on; nothing after an error reply.
std::optional<ScanOptions> ParseScanOptions(Call& call) {
  ScanOptions options;
  for (size_t i = 2; i < call.args.size(); i += 2) {
    const std::string_view word = call.args[i];
    if (i + 1 == call.args.size()) {
      call.reply.Error(kSyntaxError);
      return std::nullopt;
    }
    if (IsWord(word, "MATCH")) {
      options.glob.reset();
      if (MatchesAll(call.args[i + 1])) continue;
      options.glob = PatternWord(call, i + 1);
      if (!options.glob) return std::nullopt;
    } else if (IsWord(word, "TYPE")) {
      options.strings = IsWord(call.args[i + 1], "STRING");
    } else if (IsWord(word, "COUNT")) {
      const auto count = IntegerWord(call, i + 1);
      if (!count) return std::nullopt;
      if (*count < 1) {
        call.reply.Error(kSyntaxError);
        return std::nullopt;
      }
      options.count = static_cast<size_t>(std::min(*count, kScanCountMax));
    } else {
      call.reply.Error(kSyntaxError);
      return std::nullopt;
    }
  }
  return options;
}

// Moves the value of `from` to `to` in one atomic group.
bool Rename(Call& call, const Entry& from) {
  const std::string_view value = call.op->Value(from);
  const uint64_t bytes =
      Operation::PutBytes(call.args[2].size(), value.size()) +
      Operation::RemoveBytes(call.args[1].size());
  if (call.op->Reserve(bytes, Purpose::kWrite) != Room::kReady) return false;
  call.op->Put(call.args[2], value, DeadlineOf(&from));
  call.op->Remove(call.args[1]);
  return true;
}

}  // namespace

void HandleDel(Call& call) {
  const auto keys = call.args.subspan(1);
  uint64_t bytes = 0;
  for (const std::string_view key : keys) {
    if (call.op->Find(key) != nullptr) {
      bytes += Operation::RemoveBytes(key.size());
    }
  }
  if (bytes == 0) return call.reply.Integer(0);
  if (call.op->Reserve(bytes, Purpose::kRemoval) != Room::kReady) return;
  int64_t removed = 0;
  for (const std::string_view key : keys) {
    // Looked up again: a key may be named twice.
    if (keys.size() > 1 && call.op->Find(key) == nullptr) continue;
    call.op->Remove(key);
    ++removed;
  }
  call.reply.Integer(removed);
}

void HandleExists(Call& call) {
  int64_t count = 0;
  for (const std::string_view key : call.args.subspan(1)) {
    if (Lookup(call, key) != nullptr) ++count;
  }
  call.reply.Integer(count);
}

void HandleType(Call& call) {
  call.reply.SimpleString(Lookup(call, call.args[1]) == nullptr ? "none"
                                                                : "string");
}

void HandleExpire(Call& call) {
  Expire(call, TimeUnit::kSeconds, TimeBase::kNow);
}

void HandlePExpire(Call& call) {
  Expire(call, TimeUnit::kMilliseconds, TimeBase::kNow);
}

void HandleExpireAt(Call& call) {
  Expire(call, TimeUnit::kSeconds, TimeBase::kEpoch);
}

void HandlePExpireAt(Call& call) {
  Expire(call, TimeUnit::kMilliseconds, TimeBase::kEpoch);
}

void HandleTtl(Call& call) {
  ReplyDeadline(call, TimeKind::kRemaining, TimeUnit::kSeconds);
}

void HandlePTtl(Call& call) {
  ReplyDeadline(call, TimeKind::kRemaining, TimeUnit::kMilliseconds);
}

void HandleExpireTime(Call& call) {
  ReplyDeadline(call, TimeKind::kAbsolute, TimeUnit::kSeconds);
}

void HandlePExpireTime(Call& call) {
  ReplyDeadline(call, TimeKind::kAbsolute, TimeUnit::kMilliseconds);
}

void HandlePersist(Call& call) {
  const Entry* entry = call.op->Find(call.args[1]);
  if (entry == nullptr || !entry->has_deadline()) return call.reply.Integer(0);
  const std::string_view value = call.op->Value(*entry);
  if (!ReservePut(call, call.args[1], value.size())) return;
  call.op->Put(call.args[1], value, 0);
  call.reply.Integer(1);
}

void HandleRename(Call& call) {
  const Entry* from = call.op->Find(call.args[1]);
  if (from == nullptr) return call.reply.Error("ERR no such key");
  if (call.args[1] != call.args[2] && !Rename(call, *from)) return;
  call.reply.Ok();
}

void HandleRenameNx(Call& call) {
  if (call.op->Find(call.args[1]) == nullptr) {
    return call.reply.Error("ERR no such key");
  }
  if (call.op->Find(call.args[2]) != nullptr) return call.reply.Integer(0);
  // Finding the second may have changed the store.
  if (!Rename(call, *call.op->Find(call.args[1]))) return;
  call.reply.Integer(1);
}

void HandleKeys(Call& call) {
  const std::optional<Glob> glob = PatternWord(call, 1);
  if (!glob) return;
  KeyList keys(call);
  uint64_t cursor = 0;
  do {
    cursor = call.op->Scan(cursor, std::numeric_limits<size_t>::max(),
                           [&](const Entry& entry) {
                             if (glob->Matches(entry.key()))
                               keys.Add(entry.key());
                           });
  } while (cursor != 0);
  keys.Reply(call);
}

void HandleScan(Call& call) {
  const auto cursor = ParseUnsigned(call.args[1]);
  if (!cursor) return call.reply.Error("ERR invalid cursor");
  const auto options = ParseScanOptions(call);
  if (!options) return;
  KeyList keys(call);
  const uint64_t next =
      call.op->Scan(*cursor, options->count, [&](const Entry& entry) {
        if (options->strings &&
            (!options->glob || options->glob->Matches(entry.key()))) {
          keys.Add(entry.key());
        }
      });
  call.reply.ArrayHeader(2);
  const fmt::format_int next_text(next);
  call.reply.Bulk({next_text.data(), next_text.size()});
  keys.Reply(call);
}

void HandleDbSize(Call& call) {
  call.reply.Integer(static_cast<int64_t>(call.op->Count()));
}

void HandleFlushDb(Call& call) {
  if (!FlushWordsFit(call) || !ReserveRemoval(call, {})) return;
  call.op->FlushDatabase();
  call.reply.Ok();
}

void HandleFlushAll(Call& call) {
  if (!FlushWordsFit(call)) return;
  const uint64_t bytes = Operation::RemoveBytes(0) * kDatabases;
  if (call.op->Reserve(bytes, Purpose::kRemoval) != Room::kReady) return;
  call.op->FlushAll();
  call.reply.Ok();
}

void HandleSwapDb(Call& call) {
  const auto one = DatabaseWord(call, 1, "ERR invalid first DB index");
  if (!one) return;
  const auto other = DatabaseWord(call, 2, "ERR invalid second DB index");
  if (!other) return;
  if (!IsDatabase(*one) || !IsDatabase(*other)) {
    return call.reply.Error("ERR DB index is out of range");
  }
  if (*one != *other) {
    if (call.op->Reserve(Operation::SwapBytes(), Purpose::kWrite) !=
        Room::kReady) {
      return;
    }
    call.op->SwapDatabases(*one, *other);
  }
  call.reply.Ok();
}

}  // namespace kvd
