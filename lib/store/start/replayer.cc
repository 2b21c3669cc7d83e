// SPDX-License-Identifier: MIT
#include "store/start/replayer.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/memory_hints.h"
#include "base/planted_bug.h"
#include "log/format/record.h"

namespace kvd {
namespace {

// How many records ahead slots and entries are asked for: enough to cover a
// cache miss, few enough to stay in the cache.
constexpr size_t kSlotsAhead = 24;
constexpr size_t kEntriesAhead = 12;
// Entries of the index are asked for where at least one in so many records
// meets one: after a compaction hardly any does.
constexpr uint64_t kRecordsPerMeeting = 16;
// What a bucket that grows gets at the most for keys to come, since the records
// to come may be of keys that are there.
constexpr uint64_t kRoomPercentMax = 50;

}  // namespace

Replayer::Replayer(Databases* databases, const Manifest& manifest,
                   uint64_t value_bytes_max)
    : databases_(*databases),
      usage_(databases->usage()),
      manifest_(manifest),
      oldest_behind_(manifest.sealed.size(), UINT64_MAX),
      value_budget_(value_bytes_max) {
  for (size_t i = manifest.sealed.size(); i-- > 1;) {
    oldest_behind_[i - 1] =
        std::min(oldest_behind_[i], manifest.sealed[i].first_seq);
  }
  for (const SealedSegment& s : manifest.sealed) sealed_records_ += s.records;
  databases_.Adopt(manifest.databases);
}

void Replayer::BeginSealed(size_t index, bool from_hint) {
  if (index > 0) ForgetRemovalsUpTo(oldest_behind_[index - 1]);
  const SealedSegment& segment = manifest_.sealed[index];
  oldest_to_come_ = oldest_behind_[index];
  // A log segment is in order in itself.
  if (segment.kind != SegmentKind::kLog || from_hint) {
    oldest_to_come_ = std::min(oldest_to_come_, segment.first_seq);
  }
  records_of_hint_ = 0;
}

void Replayer::EndHint(size_t index) {
  const SealedSegment& segment = manifest_.sealed[index];
  const auto id = static_cast<uint32_t>(segment.id);
  // What they did the MANIFEST knows.
  for (; records_of_hint_ < segment.records; ++records_of_hint_) {
    usage_.AddDatabaseChange(id);
    ++records_;
  }
}

// As if keys became more as records do.
void Replayer::ExpectKeys() {
  const uint64_t done = std::max<uint64_t>(records_, 1);
  const uint64_t rest = sealed_records_ - std::min(sealed_records_, done);
  const uint64_t percent = std::clamp<uint64_t>(
      rest * 100 / done, Index::kRoomPercentMin, kRoomPercentMax);
  for (auto& keyspace : databases_.all()) keyspace->set_room_percent(percent);
}

void Replayer::EndSealed() {
  sealed_records_ = 0;
  ExpectKeys();
  oldest_to_come_ = UINT64_MAX;
  ForgetRemovalsUpTo(UINT64_MAX);
}

void Replayer::Apply(const Group& group, uint32_t segment) {
  prepared_.Take(group);
  prepared_.Hash(databases_.hash_seed());
  prepared_.MakeEntries(segment, &value_budget_, /*nursery=*/nullptr);
  Apply(&prepared_, segment);
}

void Replayer::Apply(PreparedRecords* prepared, uint32_t segment) {
  const std::vector<Change>& changes = prepared->changes;
  const std::vector<uint64_t>& hashes = prepared->hashes;
  KVD_CHECK(hashes.size() == changes.size());
  meetings_ = 0;
  ExpectKeys();
  for (size_t i = 0; i < changes.size(); ++i) {
    if (const size_t ahead = i + kSlotsAhead; ahead < changes.size()) {
      IndexOf(changes[ahead]).PrefetchForInsert(hashes[ahead]);
      Prefetch(prepared->entries[ahead].get());
    }
    if (const size_t ahead = i + kEntriesAhead;
        asks_for_entries_ && ahead < changes.size()) {
      IndexOf(changes[ahead]).PrefetchEntry(hashes[ahead]);
    }
    Apply(changes[i], hashes[i], segment, std::move(prepared->entries[i]));
  }
  if (!changes.empty()) {
    asks_for_entries_ = meetings_ * kRecordsPerMeeting >= changes.size();
  }
  records_ += changes.size();
  records_of_hint_ += changes.size();
}

const Index& Replayer::IndexOf(const Change& change) const {
  return databases_.Internal(change.database).index();
}

void Replayer::Apply(const Change& change, uint64_t hash, uint32_t segment,
                     EntryPtr entry) {
  Keyspace& keyspace = databases_.Internal(change.database);
  const uint64_t bytes = RecordBytes(change.key.size(), change.value_size);
  switch (change.kind) {
    case RecordKind::kPut: {
      const Keyspace::Outcome outcome =
          keyspace.PutIfNewest(hash, std::move(entry));
      if (outcome == Keyspace::Outcome::kOutdated) {
        usage_.AddDeadPut(segment, bytes);
      }
      if (outcome != Keyspace::Outcome::kAdded) ++meetings_;
      return;
    }
    case RecordKind::kDelete:
    case RecordKind::kExpire:
      usage_.AddDead(segment, bytes);
      ++meetings_;
      return ApplyRemoval(change, hash, {segment, change.offset});
    case RecordKind::kFlush:
      usage_.AddDatabaseChange(segment);
      // In a sealed segment it is among those which the MANIFEST knows.
      if (change.seq > keyspace.flushed()) {
        databases_.ReplayFlush(change.database, change.seq);
      }
      return;
    case RecordKind::kSwap:
      usage_.AddDatabaseChange(segment);
      if (change.seq > manifest_.databases_as_of) {
        databases_.ReplaySwap(change.database, change.other);
      }
      return;
    case RecordKind::kNamespace:
      usage_.AddDatabaseChange(segment);
      return;
  }
}

void Replayer::ApplyRemoval(const Change& change, uint64_t hash, Place place) {
  Keyspace& keyspace = databases_.Internal(change.database);
  if (change.seq <= keyspace.flushed()) return;
  const Entry* old = keyspace.Find(hash, change.key);
  if (old != nullptr && change.seq <= old->seq()) return;
  if (change.seq > oldest_to_come_ && !IsPlanted(PlantedBug::kForgetRemovals)) {
    keyspace.Remember(hash, change.key, change.seq, place);
    removals_.push(
        {change.seq, hash, change.database, std::string(change.key)});
  } else if (old != nullptr && !old->is_ghost()) {
    keyspace.Erase(hash, change.key, change.seq);
  }
}

// Nothing that is older than `seq` comes any more.
void Replayer::ForgetRemovalsUpTo(uint64_t seq) {
  while (!removals_.empty() && removals_.top().seq <= seq) {
    const Removal& oldest = removals_.top();
    databases_.Internal(oldest.database)
        .DropGhost(oldest.hash, oldest.key, oldest.seq);
    removals_.pop();
  }
}

}  // namespace kvd
