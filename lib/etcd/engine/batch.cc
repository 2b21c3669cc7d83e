// SPDX-License-Identifier: MIT
#include "etcd/engine/batch.h"

#include <variant>

#include "store/undo_list.h"

namespace kvd::etcd {
namespace {

// A name of the changed key: what is there now or what was.
std::string_view KeyOf(const UndoList::KeyStep& step) {
  return step.old != nullptr ? step.old->key() : step.fresh->key();
}

}  // namespace

void Batch::SawKey(const Keyspace& keyspace, std::string_view key,
                   const Entry* entry) {
  // What the batch itself has made of it is no condition.
  if (entry != nullptr && entry->seq() >= kProvisionalSeq) return;
  const int database = core_.databases->ClientOf(keyspace);
  if (IsFlushed(database)) return;
  const bool is_there = entry != nullptr && !entry->is_ghost();
  seen_.try_emplace({database, std::string(key)},
                    is_there ? static_cast<int64_t>(entry->seq()) : 0);
}

void Batch::SawAll(const Keyspace& /*keyspace*/) { saw_all_ = true; }

void Batch::BeginCommand() {
  seen_.clear();
  saw_all_ = false;
  first_change_ = core_.changes.undoable().size();
}

Batches::Verdict Batch::Judge(bool behind, Seq seen, bool is_fresh) const {
  const bool changes = core_.changes.undoable().size() > first_change_;
  const bool depends =
      changes || behind || seen > core_.journal.durable_seq();
  if (!depends) {
    const bool may_be_old = !is_fresh && (!seen_.empty() || saw_all_);
    return {may_be_old ? Room::kWait : Room::kReady, false, may_be_old};
  }
  // Counts and listings have no condition of etcd's: alone they are as of a
  // moment, beside changes they would not be.
  if (saw_all_) {
    return {changes ? Room::kTooLarge : Room::kWait, false};
  }
  std::set<KeyName> conditions;
  for (const auto& [name, revision] : conditions_) conditions.insert(name);
  for (const auto& [name, revision] : seen_) conditions.insert(name);
  const bool fits = conditions.size() <= kTxnKeysMax &&
                    ChangedKeys().size() <= kTxnKeysMax;
  if (fits) return {Room::kReady, true};
  return {empty() ? Room::kTooLarge : Room::kWait, false};
}

void Batch::KeepCommand(bool belongs_to_batch) {
  if (!belongs_to_batch) return;
  ++commands_;
  conditions_.merge(seen_);
}

bool Batch::IsFlushed(int database) const {
  return FlushedDatabases().contains(database);
}

std::set<int> Batch::FlushedDatabases() const {
  std::set<int> databases;
  for (const UndoList::Step& step : core_.changes.undoable()) {
    if (const auto* flush = std::get_if<UndoList::FlushStep>(&step)) {
      databases.insert(core_.databases->ClientOf(*flush->keyspace));
    }
  }
  return databases;
}

std::set<Batch::KeyName> Batch::ChangedKeys() const {
  std::set<KeyName> names;
  for (const UndoList::Step& step : core_.changes.undoable()) {
    if (const auto* key = std::get_if<UndoList::KeyStep>(&step)) {
      names.emplace(core_.databases->ClientOf(*key->keyspace), KeyOf(*key));
    }
  }
  return names;
}

TxnRequest Batch::Request() const {
  TxnRequest request;
  const std::set<int> flushed = FlushedDatabases();
  std::set<int> touched = flushed;
  for (const auto& [name, revision] : conditions_) {
    const auto& [database, key] = name;
    touched.insert(database);
    request.compares.push_back(
        {names_.Data(database, index_.generation(database).number, key),
         Compare::Target::kModRevision, revision, ""});
  }
  for (const auto& [database, key] : ChangedKeys()) {
    touched.insert(database);
    const bool is_flushed = flushed.contains(database);
    const std::string name = names_.Data(
        database, index_.generation(database).number + (is_flushed ? 1 : 0),
        key);
    const Keyspace& keyspace = core_.databases->OfClient(database);
    const Entry* entry = keyspace.Find(keyspace.Hash(key), key);
    if (entry != nullptr && !entry->is_ghost()) {
      request.then.push_back(
          {Op::Kind::kPut, name,
           EncodeValue(entry->value(), entry->deadline_ms())});
    } else if (!is_flushed) {
      request.then.push_back({Op::Kind::kDelete, name, ""});
    }
  }
  for (const int database : touched) {
    request.compares.push_back({names_.Generation(database),
                                Compare::Target::kModRevision,
                                index_.generation(database).mod_revision, ""});
  }
  for (const int database : flushed) {
    request.then.push_back(
        {Op::Kind::kPut, names_.Generation(database),
         std::to_string(index_.generation(database).number + 1)});
  }
  return request;
}

void Batch::Confirm(int64_t revision, SharedIndex* index) {
  size_t removals = 0;
  for (const UndoList::Step& step : core_.changes.undoable()) {
    const auto* key = std::get_if<UndoList::KeyStep>(&step);
    if (key == nullptr) continue;
    if (key->kind == UndoList::KeyStep::kBury) ++removals;
    Entry* const entry = key->keyspace->Find(key->hash, KeyOf(*key));
    if (entry != nullptr && entry->seq() >= kProvisionalSeq) {
      entry->set_seq(static_cast<Seq>(revision));
    }
  }
  core_.removals.Renumber(removals, static_cast<Seq>(revision));
  for (const int database : FlushedDatabases()) {
    index->Flushed(database, revision);
  }
}

void Batch::Clear() {
  conditions_.clear();
  seen_.clear();
  commands_ = 0;
}

}  // namespace kvd::etcd
