// SPDX-License-Identifier: MIT
#include "store/replayer.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/planted_bug.h"
#include "log/record.h"

namespace kvd {
namespace {

// How many records ahead slots and entries are asked for: enough to cover a
// cache miss, few enough to stay in the cache.
constexpr size_t kSlotsAhead = 24;
constexpr size_t kEntriesAhead = 12;

}  // namespace

Replayer::Replayer(Store::Impl* store, const Manifest& manifest)
    : store_(*store),
      manifest_(manifest),
      oldest_behind_(manifest.sealed.size(), UINT64_MAX) {
  for (size_t i = manifest.sealed.size(); i-- > 1;) {
    oldest_behind_[i - 1] =
        std::min(oldest_behind_[i], manifest.sealed[i].first_seq);
  }
  store_.Adopt(manifest.databases);
}

void Replayer::BeginSealed(size_t index) {
  if (index > 0) ForgetRemovalsUpTo(oldest_behind_[index - 1]);
  const SealedSegment& segment = manifest_.sealed[index];
  oldest_to_come_ = oldest_behind_[index];
  // A log segment is in order in itself.
  if (segment.kind != SegmentKind::kLog) {
    oldest_to_come_ = std::min(oldest_to_come_, segment.first_seq);
  }
}

void Replayer::EndSealed() {
  oldest_to_come_ = UINT64_MAX;
  ForgetRemovalsUpTo(UINT64_MAX);
}

void Replayer::Apply(const Group& group, uint32_t segment) {
  prepared_.Prepare(group, segment, store_.keyspaces.front()->hash_seed());
  Apply(group, segment, &prepared_);
}

void Replayer::Apply(const Group& group, uint32_t segment,
                     PreparedRecords* prepared) {
  const std::vector<Record>& records = group.records;
  const std::vector<uint64_t>& hashes = prepared->hashes;
  KVD_CHECK(hashes.size() == records.size());
  for (size_t i = 0; i < records.size(); ++i) {
    if (const size_t ahead = i + kSlotsAhead; ahead < records.size()) {
      Prefetch(records[ahead], hashes[ahead], /*entry=*/false);
    }
    if (const size_t ahead = i + kEntriesAhead; ahead < records.size()) {
      Prefetch(records[ahead], hashes[ahead], /*entry=*/true);
    }
    Apply(records[i], hashes[i],
          {segment, static_cast<uint32_t>(group.offsets[i])},
          std::move(prepared->entries[i]));
  }
  store_.report.records += records.size();
}

void Replayer::Prefetch(const Record& record, uint64_t hash, bool entry) const {
  const Index& index = store_.keyspaces[record.database]->index();
  if (entry) {
    index.PrefetchEntry(hash);
  } else {
    index.PrefetchForInsert(hash);
  }
}

void Replayer::Apply(const Record& record, uint64_t hash, Place place,
                     EntryPtr entry) {
  Keyspace& keyspace = *store_.keyspaces[record.database];
  const uint64_t bytes = RecordBytes(record.key.size(), record.value.size());
  if (record.kind == RecordKind::kPut) {
    const Entry* old = keyspace.Find(hash, record.key);
    if (record.seq > keyspace.flushed() &&
        (old == nullptr || record.seq > old->seq())) {
      keyspace.Put(hash, std::move(entry));
    } else {
      store_.usage.AddDeadPut(place.segment, bytes);
    }
    return;
  }

  switch (record.kind) {
    case RecordKind::kPut:
      return;
    case RecordKind::kDelete:
    case RecordKind::kExpire:
      store_.usage.AddDead(place.segment, bytes);
      return ApplyRemoval(record, hash, place);
    case RecordKind::kFlush:
      store_.usage.AddDatabaseChange(place.segment);
      // In a sealed segment it is among those which the MANIFEST knows.
      if (record.seq > keyspace.flushed()) {
        store_.databases.Apply(record);
        const auto table = keyspace.Clear(record.seq);
        while (keyspace.Free(table.get(), SIZE_MAX) != 0) continue;
      }
      return;
    case RecordKind::kSwap:
      store_.usage.AddDatabaseChange(place.segment);
      if (record.seq > manifest_.databases_as_of) {
        store_.databases.Apply(record);
      }
      return;
  }
}

void Replayer::ApplyRemoval(const Record& record, uint64_t hash, Place place) {
  Keyspace& keyspace = *store_.keyspaces[record.database];
  if (record.seq <= keyspace.flushed()) return;
  const Entry* old = keyspace.Find(hash, record.key);
  if (old != nullptr && record.seq <= old->seq()) return;
  if (record.seq > oldest_to_come_ && !IsPlanted(PlantedBug::kForgetRemovals)) {
    keyspace.Remember(hash, record.key, record.seq, place);
    removals_.push(
        {record.seq, hash, record.database, std::string(record.key)});
  } else if (old != nullptr && !old->is_ghost()) {
    keyspace.Erase(hash, record.key, record.seq);
  }
}

// Nothing that is older than `seq` comes any more.
void Replayer::ForgetRemovalsUpTo(uint64_t seq) {
  while (!removals_.empty() && removals_.top().seq <= seq) {
    const Removal& oldest = removals_.top();
    store_.keyspaces[oldest.database]->DropGhost(oldest.hash, oldest.key,
                                                 oldest.seq);
    removals_.pop();
  }
}

}  // namespace kvd
