// SPDX-License-Identifier: MIT
#include "store/recovery.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/coding.h"
#include "base/planted_bug.h"
#include "base/random.h"
#include "log/log_reader.h"
#include "log/segment.h"
#include "store/loader.h"
#include "store/replayer.h"

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
  // What had the newest change may have been compacted away.
  next.databases_as_of = std::max(before.databases_as_of, tail.last_seq);
  return next;
}

// Tells how far the loading is, and hears when it shall be given up.
class Progress {
 public:
  using Listener = StoreOptions::OnProgress;

  Progress(const Directory& directory, const Manifest& manifest,
           const Listener& listener)
      : directory_(directory), listener_(listener) {
    const std::vector<LiveSegmentLine> live = manifest.Live();
    progress_.segments_all =
        static_cast<int>(manifest.sealed.size() + live.size());
    for (const SealedSegment& s : manifest.sealed) {
      progress_.bytes_all += s.bytes;
    }
    for (const LiveSegmentLine& l : live) progress_.bytes_all += l.bytes;
    go_on_ = listener_(progress_);
  }

  void SegmentDone(uint64_t bytes) {
    progress_.bytes_done += bytes;
    ++progress_.segments_done;
    go_on_ = go_on_ && listener_(progress_);
  }

  Result<void> Check() const {
    if (go_on_) return {};
    return Fail(ErrorCode::kCancelled, "{}: loading was given up",
                directory_.path());
  }

 private:
  const Directory& directory_;
  const Listener& listener_;
  LoadProgress progress_;
  bool go_on_ = true;
};

Result<void> ReplaySealed(Directory& directory, const Manifest& manifest,
                          Store::Impl* store, Replayer* replayer,
                          Progress* progress) {
  LoadOptions options;
  options.threads = store->options.load_threads;
  options.hash_seed = store->keyspaces.front()->hash_seed();
  bool begun = false;
  KVD_TRY(LoadSealedSegments(
      directory, manifest, options,
      [&](const LogPiece& piece, PreparedRecords* prepared) -> Result<void> {
        const SealedSegment& segment = manifest.sealed[piece.segment()];
        if (!begun) replayer->BeginSealed(piece.segment());
        replayer->Apply(piece.records(), piece.segment_id(), prepared);
        begun = !piece.ends_segment();
        if (piece.ends_segment()) progress->SegmentDone(segment.bytes);
        return progress->Check();
      }));
  replayer->EndSealed();
  return {};
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

  Progress progress(directory, before, store->options.on_progress);
  Replayer replayer(store, before);
  KVD_TRY(ReplaySealed(directory, before, store, &replayer, &progress));
  KVD_TRY_ASSIGN(const LogTail tail,
                 ReadLiveSegments(
                     directory, before,
                     [&](const Group& group, uint32_t segment) {
                       replayer.Apply(group, segment);
                     },
                     [&](uint64_t bytes) { progress.SegmentDone(bytes); }));
  KVD_TRY(progress.Check());

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
