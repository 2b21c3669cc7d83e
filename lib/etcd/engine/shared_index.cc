// SPDX-License-Identifier: MIT
#include "etcd/engine/shared_index.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

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

// Of its kvd, as a sequence key or a beat says.
std::optional<int64_t> ClockIn(const Name& name, std::string_view value) {
  if (name.kind == Name::Kind::kBeat) {
    const auto beat = DecodeBeat(value);
    return beat ? std::optional(beat->clock_ms) : std::nullopt;
  }
  const auto sequence = DecodeSequence(value);
  return sequence ? std::optional(sequence->clock_ms) : std::nullopt;
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
    if (name.kind == Name::Kind::kBeat) HearBeat(name, event);
  }
  for (const Event& event : update.events) ApplyEvent(event);
  revision_ = std::max(revision_, update.revision);
  NoteNewest(update.revision);
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
  newest_sequence_ = 0;
  foreign_.clear();
  must_reload_ = false;
  revision_ = newest_ = 0;
}

void SharedIndex::ApplyEvent(const Event& event) {
  const Name name = names_.Parse(event.kv.key);
  switch (name.kind) {
    case Name::Kind::kData:
      return ApplyData(name, event);
    case Name::Kind::kGeneration:
      return ApplyGeneration(name, event);
    case Name::Kind::kBeat:
      // Whether its kvd is there shows when one comes.
      clocks_.Found(name.key);
      return ApplyPeer(name, event);
    case Name::Kind::kSequence:
      return ApplyPeer(name, event);
    case Name::Kind::kRemoval:
      return;
    case Name::Kind::kOther:
      return WarnOfForeign(event.kv.key);
  }
}

void SharedIndex::ApplyPeer(const Name& name, const Event& event) {
  const auto clock_ms = ClockIn(name, event.kv.value);
  if (!event.is_delete && !clock_ms) return WarnOfForeign(event.kv.key);
  const auto it = peers_.try_emplace(std::string(name.key)).first;
  Peer& peer = it->second;
  int64_t& revision =
      name.kind == Name::Kind::kBeat ? peer.beat_revision : peer.mod_revision;
  if (event.kv.mod_revision < revision) return;
  if (event.is_delete) {
    revision = 0;
    if (peer.mod_revision == 0 && peer.beat_revision == 0) peers_.erase(it);
    return;
  }
  revision = event.kv.mod_revision;
  peer.clock_ms = *clock_ms;
  if (name.kind == Name::Kind::kSequence) {
    newest_sequence_ = std::max(newest_sequence_, revision);
  }
}

int64_t SharedIndex::SequenceOf(std::string_view id) const {
  const auto peer = peers_.find(id);
  return peer == peers_.end() ? 0 : peer->second.mod_revision;
}

// That one is missing shows by the newest of those that are known.
bool SharedIndex::Fits(const RangeResponse& sequences) const {
  // Some may have been removed since.
  if (sequences.revision < newest_) return true;
  return std::ranges::all_of(sequences.found, [&](const KeyValue& kv) {
    const Name name = names_.Parse(kv.key);
    if (name.kind != Name::Kind::kSequence) return true;
    if (!DecodeSequence(kv.value)) return true;
    return kv.mod_revision > revision_ ||
           kv.mod_revision == SequenceOf(name.key);
  });
}

void SharedIndex::HearBeat(const Name& name, const Event& event) {
  if (event.is_delete) return;
  const auto beat = DecodeBeat(event.kv.value);
  if (!beat) return WarnOfForeign(event.kv.key);
  clocks_.Heard(name.key, *beat, core_.clock.WallMs(),
                core_.clock.MonotonicUs() / 1000);
}

// Of a key, whatever is older than what the index has is not.
bool SharedIndex::IsNews(const Entry* entry, const Event& event) const {
  return entry == nullptr || entry->seq() < SeqOf(event.kv);
}

void SharedIndex::ApplyData(const Name& name, const Event& event) {
  const uint64_t counts = generation(name.database).number;
  if (name.generation != counts) {
    const bool is_left = name.generation < counts && !event.is_delete;
    if (is_left) outdated_ |= uint32_t{1} << name.database;
    return;
  }
  const auto stored = DecodeValue(event.kv.value);
  Keyspace& keyspace = core_.databases->OfClient(name.database);
  const uint64_t hash = keyspace.Hash(name.key);
  Entry* const entry = keyspace.Find(hash, name.key);
  if (!IsNews(entry, event)) return NoteForeign(name, event, false);
  NoteForeign(name, event, !event.is_delete && !stored);
  const Seq seq = SeqOf(event.kv);
  NoteIfExpired(name, entry, seq);
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

// No host's client has removed it, so that those of each are told.
void SharedIndex::NoteIfExpired(const Name& name, const Entry* old, Seq seq) {
  if (old == nullptr || old->is_ghost() || !old->has_deadline()) return;
  if (!old->IsExpiredAt(core_.clock.WallMs())) return;
  core_.changes.NoteExpired(name.database, name.key, seq);
}

void SharedIndex::ApplyGeneration(const Name& name, const Event& event) {
  const auto number = NumberIn(event.kv.value);
  Generation& now = generations_[static_cast<size_t>(name.database)];
  if (event.kv.mod_revision <= now.mod_revision) return;
  if (event.is_delete || !number || *number < now.number) {
    WarnOfForeign(event.kv.key);
    if (revision_ != 0) {
      must_reload_ = true;
    } else if (!event.is_delete) {
      now.mod_revision = event.kv.mod_revision;
    }
    return;
  }
  const bool is_new = *number != now.number;
  now = {*number, event.kv.mod_revision};
  if (!is_new) return;
  outdated_ |= uint32_t{1} << name.database;
  ForgetForeign(name.database);
  Keyspace& keyspace = core_.databases->OfClient(name.database);
  core_.watched_keys.NoteFlush(name.database, SeqOf(event.kv));
  if (auto table = keyspace.Clear(SeqOf(event.kv))) {
    core_.cleared.Add(std::move(table), &keyspace);
  }
}

void SharedIndex::Flushed(int database, int64_t revision) {
  Generation& generation = generations_[static_cast<size_t>(database)];
  ++generation.number;
  generation.mod_revision = revision;
  flushed_ |= uint32_t{1} << database;
  ForgetForeign(database);
}

// --- What no kvd has written ------------------------------------------------

int64_t SharedIndex::RevisionOfAbsent(int database,
                                      std::string_view key) const {
  if (foreign_.empty()) return 0;
  const auto found = foreign_.find({database, std::string(key)});
  return found == foreign_.end() ? 0 : found->second;
}

void SharedIndex::NoteForeign(const Name& name, const Event& event,
                              bool is_foreign) {
  if (is_foreign) {
    foreign_[{name.database, std::string(name.key)}] = event.kv.mod_revision;
    return WarnOfForeign(event.kv.key);
  }
  if (!foreign_.empty()) {
    foreign_.erase({name.database, std::string(name.key)});
  }
}

void SharedIndex::ForgetForeign(int database) {
  foreign_.erase(foreign_.lower_bound({database, ""}),
                 foreign_.lower_bound({database + 1, ""}));
}

void SharedIndex::WarnOfForeign(std::string_view name) {
  if (std::exchange(warned_, true)) return;
  log_(Severity::kWarning,
       fmt::format(
           "etcd has keys under {:?} that no kvd has written, such as {:?}. "
           "They do not count; give kvd a prefix of its own",
           names_.prefix(), name));
}

}  // namespace kvd::etcd
