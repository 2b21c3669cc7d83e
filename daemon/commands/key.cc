// SPDX-License-Identifier: MIT
//
// Commands on keys whatever their values: removal, deadlines, listings.
#include <algorithm>
#include <limits>
#include <memory>
#include <optional>
#include <string>

#include "base/random.h"
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
    call.op->Remove(key, KeyEvent::kDel);
  } else {
    const std::string_view value = call.op->Value(*entry);
    if (!ReservePut(call, key, value.size(), *deadline_ms)) return;
    call.op->Put(key, value, *deadline_ms, KeyEvent::kExpire);
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
  ReplyChunks(call, listing);
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

constexpr std::string_view kNoSuchDatabase = "ERR DB index is out of range";
constexpr std::string_view kSameKey =
    "ERR source and destination objects are the same";

// The number of a database that there is; nothing after an error reply.
std::optional<int> ExistingDatabaseWord(Call& call, size_t index) {
  constexpr int64_t kMin = std::numeric_limits<int>::min();
  constexpr int64_t kMax = std::numeric_limits<int>::max();
  const auto number = IntegerWord(call, index);
  if (!number) return std::nullopt;
  if (*number < kMin || *number > kMax) {
    call.reply.Error(fmt::format(
        "ERR value is out of range, value must between {} and {}", kMin, kMax));
    return std::nullopt;
  }
  const auto database = static_cast<int>(*number);
  if (IsDatabase(database)) return database;
  call.reply.Error(kNoSuchDatabase);
  return std::nullopt;
}

// Where COPY or MOVE take a key.
struct Target {
  int database;
  std::string_view key;
  bool replace = false;
};

// The words of COPY from the third on; nothing after an error reply.
std::optional<Target> ParseCopyTarget(Call& call) {
  Target target = {call.session.database, call.args[2]};
  for (size_t i = 3; i < call.args.size(); ++i) {
    if (IsWord(call.args[i], "REPLACE")) {
      target.replace = true;
    } else if (IsWord(call.args[i], "DB") && i + 1 < call.args.size()) {
      const auto number = ExistingDatabaseWord(call, ++i);
      if (!number) return std::nullopt;
      target.database = *number;
    } else {
      call.reply.Error(kSyntaxError);
      return std::nullopt;
    }
  }
  if (target.database == call.session.database && target.key == call.args[1]) {
    call.reply.Error(kSameKey);
    return std::nullopt;
  }
  return target;
}

// The key of the second word where it may go to the target; null if it is not
// there, or something else is in its way.
const Entry* FindForTarget(Call& call, const Target& target) {
  Operation& op = *call.op;
  if (op.Find(call.args[1]) == nullptr) return nullptr;
  op.UseDatabase(target.database);
  const bool in_the_way = op.Find(target.key) != nullptr && !target.replace;
  op.UseDatabase(call.session.database);
  // Finding the other one may have changed the store.
  return in_the_way ? nullptr : op.Find(call.args[1]);
}

// The types of values that clients may ask for. Source: Valkey.
bool IsType(std::string_view word) {
  constexpr std::string_view kTypes[] = {"STRING", "LIST", "SET",
                                         "ZSET",   "HASH", "STREAM"};
  return std::any_of(std::begin(kTypes), std::end(kTypes),
                     [&](std::string_view type) { return IsWord(word, type); });
}

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
      if (!IsType(call.args[i + 1])) {
        call.reply.Error(fmt::format("ERR unknown type name '{}'",
                                     Quoted(call.args[i + 1])));
        return std::nullopt;
      }
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
  const uint64_t bytes =
      Operation::PutBytes(call.args[2].size(), value.size()) +
      Operation::RemoveBytes(call.args[1].size());
  if (!HasTransactionRoom(call, bytes)) return false;
  if (call.op->AdmitMove(from, call.args[2]) != Room::kReady) return false;
  if (call.op->Reserve(bytes, Purpose::kWrite) != Room::kReady) return false;
  call.op->Put(call.args[2], value, DeadlineOf(&from), KeyEvent::kRenameTo);
  call.op->Remove(call.args[1], KeyEvent::kRenameFrom);
  return true;
}

// What Redis calls the way in which it keeps a value of that size.
constexpr size_t kEmbeddedBytesMax = 44;
constexpr size_t kIntegerBytesMax = 20;

std::string_view EncodingOf(Call& call, const Entry& entry) {
  if (entry.value_size() <= kIntegerBytesMax &&
      ParseInteger(call.op->Value(entry))) {
    return "int";
  }
  return entry.value_size() <= kEmbeddedBytesMax ? "embstr" : "raw";
}

// The key of a subcommand of OBJECT; answers null if there is none.
const Entry* FindObject(Call& call) {
  const Entry* entry = call.op->Find(call.args[2]);
  if (entry == nullptr) call.reply.Null();
  return entry;
}

