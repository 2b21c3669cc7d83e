// SPDX-License-Identifier: MIT
#include "etcd/engine/shared_index.h"

#include <charconv>

namespace kvd::etcd {
namespace {

Seq SeqOf(const KeyValue& kv) { return static_cast<Seq>(kv.mod_revision); }

std::optional<uint64_t> NumberIn(std::string_view text) {
  uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || rest != end) return std::nullopt;
  return number;
}

}  // namespace

void SharedIndex::Load(const KeyValue& kv) {
  ApplyEvent({/*is_delete=*/false, kv});
}

void SharedIndex::Apply(const WatchUpdate& update) {
  // A flush comes before what was set behind it in the same Txn.
  for (const Event& event : update.events) {
    const Name name = names_.Parse(event.kv.key);
    if (name.kind == Name::Kind::kGeneration) ApplyGeneration(name, event);
  }
  for (const Event& event : update.events) ApplyEvent(event);
  if (update.revision > revision_) revision_ = update.revision;
}

void SharedIndex::Clear() {
  core_.watched_keys.NoteUnknown(core_.journal.durable_seq());
  for (const auto& keyspace : core_.databases->all()) {
    if (auto table = keyspace->Clear(0)) {
      core_.cleared.Add(std::move(table), keyspace.get());
    }
  }
  generations_ = {};
  peers_.clear();
  revision_ = 0;
}

void SharedIndex::ApplyEvent(const Event& event) {
  const Name name = names_.Parse(event.kv.key);
  switch (name.kind) {
    case Name::Kind::kData:
      return ApplyData(name, event);
    case Name::Kind::kGeneration:
      return ApplyGeneration(name, event);
    case Name::Kind::kSequence: {
      const auto sequence = DecodeSequence(event.kv.value);
      if (event.is_delete || !sequence) return;
      peers_[std::string(name.key)] = {*sequence, event.kv.mod_revision};
      return;
    }
    case Name::Kind::kOther:
      return;
  }
}

// Of a key, whatever is older than what the index has is not.
bool SharedIndex::IsNews(const Entry* entry, const Event& event) const {
  return entry == nullptr || entry->seq() < SeqOf(event.kv);
}

void SharedIndex::ApplyData(const Name& name, const Event& event) {
  if (name.generation != generation(name.database).number) return;
  Keyspace& keyspace = core_.databases->OfClient(name.database);
  const uint64_t hash = keyspace.Hash(name.key);
  Entry* const entry = keyspace.Find(hash, name.key);
  if (!IsNews(entry, event)) return;
  const Seq seq = SeqOf(event.kv);
  const auto stored = DecodeValue(event.kv.value);
  if (!event.is_delete && stored) {
    core_.watched_keys.NotePut(name.database, hash, name.key, seq);
    keyspace.Put(hash, name.key, stored->value, seq, Place(),
                 stored->deadline_ms);
    core_.cleared.PayForPut();
    return;
  }
  if (entry == nullptr || entry->is_ghost()) return;
  core_.watched_keys.NoteRemoval(name.database, hash, name.key, seq);
  keyspace.Erase(hash, name.key, seq);
}

void SharedIndex::ApplyGeneration(const Name& name, const Event& event) {
  const auto number = NumberIn(event.kv.value);
  Generation& now = generations_[static_cast<size_t>(name.database)];
  if (event.is_delete || !number ||
      event.kv.mod_revision <= now.mod_revision) {
    return;
  }
  const bool is_new = *number != now.number;
  now = {*number, event.kv.mod_revision};
  if (!is_new) return;
  Keyspace& keyspace = core_.databases->OfClient(name.database);
  core_.watched_keys.NoteFlush(name.database, SeqOf(event.kv));
  if (auto table = keyspace.Clear(SeqOf(event.kv))) {
    core_.cleared.Add(std::move(table), &keyspace);
  }
}

}  // namespace kvd::etcd
