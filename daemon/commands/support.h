// SPDX-License-Identifier: MIT
//
// What handlers of several families share: look-ups, limits, deadlines, the
// options of SET.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/free_deleter.h"
#include "base/strings/glob.h"
#include "daemon/commands/table.h"

namespace kvd {

inline constexpr std::string_view kSyntaxError = "ERR syntax error";
inline constexpr std::string_view kNotAnInteger =
    "ERR value is not an integer or out of range";

// Finds a key for a command that reads it, and counts hit or miss.
inline const Entry* Lookup(Call& call, std::string_view key) {
  const Entry* entry = call.op->Find(key);
  ++(entry != nullptr ? call.service.stats.keyspace_hits
                      : call.service.stats.keyspace_misses);
  if (entry == nullptr && call.service.key_events->wants(kMissEvents)) {
    call.service.key_events->Note(KeyEvent::kMiss, call.session.database, key,
                                  call.op->seen());
  }
  return entry;
}

// Replies with the value of an entry that was found.
void ReplyLargePart(Call& call, const Entry& entry, std::string_view part);
// The same with a part of what op->Value() returned.
inline void ReplyPart(Call& call, const Entry& entry, std::string_view part) {
  if (part.size() < kLentBytesMin &&
      (part.size() < kLentColdBytesMin || !entry.is_cold() ||
       call.reply.wanted_bytes() < kLargeReplyBytes)) {
    return call.reply.Bulk(part);
  }
  ReplyLargePart(call, entry, part);
}
inline void ReplyValue(Call& call, const Entry& entry) {
  ReplyPart(call, entry, call.op->Value(entry));
}
// The value of an entry that Find() returned, or of null.
inline std::string_view ValueOrNothing(Call& call, const Entry* entry) {
  return entry == nullptr ? std::string_view() : call.op->Value(*entry);
}
inline size_t SizeOf(const Entry* entry) {
  return entry == nullptr ? 0 : entry->value_size();
}
// Replies with text that is not copied.
void ReplyText(Call& call, std::string text);

// Replies with what was listed, elements alone, without a copy where it is
// large.
void ReplyChunks(Call& call, const Listing& listing);

// Of a command that waited: whether CLIENT UNBLOCK ended that with an error,
// which is the reply then.
bool AnswersUnblocked(Call& call);

// Whether there is a log, which could be compacted; answers an error if not.
bool HasLog(Call& call);

// Replies with a simple string for each line.
void ReplyLines(Call& call, std::span<const std::string_view> lines);

// A key's deadline as Operation::Put() takes it.
inline int64_t DeadlineOf(const Entry* entry) {
  return entry == nullptr ? 0 : static_cast<int64_t>(entry->deadline_ms());
}

// Whether values of `bytes` in all may be made: not when that is too much for
// the transaction that the call is in, which then is refused whole.
inline bool HasTransactionRoom(Call& call, uint64_t bytes) {
  return call.room == nullptr || call.room->Has(bytes);
}

// Whether a value of that size is allowed; answers an error if not. Asked
// before one is made.
bool ValueFits(Call& call, uint64_t bytes);

// Whether memory and log have room for one put; if not the handler returns at
// once.
bool ReservePut(Call& call, std::string_view key, size_t value_size,
                int64_t deadline_ms);
bool ReserveRemoval(Call& call, std::string_view key);

// A value in the making, all zeros at first. For those of a large one that are
// never written the kernel gives no memory.
class NewValue {
 public:
  explicit NewValue(size_t size);

  std::span<char> bytes() { return {bytes_.get(), size_}; }
  std::string_view text() const { return {bytes_.get(), size_}; }
  // Overwrites the bytes from `at` on.
  void Write(size_t at, std::string_view part);

 private:
  size_t size_;
  std::unique_ptr<char[], FreeDeleter> bytes_;
};

// The integer in a word; nothing after an error reply.
std::optional<int64_t> IntegerWord(Call& call, size_t index);

// The milliseconds in a word; nothing after an error reply.
std::optional<int64_t> TimeoutWord(Call& call, size_t index);

// The glob pattern in a word; nothing after an error reply.
std::optional<Glob> PatternWord(Call& call, size_t index,
                                bool ignore_case = false);

enum class TimeUnit { kSeconds, kMilliseconds };
enum class TimeBase { kNow, kEpoch };

// The absolute deadline, in ms since the epoch, that `value` means. Nothing if
// it is beyond 64 bits.
std::optional<int64_t> DeadlineFrom(const Call& call, int64_t value,
                                    TimeUnit unit, TimeBase base);
// Answers that the time is invalid, in the words that clients know.
void InvalidExpireTime(Call& call);

// EX, PX, EXAT or PXAT and its number, as they were given.
struct DeadlineOption {
  std::string_view word;  // Empty: none was given.
  TimeUnit unit = TimeUnit::kSeconds;
  TimeBase base = TimeBase::kNow;
  std::string_view number;

  bool given() const { return !word.empty(); }
};

// Takes such an option at `*index`, which moves to the number. The same one
// may come again, and the last number counts. False when there is another word,
// or another such option was taken before.
bool TakeDeadline(const Call& call, size_t* index, DeadlineOption* option);
// The deadline that it means: in the end, as of two numbers only the last must
// be right. 0 for none; nothing after an error reply.
std::optional<int64_t> ParseDeadline(Call& call, const DeadlineOption& option);

struct SetOptions {
  enum class Condition {
    kNone,
    kNx,
    kXx,
    kIfEq,
    kIfNe,
    kIfDeq,  // The digest is so.
    kIfDne,
    kIfRev
  };

  Condition condition = Condition::kNone;
  std::string_view expected;  // A value or a digest, as the client gave it.
  uint64_t expected_rev = 0;  // For kIfRev.
  bool get = false;
  bool keep_ttl = false;
  int64_t deadline_ms = 0;  // 0 for none.
};

// What a SET with these options is called: KEEPTTL gives no deadline.
inline KeyEvent EventOf(const SetOptions& options) {
  return options.deadline_ms != 0 ? KeyEvent::kSetWithDeadline : KeyEvent::kSet;
}

// Of SET, KV.SET and MSETEX.
enum class SetDialect { kRedis, kKv, kMany };

// The words from `first` on; nothing after an error reply.
std::optional<SetOptions> ParseSetOptions(Call& call, SetDialect dialect,
                                          size_t first = 3);
// The comparison that a word such as IFEQ asks for.
std::optional<SetOptions::Condition> ComparisonOf(std::string_view word);
// Whether a SET may happen, given what is there; nothing after an error reply.
std::optional<bool> ConditionHolds(Call& call, const SetOptions& options,
                                   const Entry* old);

// What DIGEST says of a value.
std::string DigestOf(std::string_view value);

}  // namespace kvd