// Looks on for a key that is alive, a share a turn, where hardly any is.
void SearchRandomKey(Call& call) {
  std::unique_ptr<Listing>& listing = call.session.listing;
  if (listing == nullptr) listing = std::make_unique<Listing>();
  std::optional<std::string> found;
  // A transaction cannot let others have their turn.
  const bool gives_way = call.effects == nullptr;
  for (size_t cost = 0; cost < kListingFirstCostMax || !gives_way;
       cost += kListingStep * kEntryCost) {
    listing->cursor =
        call.op->Scan(listing->cursor, kListingStep, [&](const Entry& entry) {
          if (!found) found = std::string(entry.key());
        });
    if (found) return call.reply.Bulk(*found);
    if (listing->cursor == 0) return call.reply.Null();
  }
  call.op->WaitFor(WaitsFor::kOthers);
}

}  // namespace

void HandleCopy(Call& call) {
  const auto target = ParseCopyTarget(call);
  if (!target) return;
  const Entry* from = FindForTarget(call, *target);
  if (from == nullptr) return call.reply.Integer(0);
  const std::string_view value = call.op->Value(*from);
  const int64_t deadline_ms = DeadlineOf(from);
  call.op->UseDatabase(target->database);
  if (!ReservePut(call, target->key, value.size(), deadline_ms)) return;
  call.op->Put(target->key, value, deadline_ms, KeyEvent::kCopyTo);
  call.reply.Integer(1);
}

void HandleMove(Call& call) {
  const auto database = ExistingDatabaseWord(call, 2);
  if (!database) return;
  if (*database == call.session.database) return call.reply.Error(kSameKey);
  const std::string_view key = call.args[1];
  const Entry* from = FindForTarget(call, {*database, key});
  if (from == nullptr) return call.reply.Integer(0);
  const std::string_view value = call.op->Value(*from);
  const uint64_t bytes = Operation::PutBytes(key.size(), value.size()) +
                         Operation::RemoveBytes(key.size());
  if (!HasTransactionRoom(call, bytes)) return;
  if (call.op->AdmitMove(*from, key) != Room::kReady) return;
  if (call.op->Reserve(bytes, Purpose::kWrite) != Room::kReady) return;
  call.op->UseDatabase(*database);
  call.op->Put(key, value, DeadlineOf(from), KeyEvent::kMoveTo);
  call.op->UseDatabase(call.session.database);
  call.op->Remove(key, KeyEvent::kMoveFrom);
  call.reply.Integer(1);
}

void HandleRandomKey(Call& call) {
  if (call.session.listing != nullptr) return SearchRandomKey(call);
  const Entry* entry = call.op->Random(RandomU64);
  if (entry != nullptr) return call.reply.Bulk(entry->key());
  if (call.op->Count() == 0) return call.reply.Null();
  SearchRandomKey(call);
}

void HandleObjectEncoding(Call& call) {
  if (const Entry* entry = FindObject(call)) {
    call.reply.Bulk(EncodingOf(call, *entry));
  }
}

void HandleObjectFreq(Call& call) {
  if (FindObject(call) == nullptr) return;
  call.reply.Error(
      "ERR An LFU maxmemory policy is not selected, access frequency not "
      "tracked. Please note that when switching between policies at runtime "
      "LRU and LFU data will take some time to adjust.");
}

void HandleObjectIdleTime(Call& call) {
  if (FindObject(call) != nullptr) call.reply.Integer(0);
}

void HandleObjectRefCount(Call& call) {
  if (FindObject(call) != nullptr) call.reply.Integer(1);
}

void HandleObjectHelp(Call& call) {
  constexpr std::string_view kLines[] = {
      "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
      "ENCODING <key>",
      "    Return the kind of internal representation used in order to store "
      "the value",
      "    associated with a <key>.",
      "FREQ <key>",
      "    Return the access frequency index of the <key>. The returned "
      "integer "
      "is",
      "    proportional to the logarithm of the recent access frequency of the "
      "key.",
      "IDLETIME <key>",
      "    Return the idle time of the <key>, that is the approximated number "
      "of",
      "    seconds elapsed since the last access to the key.",
      "REFCOUNT <key>",
      "    Return the number of references of the value associated with the "
      "specified",
      "    <key>.",
      "HELP",
      "    Print this help.",
  };
  ReplyLines(call, kLines);
}

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
    call.op->Remove(key, KeyEvent::kDel);
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
  call.op->Put(call.args[1], value, 0, KeyEvent::kPersist);
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
  bool goes_on = true;
  do {
    ListSome(call, listing.get(), options, cost_max);
    goes_on = listing->cursor != 0 && call.reply.HasRoom(listing->bytes());
    // A transaction shows one state: it cannot let others have their turn.
    if (call.in_transaction() && !call.room->HasTime()) return;
  } while (goes_on && call.in_transaction());
  if (listing->cursor == 0) return ReplyListing(call, *listing);
  if (goes_on) {
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
    return call.reply.Error(kNoSuchDatabase);
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
