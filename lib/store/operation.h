// SPDX-License-Identifier: MIT
//
// One command's dealings with the store. It finds, then asks for room, then
// changes; it collects the newest change that its reply reveals, so that the
// reply can wait until that change is durable. Whoever saw the effect of an
// undurable change, be it a value, an absence or a count, waits with the
// writer.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "store/key_events.h"
#include "store/memory/entry.h"
#include "store/store.h"

namespace kvd {

// What a command waits for that cannot run now. It has changed nothing; it runs
// again from its beginning, with the same words.
enum class WaitsFor : uint8_t {
  kNothing,  // It has run.
  kRoom,     // In log or memory: a Poll() that said true. Later writers queue.
  kValues,   // What `cold` wants: Store::Read().
  kNews,     // Of the store: a Poll() that said true. Nobody queues behind it.
  kOthers,   // They had their turn: it has done its share of this one.
};

// Thread: loop. Lives on the stack for one command.
class Operation {
 public:
  using Purpose = kvd::Purpose;

  // `database` is the client's number, 0 … kDatabases - 1. `cold` outlives the
  // operation, and has what the store read for an earlier run of the command.
  // While `*forbidden` is true, Reserve() says no: what the command answers
  // cannot be sent. `hashed` is of the view that the command looks for first,
  // if that is known: it need not be hashed again.
  Operation(Store& store, int database, ColdValues* cold,
            const bool* forbidden = nullptr, HashedKey hashed = {});

  // From now on the operation looks at and changes another of the client's
  // databases. Entries that were found stay valid as before; their values are
  // asked for while theirs is used.
  void UseDatabase(int database);

  // The live entry of `key`, or null. Valid until the next change. After
  // Reserve() only for keys that were looked up before it; and `key` stays
  // unchanged while the operation lives. An expired key is removed by a logged
  // change first; when the log has no room for that at once, it is a miss
  // without one, and stays one until it is removed or replaced, whatever the
  // wall clock says by then.
  const Entry* Find(std::string_view key);

  // The value of an entry that Find() returned; asked for before Reserve().
  // Valid as long as the entry is, and as `cold`. When it is on disk and cannot
  // be had without waiting, or not at all, it is empty, blocked() from then on
  // says kWait and Reserve() does, too: the reply is dropped. cold.error() says
  // why the value cannot be had; without one waits_for() says kValues.
  std::string_view Value(const Entry& entry);

  // The command waits for values, and may ask for this one, too, when it runs
  // again: it is read with the others. False when that would leave too little
  // for those that it does ask for.
  bool AskAhead(const Entry& entry);

  // Whether memory has room for a put, of each that the command will do; asked
  // before Reserve(), which says no when this has. At memory.limit there is
  // room for a value in the place of one that is as large, with a deadline if
  // that one has; for more there is none (kMemoryFull), or not until values
  // have gone to disk (kWait).
  Room AdmitPut(std::string_view key, size_t value_size, int64_t deadline_ms);
  // The same of a put under another key of an entry that Find() returned and
  // that is removed then: a key that is no longer takes no more.
  Room AdmitMove(const Entry& from, std::string_view key);

  // Makes sure that changes of `bytes` in all (PutBytes, RemoveBytes) succeed;
  // until this says kReady nothing may be changed. Ask once a command, for all
  // that it will change: its changes are then one atomic group on disk.
  Room Reserve(uint64_t bytes, Purpose purpose);
  static uint64_t PutBytes(size_t key_size, size_t value_size);
  static uint64_t RemoveBytes(size_t key_size);
  static uint64_t SwapBytes();

  // Changes, within what was reserved. `deadline_ms` is absolute, 0 for none.
  // Key and value may be views into an entry that this replaces. `event` is
  // what those hear of it who listen.
  Seq Put(std::string_view key, std::string_view value, int64_t deadline_ms,
          KeyEvent event);
  // Requires that Find(key) found it.
  Seq Remove(std::string_view key, KeyEvent event);
  // One record, however many keys there are. Room: RemoveBytes(0).
  Seq FlushDatabase();
  // All databases, empty ones too: kDatabases records.
  Seq FlushAll();
  // Two different clients' databases change places: one record, of SwapBytes().
  // It is the operation's last act: which of them this one was bound to would
  // not be what its client sees by then.
  Seq SwapDatabases(int one, int other);

  // Keys in the database, those included whose deadline passed unnoticed.
  uint64_t Count();
  // Calls `each` for about `count` live entries from `cursor` on and returns
  // the next cursor, 0 at the end; every key that is there all the time is seen
  // at least once. `each` must not change the store. Expired keys are removed
  // as in Find().
  uint64_t Scan(uint64_t cursor, size_t count,
                const std::function<void(const Entry&)>& each);

  // A live entry, each with nearly equal chance by the numbers of `random`;
  // null if none of some that it looked at is alive. Expired keys are removed
  // as in Find().
  const Entry* Random(const std::function<uint64_t()>& random);

  // Memory that a live entry takes: what the allocator gave for it, its share
  // of a table's slots, its place in the queue of deadlines. A value that is
  // not in memory takes none.
  size_t MemoryOf(const Entry& entry) const;

  // The wall clock, the same for the whole operation; ms since the epoch.
  int64_t now_ms();

  // Of a command that has run: what was read for it may stay in memory, and
  // does where it is for as long as somebody holds what this returns. Null in a
  // Transaction: another attempt may need it again.
  std::shared_ptr<const void> KeepValues();

  // What its changes took in the log.
  uint64_t changed_bytes() const { return changed_bytes_; }
  // The newest change whose effect was seen or made; the reply waits for it.
  Seq seen() const { return seen_; }
  // kReady, or why the operation could not do its work: the reply made so far
  // must be dropped, and the command waits or is refused.
  Room blocked() const { return blocked_; }

  // For a command that has no reply yet for another reason: kNews or kOthers.
  // It then does nothing more.
  void WaitFor(WaitsFor what) { waits_for_ = what; }
  // When it is not kNothing the reply made so far must be dropped.
  WaitsFor waits_for() const { return waits_for_; }

 private:
  static constexpr int64_t kNotAsked = INT64_MIN;

  uint64_t HashOf(std::string_view key);
  Room RoomFor(uint64_t bytes, Purpose purpose);
  bool IsExpired(const Entry& entry);
  void RemoveExpired(uint64_t hash, const Entry& entry);
  std::string_view ColdValueOf(const Entry& entry);
  const ColdValues::Read* AskFor(const Entry& entry);
  Room Block(Room why);
  void Spend(uint64_t bytes);
  void Saw(Seq seq) {
    if (seq > seen_) seen_ = seq;
  }

  void SawAll();
  Room NoMemory();

  StoreCore& store_;
  Keyspace* keyspace_;
  ColdValues& cold_;
  const bool* const forbidden_;
  Seq swapped_;  // The newest swap of the client's database.
  int64_t now_ms_ = kNotAsked;
  uint64_t reserved_ = 0;
  uint64_t changed_bytes_ = 0;
  std::string_view hashed_;  // The key that hash_ belongs to.
  uint64_t hash_;
  Seq seen_ = 0;
  Room blocked_ = Room::kReady;
  WaitsFor waits_for_ = WaitsFor::kNothing;
};

}  // namespace kvd
