// SPDX-License-Identifier: MIT
#include "store/recovery.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/coding.h"
#include "base/planted_bug.h"
#include "base/random.h"
#include "log/log_reader.h"
#include "log/segment.h"

namespace kvd {
namespace {

Result<Manifest> CreateStore(Directory& directory) {
  KVD_TRY_ASSIGN(const bool has_segments, HasSegments(directory));
  if (has_segments) {
    return Fail(ErrorCode::kCorruption,
                "{}: holds segments but no MANIFEST, which says which of them "
                "count\n  Nothing was changed. Put the MANIFEST back, or "
                "restore the directory from a backup. If this is no data "
                "directory of kvd, choose another one.",
                directory.path());
  }
  Manifest manifest;
  FillRandom(manifest.uuid);
  manifest.epoch = 1;
  KVD_TRY(SaveManifest(directory, manifest));
  return manifest;
}

// More than the sequence numbers that could have been given out and shown
// beyond the surviving ones: each had room for its record in a live segment.
uint64_t SeqsInLiveSegments(const Manifest& manifest) {
  uint64_t bytes = 0;
  for (const LiveSegmentLine& live : manifest.Live()) bytes += live.bytes;
  return AlignUp(bytes, kRecordHeaderBytes) / kRecordHeaderBytes;
}

Manifest NextEpoch(const Manifest& before, const LogTail& tail,
                   const DatabaseMap& databases) {
  Manifest next = before;
  if (!IsPlanted(PlantedBug::kReuseEpoch)) ++next.epoch;
  next.next_seq = std::max(before.next_seq, tail.last_seq + 1);
  if (!before.clean && !IsPlanted(PlantedBug::kReuseSeq)) {
    next.next_seq += SeqsInLiveSegments(before);
  }
  next.clean = false;
  next.active.reset();
  next.prepared.reset();
  next.sealed.insert(next.sealed.end(), tail.survivors.begin(),
                     tail.survivors.end());
  next.databases = databases;
  next.databases_as_of = tail.last_seq;
  return next;
}

// Gives back the space that neither survivors nor anybody else needs. What
// fails here is done by the next start.
void CleanUp(Directory& directory, const Manifest& before, const LogTail& tail,
             const std::vector<std::string>& leftovers) {
  for (const SealedSegment& survivor : tail.survivors) {
    auto file = directory.Open(SegmentName(survivor.id),
                               Directory::OpenMode::kReadWrite);
    if (file) (void)(*file)->Truncate(survivor.bytes);
  }
  for (const std::string& name : leftovers) (void)directory.Remove(name);
  for (const LiveSegmentLine& live : before.Live()) {
    const bool survives =
        std::any_of(tail.survivors.begin(), tail.survivors.end(),
                    [&](const SealedSegment& s) { return s.id == live.id; });
    if (!survives) (void)directory.Remove(SegmentName(live.id));
  }
}

void Report(const Manifest& before, const LogTail& tail, Store::Impl* store) {
  RecoveryReport& report = store->report;
  report.clean_stop = before.clean;
  report.segments = before.sealed.size() + tail.survivors.size();
  report.torn_bytes = tail.torn_bytes;
  report.torn_records = tail.torn_records;
  report.last_seq = tail.last_seq;
  if (tail.torn_bytes == 0) return;
  store->options.log(
      Severity::kWarning,
      fmt::format("{}: cut a torn tail of {} bytes with {} records, none of "
                  "which had been durable",
                  tail.torn_at, tail.torn_bytes, tail.torn_records));
}

}  // namespace

void Store::Impl::Adopt(const DatabaseMap& known) {
  databases = known;
  for (size_t i = 0; i < keyspaces.size(); ++i) {
    keyspaces[i]->set_flushed(known.flushed[i]);
  }
}

void Store::Impl::Replay(const Record& record, Place place,
                         uint64_t databases_as_of) {
  ++report.records;
  Keyspace& keyspace = *keyspaces[record.database];
  const uint64_t bytes = RecordBytes(record.key.size(), record.value.size());
  const uint64_t hash = keyspace.Hash(record.key);
  const Entry* old = keyspace.Find(hash, record.key);
  const bool newest = record.seq > keyspace.flushed() &&
                      (old == nullptr || record.seq > old->seq());
  switch (record.kind) {
    case RecordKind::kPut:
      if (newest) {
        keyspace.Put(hash, record.key, record.value, record.seq, place,
                     record.deadline_ms);
      } else {
        usage.AddDeadPut(place.segment, bytes);
      }
      return;
    case RecordKind::kDelete:
    case RecordKind::kExpire:
      if (newest && old != nullptr) {
        keyspace.Erase(hash, record.key, record.seq);
      }
      usage.AddDead(place.segment, bytes);
      return;
    case RecordKind::kFlush:
      if (record.seq > keyspace.flushed()) {
        databases.Apply(record);
        const auto table = keyspace.Clear(record.seq);
        while (keyspace.Free(table.get(), SIZE_MAX) != 0) continue;
      }
      usage.AddDead(place.segment, bytes);
      return;
    case RecordKind::kSwap:
      if (record.seq > databases_as_of) databases.Apply(record);
      usage.AddDead(place.segment, bytes);
      return;
  }
}

Result<Manifest> Recover(Directory& directory, Store::Impl* store) {
  Result<Manifest> loaded = LoadManifest(directory);
  if (!loaded && loaded.error().code() == ErrorCode::kNotFound) {
    store->report.created = true;
    loaded = CreateStore(directory);
  }
  if (!loaded) return loaded;
  const Manifest& before = *loaded;
  KVD_TRY_ASSIGN(const std::vector<std::string> leftovers,
                 FindLeftovers(directory, before));

  LoadProgress progress;
  progress.segments_all =
      static_cast<int>(before.sealed.size() + before.Live().size());
  for (const SealedSegment& s : before.sealed) progress.bytes_all += s.bytes;
  for (const LiveSegmentLine& l : before.Live()) progress.bytes_all += l.bytes;
  store->options.on_progress(progress);

  store->Adopt(before.databases);
  KVD_TRY_ASSIGN(const LogTail tail,
                 ReadLog(
                     directory, before,
                     [&](const Record& record, Place place) {
                       store->Replay(record, place, before.databases_as_of);
                     },
                     [&](uint64_t bytes) {
                       progress.bytes_done += bytes;
                       ++progress.segments_done;
                       store->options.on_progress(progress);
                     }));

  if (!IsPlanted(PlantedBug::kTailNotRewritten)) {
    KVD_TRY(RewriteSurvivors(directory, tail));
  }
  const Manifest next = NextEpoch(before, tail, store->databases);
  KVD_TRY(SaveManifest(directory, next));
  CleanUp(directory, before, tail, leftovers);
  Report(before, tail, store);
  return next;
}

}  // namespace kvd
