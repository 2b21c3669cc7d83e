// SPDX-License-Identifier: MIT
#include "etcd/engine/batch.h"

#include <fmt/format.h>

#include <bit>
#include <span>

#include "base/planted_bug.h"
#include "etcd/engine/txn_limits.h"

namespace kvd::etcd {
namespace {

// Of the sequence key: its compare, its put and the get if it is refused.
constexpr size_t kItemsOfSequence = 1;
constexpr uint64_t kBytesOfSequence = 2048;
// What a compare or an operation takes beside prefix, key and value: the rest
// of the name, revision, deadline, what tells one field from the next.
constexpr uint64_t kItemBytes = 80;

template <typename Each>
void ForEachDatabase(uint32_t databases, Each each) {
  for (; databases != 0; databases &= databases - 1) {
    each(std::countr_zero(databases));
  }
}

constexpr std::string_view kAggregateText =
    "ERR counts, listings and random keys cannot be a part of a transaction "
    "that changes keys: on etcd nothing proves that they still hold when it is "
    "committed. Nothing was changed; ask for them outside of it";
constexpr std::string_view kSwapText =
    "ERR SWAPDB cannot be done on etcd: a database's keys have its number in "
    "their names. Nothing was changed";
constexpr std::string_view kShownText =
    "ERR a reply of this transaction shows a revision of a key that it changes "
    "again, and on etcd all its changes get the same one. Nothing was changed; "
    "change the key once, or use two transactions";

}  // namespace

Batch::Batch(StoreCore& core, const SharedIndex& index, const Names& names)
    : core_(core), index_(index), names_(names), writes_(*core.databases) {}

// --- One command ------------------------------------------------------------

void Batch::SawKey(const Keyspace& keyspace, uint64_t hash,
                   std::string_view key, const Entry* entry) {
  // What the batch itself has made of it is no condition.
  if (entry != nullptr && entry->seq() >= kProvisionalSeq) return;
  if (keyspace.flushed() > core_.journal.durable_seq()) return;
  const bool is_there = entry != nullptr && !entry->is_ghost();
  const int database = core_.databases->ClientOf(keyspace);
  Saw(index_.generation(database).mod_revision);
  if (entry != nullptr) Saw(static_cast<int64_t>(entry->seq()));
  conditions_.Add(database, hash, key,
                  is_there ? static_cast<int64_t>(entry->seq())
                           : index_.RevisionOfAbsent(database, key));
}

void Batch::SawAll(const Keyspace& /*keyspace*/) {
  saw_all_ = true;
  Saw(confirmed_);
}

void Batch::BeginCommand() {
  conditions_.BeginCommand();
  writes_.BeginCommand();
  saw_all_ = false;
  newest_seen_ = 0;
  mixes_ = false;
  shown_.clear();
  shows_outdated_ = false;
  why_ = "ERR the changes of one command are too large; nothing was changed";
  first_change_ = core_.changes.undoable().size();
}

Batch::Verdict Batch::Judge(const Ended& ended) {
  const std::span<const UndoList::Step> steps(core_.changes.undoable());
  writes_.Take(steps.subspan(first_change_));
  const bool changes = steps.size() > first_change_;
  const bool depends =
      changes || ended.behind || ended.seen > core_.journal.durable_seq();
  if (!depends) return JudgeRead(ended);
  PinShown();
  if (Never(ended, changes)) return {Room::kTooLarge, false};
  // Beside others' changes counts and listings would be of no moment.
  const bool has_read = conditions_.command_has_some();
  const bool waits = saw_all_ || (has_read && readers_ >= ended.readers_max) ||
                     writes_.command().breaks_pin;
  if (waits) return {Room::kWait, false};
  if (Fits()) return {Room::kReady, true};
  return {empty() ? Room::kTooLarge : Room::kWait, false};
}

// Nothing but the index answers for what it has seen.
Batch::Verdict Batch::JudgeRead(const Ended& ended) {
  if (!saw_all_ && !conditions_.command_saw_some()) return {Room::kReady};
  if (!ended.is_fresh) return {Room::kWait, false, /*reads=*/true};
  const bool saw_several = saw_all_ || conditions_.command_saw_several();
  mixes_ = !ended.may_mix && (ended.is_ahead || (saw_several && is_ahead()));
  if (IsPlanted(PlantedBug::kMixMoments)) mixes_ = false;
  return {mixes_ ? Room::kWait : Room::kReady, false};
}

void Batch::PinShown() {
  for (const Seq seq : shown_) {
    if (!writes_.Pin(seq)) shows_outdated_ = true;
  }
}

// What no other batch would take either; says why.
bool Batch::Never(const Ended& ended, bool changes) {
  if (!changes) return false;
  const Writes::Command& command = writes_.command();
  if (!ended.no_writes.empty()) {
    why_ = ended.no_writes;
  } else if (command.swaps) {
    why_ = kSwapText;
  } else if (saw_all_) {
    why_ = kAggregateText;
  } else if (shows_outdated_) {
    why_ = kShownText;
  } else if (command.value_bytes_max > kTxnValueBytesMax) {
    why_ = fmt::format(
        "ERR a value of {} bytes, and etcd takes {} (1 MiB); nothing was "
        "changed. Keep large values in several keys",
        command.value_bytes_max, kTxnValueBytesMax);
  } else {
    return false;
  }
  return true;
}

bool Batch::full() const {
  return writes_.operations() + kItemsOfSequence >= kTxnItemsMax;
}

bool Batch::Fits() {
  const size_t operations = writes_.operations() + kItemsOfSequence;
  const size_t compares = CountCompares();
  const uint64_t bytes = CountBytes();
  if (operations <= kTxnItemsMax && compares <= kTxnItemsMax &&
      bytes <= kTxnBytesMax) {
    return true;
  }
  if (!empty()) return false;
  if (operations > kTxnItemsMax) {
    why_ = fmt::format(
        "ERR this would change {} keys at once, and one transaction of etcd "
        "takes {}; nothing was changed. Send it in parts",
        operations - kItemsOfSequence, kTxnItemsMax - kItemsOfSequence);
  } else if (compares > kTxnItemsMax) {
    why_ = fmt::format(
        "ERR this would change keys because of what {} are, and one "
        "transaction of etcd takes {} such conditions; nothing was changed. "
        "Read fewer keys in it",
        conditions_.size(), kTxnItemsMax - (compares - conditions_.size()));
  } else {
    why_ = fmt::format(
        "ERR this would take {} bytes at once, and one transaction takes {} "
        "(1.2 MiB); nothing was changed. Send it in parts",
        bytes, kTxnBytesMax);
  }
  return false;
}

size_t Batch::CountCompares() const {
  const uint32_t databases = conditions_.databases() | writes_.databases();
  return kItemsOfSequence + conditions_.size() +
         static_cast<size_t>(std::popcount(databases));
}

uint64_t Batch::CountBytes() const {
  const uint64_t items = CountCompares() + writes_.operations();
  return kBytesOfSequence + conditions_.key_bytes() + writes_.bytes() +
         items * (names_.prefix().size() + kItemBytes);
}

void Batch::KeepCommand(bool belongs_to_batch) {
  if (!belongs_to_batch) return DropCommand();
  ++commands_;
  if (conditions_.command_has_some()) ++readers_;
}

void Batch::DropCommand() {
  conditions_.DropCommand();
  writes_.DropCommand();
}

// --- All of them ------------------------------------------------------------

std::string Batch::NameOf(const Writes::Write& write) const {
  const uint64_t generation = index_.generation(write.database).number;
  return names_.Data(write.database,
                     generation + (writes_.IsFlushed(write.database) ? 1 : 0),
                     write.key());
}

TxnRequest Batch::Request() const {
  TxnRequest request;
  for (const Conditions::Condition& seen : conditions_.all()) {
    const uint64_t generation = index_.generation(seen.database).number;
    request.compares.push_back(
        {names_.Data(seen.database, generation, conditions_.KeyOf(seen)),
         Compare::Target::kModRevision, seen.revision, ""});
  }
  for (const Writes::Write& write : writes_.all()) {
    if (!writes_.IsNeeded(write)) continue;
    if (write.removed) {
      request.then.push_back({Op::Kind::kDelete, NameOf(write), ""});
    } else {
      request.then.push_back(
          {Op::Kind::kPut, NameOf(write),
           EncodeValue(write.newest->value(), write.newest->deadline_ms())});
    }
  }
  ForEachDatabase(
      conditions_.databases() | writes_.databases(), [&](int database) {
        request.compares.push_back(
            {names_.Generation(database), Compare::Target::kModRevision,
             index_.generation(database).mod_revision, ""});
      });
  ForEachDatabase(writes_.flushed(), [&](int database) {
    request.then.push_back(
        {Op::Kind::kPut, names_.Generation(database),
         std::to_string(index_.generation(database).number + 1)});
  });
  return request;
}

void Batch::Confirm(int64_t revision, SharedIndex* index) {
  confirmed_ = revision;
  const auto seq = static_cast<Seq>(revision);
  size_t removals = 0;
  for (const UndoList::Step& step : core_.changes.undoable()) {
    const auto* key = std::get_if<UndoList::KeyStep>(&step);
    if (key != nullptr && key->kind == UndoList::KeyStep::kBury) ++removals;
  }
  core_.removals.Renumber(removals, seq);
  for (const Writes::Write& write : writes_.all()) {
    if (write.flushed) continue;
    const Keyspace& keyspace = core_.databases->OfClient(write.database);
    Entry* const entry = keyspace.Find(write.hash, write.key());
    if (entry != nullptr) entry->set_seq(seq);
  }
  ForEachDatabase(writes_.flushed(),
                  [&](int database) { index->Flushed(database, revision); });
}

void Batch::Clear() {
  conditions_.Clear();
  writes_.Clear();
  commands_ = readers_ = 0;
}

}  // namespace kvd::etcd
