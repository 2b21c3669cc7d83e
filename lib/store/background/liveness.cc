// SPDX-License-Identifier: MIT
#include "store/background/liveness.h"

#include "base/planted_bug.h"

namespace kvd {

void Liveness::Judge(std::span<const Record> records,
                     std::vector<Fate>* fates) {
  Prefetch(records);
  for (size_t i = 0; i < records.size(); ++i) {
    fates->push_back(FateOf(records[i], hashes_[i]));
  }
}

void Liveness::Prefetch(std::span<const Record> records) {
  hashes_.clear();
  for (const Record& record : records) {
    const Index& index = databases_.Internal(record.database).index();
    hashes_.push_back(index.Hash(record.key));
    index.PrefetchSlot(hashes_.back());
  }
  for (size_t i = 0; i < records.size(); ++i) {
    databases_.Internal(records[i].database).index().PrefetchEntry(hashes_[i]);
  }
}

Fate Liveness::FateOf(const Record& record, uint64_t hash) const {
  const Keyspace& keyspace = databases_.Internal(record.database);
  switch (record.kind) {
    case RecordKind::kPut: {
      const Entry* entry = keyspace.Find(hash, record.key);
      const bool current =
          entry != nullptr && !entry->is_ghost() && entry->seq() == record.seq;
      return current ? Fate::kKeep : Fate::kDrop;
    }
    case RecordKind::kDelete:
    case RecordKind::kExpire: {
      // A newer change of the key, or a flush, hides as much.
      const Entry* entry = keyspace.Find(hash, record.key);
      const bool superseded = record.seq <= keyspace.flushed() ||
                              (entry != nullptr && entry->seq() > record.seq);
      if (superseded || IsPlanted(PlantedBug::kDropTombstones)) {
        return Fate::kDrop;
      }
      return hiding_from_seq_ < record.seq ? Fate::kAskHints : Fate::kDrop;
    }
    case RecordKind::kFlush:
    case RecordKind::kSwap:
      // The MANIFEST knows those of sealed segments.
      return Fate::kDrop;
    case RecordKind::kNamespace:
      return Fate::kKeep;
  }
  return Fate::kKeep;
}

void Liveness::Repoint(const CompactionJob& job) {
  const std::span<const Record> records = job.moved();
  SegmentUsage& usage = databases_.usage();
  Prefetch(records);
  for (size_t i = 0; i < records.size(); ++i) {
    const Record& record = records[i];
    const Place place = job.place_of_moved(i);
    const uint64_t bytes = RecordBytes(record.key.size(), record.value.size());
    if (record.kind != RecordKind::kPut) {
      usage.AddPinned(place.segment, bytes);
      continue;
    }
    Keyspace& keyspace = databases_.Internal(record.database);
    Entry* entry = keyspace.Find(hashes_[i], record.key);
    const bool unchanged =
        entry != nullptr && !entry->is_ghost() &&
        (entry->seq() == record.seq || IsPlanted(PlantedBug::kRepointBlindly));
    if (unchanged) {
      usage.Move(entry->place().segment, place.segment,
                 Keyspace::RecordBytesOf(*entry));
      entry->set_place(place);
    } else {
      usage.AddDeadPut(place.segment, bytes);
    }
  }
}

}  // namespace kvd
