// SPDX-License-Identifier: MIT
//
// Commands on keys whatever their values: removal, deadlines, listings.
#include <algorithm>
#include <limits>
#include <memory>
#include <optional>
#include <string>

#include "daemon/commands/handlers.h"
#include "daemon/commands/support.h"
#include "daemon/commands/text.h"

namespace kvd {
namespace {

constexpr int64_t kNoKey = -2;
constexpr int64_t kNoDeadline = -1;
constexpr size_t kScanCountDefault = 10;

// What listings may cost, in bytes of keys: a millisecond or two of the loop.
// An entry costs something beside its key. SCAN ends there, and clients that
// want more ask again; KEYS goes on in a later turn. It begins with less, since
// one turn may begin many.
constexpr size_t kListingCostMax = size_t{1} << 20;
constexpr size_t kListingFirstCostMax = size_t{64} << 10;
constexpr size_t kEntryCost = 64;
// Entries between two looks at that.
constexpr size_t kListingStep = 16;

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
    if (!ReservePut(call, key, value.size(), *deadline_ms)) return;
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

bool MatchesAll(std::string_view pattern) { return pattern == "*"; }

void ReplyListing(Call& call, const Listing& listing) {
  call.reply.ArrayHeader(listing.count());
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
      options.count = static_cast<size_t>(*count);
    } else {
      call.reply.Error(kSyntaxError);
      return std::nullopt;
    }
  }
  return options;
}

// Lists the keys of about `count` more entries, those that fit, as bulk
// strings: their number comes first on the wire.
void ListStep(Call& call, Listing* listing, const ScanOptions& options,
              size_t count, size_t* cost) {
  // Those that are gone cost, too.
  *cost += count * kEntryCost;
  std::string* text = listing->Room();
  const size_t before = text->size();
  size_t added = 0;
  ReplyWriter writer(text, call.reply.protocol());
  const uint64_t next =
      call.op->Scan(listing->cursor, count, [&](const Entry& entry) {
        *cost += entry.key().size();
        if (!options.strings ||
            (options.glob && !options.glob->Matches(entry.key()))) {
          return;
        }
        writer.Bulk(entry.key());
        ++added;
      });
  listing->cursor = next;
  listing->Added(added, text->size() - before);
}

// The same of options.count entries, or until that has cost `cost_max`.
void ListSome(Call& call, Listing* listing, const ScanOptions& options,
              size_t cost_max) {
  const auto steps = [&] { return options.glob ? options.glob->steps() : 0; };
  size_t left = options.count;
  size_t cost = 0;
  size_t& step_cost = listing->step_cost;
  do {
    const size_t step_max =
        step_cost > kListingCostMax / kListingStep ? 1 : kListingStep;
    const size_t step = std::min(left, step_max);
    step_cost = 0;
    const uint64_t steps_before = steps();
    ListStep(call, listing, options, step, &step_cost);
    step_cost += steps() - steps_before;
    cost += step_cost;
    left -= step;
  } while (left > 0 && listing->cursor != 0 && cost < cost_max);
}

// Moves the value of `from` to `to` in one atomic group.
bool Rename(Call& call, const Entry& from) {
  const std::string_view value = call.op->Value(from);
  if (call.op->AdmitMove(from, call.args[2]) != Room::kReady) return false;
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
  if (!ReservePut(call, call.args[1], value.size(), 0)) return;
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
  ScanOptions options;
  options.count = std::numeric_limits<size_t>::max();
  if (!MatchesAll(call.args[1])) {
    options.glob = PatternWord(call, 1);
    if (!options.glob) return;
  }
  std::unique_ptr<Listing>& listing = call.session.listing;
  size_t cost_max = kListingCostMax;
  if (listing == nullptr) {
    listing = std::make_unique<Listing>();
    cost_max = kListingFirstCostMax;
  }
  ListSome(call, listing.get(), options, cost_max);
  if (listing->cursor == 0) return ReplyListing(call, *listing);
  if (call.reply.HasRoom(listing->bytes())) {
    return call.op->WaitFor(WaitsFor::kOthers);
  }
  // Why go on with what cannot be sent.
  call.reply.Claim(listing->bytes());
}

void HandleScan(Call& call) {
  const auto cursor = ParseUnsigned(call.args[1]);
  if (!cursor) return call.reply.Error("ERR invalid cursor");
  const auto options = ParseScanOptions(call);
  if (!options) return;
  Listing listing;
  listing.cursor = *cursor;
  ListSome(call, &listing, *options, kListingCostMax);
  call.reply.ArrayHeader(2);
  const fmt::format_int next(listing.cursor);
  call.reply.Bulk({next.data(), next.size()});
  ReplyListing(call, listing);
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
