// SPDX-License-Identifier: MIT
#include "store/start/recovery.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/coding.h"
#include "base/planted_bug.h"
#include "base/random.h"
#include "log/format/advice.h"
#include "log/format/segment.h"
#include "log/read/leftovers.h"
#include "log/read/log_reader.h"
#include "store/start/load_segments.h"
#include "store/start/replayer.h"

namespace kvd {
namespace {

Result<Manifest> CreateStore(Directory& directory) {
  KVD_TRY_ASSIGN(const bool has_segments, HasSegments(directory));
  if (has_segments) {
    return Fail(ErrorCode::kCorruption,
                "{}: holds segments but no MANIFEST, which says which of them "
                "count\n  Nothing was changed. Put the MANIFEST back if you "
                "have it. If this is no data directory of kvd, choose another "
                "one.\n{}",
                directory.path(), DamageAdvice(directory.path()));
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
  Progress(const Directory& directory, const Manifest& manifest,
           const OnLoadProgress& listener)
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

  void BeginAgain() {
    progress_.bytes_done = 0;
    progress_.segments_done = 0;
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
  const OnLoadProgress& listener_;
  LoadProgress progress_;
  bool go_on_ = true;
};

// Replays the sealed segments once; `scanned` gets the ids of those that were
// read for want of a good hint.
Result<LoadOutcome> ReplaySealed(Directory& directory, const Manifest& manifest,
                                 const LoadOptions& options, Progress* progress,
                                 Replayer* replayer,
                                 std::vector<uint64_t>* scanned) {
  bool begun = false;
  KVD_TRY_ASSIGN(
      const LoadOutcome outcome,
      LoadSealedSegments(
          directory, manifest, options, [&](LoadBatch* batch) -> Result<void> {
            const size_t index = batch->segment();
            const SealedSegment& segment = manifest.sealed[index];
            if (!begun) replayer->BeginSealed(index, batch->from_hint());
            replayer->Apply(&batch->prepared(),
                            static_cast<uint32_t>(segment.id));
            begun = !batch->ends_segment();
            if (begun) return progress->Check();
            if (batch->from_hint()) {
              replayer->EndHint(index);
            } else {
              scanned->push_back(segment.id);
            }
            progress->SegmentDone(segment.bytes);
            return progress->Check();
          }));
  if (outcome == LoadOutcome::kLoaded) replayer->EndSealed();
  return outcome;
}

// The same until no damaged hint is in the way: the second time all of a hint
// is verified before any of it counts, the third time there is something wrong
// with more than a hint.
Result<std::unique_ptr<Replayer>> ReplaySealed(Directory& directory,
                                               const Manifest& manifest,
                                               const RecoveryOptions& options,
                                               Databases* databases,
                                               Progress* progress,
                                               std::vector<uint64_t>* scanned) {
  LoadOptions load;
  load.threads = options.load_threads;
  load.hash_seed = databases->hash_seed();
  load.value_bytes_max = options.value_bytes_max;
  for (const HintUse hints :
       {HintUse::kBelieve, HintUse::kVerifyFirst, HintUse::kIgnore}) {
    load.hints = hints;
    auto replayer = std::make_unique<Replayer>(databases, manifest,
                                               options.value_bytes_max);
    KVD_TRY_ASSIGN(const LoadOutcome outcome,
                   ReplaySealed(directory, manifest, load, progress,
                                replayer.get(), scanned));
    if (outcome == LoadOutcome::kLoaded) return replayer;
    options.log(Severity::kWarning,
                fmt::format("{}: a damaged hint; reading again without it, "
                            "nothing is lost",
                            directory.path()));
    databases->BeginAgain();
    progress->BeginAgain();
    scanned->clear();
  }
  KVD_CHECK(false);
}

using Files = std::vector<std::unique_ptr<File>>;

// Each takes a descriptor. A compaction can leave any number of small ones.
constexpr size_t kNamelessFilesMax = 32;

// What fails here is done by the next start. Names go at once, so that they can
// be given out again. The space of segments goes when they are closed, which
// takes as long as removing them would.
Files CleanUp(Directory& directory, const std::vector<std::string>& leftovers,
              const std::vector<uint64_t>& scanned) {
  // Their hints were of no use, if there were any; they get new ones.
  for (const uint64_t id : scanned) (void)directory.Remove(HintName(id));
  Files nameless;
  for (const std::string& name : leftovers) {
    if (SegmentIdOf(name) && nameless.size() < kNamelessFilesMax) {
      auto file = directory.Open(name, Directory::OpenMode::kRead);
      if (file) nameless.push_back(std::move(*file));
    }
    (void)directory.Remove(name);
  }
  return nameless;
}

// Cuts what was sealed to its length, by this start or by a life that ended
// before it could.
void CutSealed(Directory& directory, const std::vector<SealedSegment>& sealed) {
  for (const SealedSegment& segment : sealed) {
    const auto file = directory.Open(SegmentName(segment.id),
                                     Directory::OpenMode::kReadWrite);
    if (!file) continue;
    const Result<uint64_t> bytes = (*file)->Size();
    if (bytes && *bytes > segment.bytes) {
      (void)(*file)->Truncate(segment.bytes);
    }
  }
}

// Calls `each` with the names of those that were live and are not sealed.
void ForEachUnused(const std::vector<LiveSegmentLine>& live,
                   const std::vector<SealedSegment>& sealed,
                   const std::function<void(const std::string&)>& each) {
  for (const LiveSegmentLine& line : live) {
    const bool survives =
        std::any_of(sealed.begin(), sealed.end(),
                    [&](const SealedSegment& s) { return s.id == line.id; });
    if (!survives) each(SegmentName(line.id));
  }
}

// Closes what has no name any more, cuts what was sealed, and removes what was
// live and is not sealed.
void GiveSpaceBack(Directory& directory, Files& nameless,
                   const std::vector<LiveSegmentLine>& live,
                   const std::vector<SealedSegment>& sealed) {
  nameless.clear();
  CutSealed(directory, sealed);
  ForEachUnused(live, sealed,
                [&](const std::string& name) { (void)directory.Remove(name); });
}

// Without a free byte on the disk, and without a spare for the MANIFEST, what
// nobody needs has to go first: the files that no MANIFEST names, and what
// segments have behind their last group. `next` is the MANIFEST that waits for
// room. A start after a crash in between may count the ends of live segments as
// a torn tail; they hold nothing.
void MakeRoom(Directory& directory, const Manifest& before,
              const Manifest& next, const std::vector<std::string>& leftovers) {
  // A power loss must not bring back an older MANIFEST, which names them.
  if (!directory.Sync()) return;
  for (const std::string& name : leftovers) (void)directory.Remove(name);
  CutSealed(directory, next.sealed);
  ForEachUnused(before.Live(), next.sealed, [&](const std::string& name) {
    auto file = directory.Open(name, Directory::OpenMode::kReadWrite);
    if (file) (void)(*file)->Truncate(0);
  });
  // Some give space away again no sooner.
  (void)directory.Sync();
}

RecoveryReport Report(const Manifest& before, const LogTail& tail,
                      const LogSink& log) {
  RecoveryReport report;
  report.clean_stop = before.clean;
  report.segments = before.sealed.size() + tail.survivors.size();
  report.torn_bytes = tail.torn_bytes;
  report.torn_records = tail.torn_records;
  report.last_seq = tail.last_seq;
  if (tail.torn_bytes > 0) {
    log(Severity::kWarning,
        fmt::format("{}: cut a torn tail of {} bytes with {} records; nothing "
                    "proves that it had been durable",
                    tail.torn_at, tail.torn_bytes, tail.torn_records));
  }
  return report;
}

}  // namespace

Result<Recovered> Recover(Directory& directory, const RecoveryOptions& options,
                          Databases* databases) {
  Result<Manifest> loaded = LoadManifest(directory);
  const bool create = !loaded && loaded.error().code() == ErrorCode::kNotFound;
  if (create) loaded = CreateStore(directory);
  if (!loaded) return Unexpected(loaded.error());
  const Manifest& before = *loaded;
  KVD_TRY_ASSIGN(const std::vector<std::string> leftovers,
                 FindLeftovers(directory, before));

  Progress progress(directory, before, options.on_progress);
  std::vector<uint64_t> scanned;
  KVD_TRY_ASSIGN(
      const std::unique_ptr<Replayer> replayer,
      ReplaySealed(directory, before, options, databases, &progress, &scanned));
  KVD_TRY_ASSIGN(const LogTail tail,
                 ReadLiveSegments(
                     directory, before,
                     [&](const Group& group, uint32_t segment) {
                       replayer->Apply(group, segment);
                     },
                     [&](uint64_t bytes) { progress.SegmentDone(bytes); }));
  KVD_TRY(progress.Check());

  if (!IsPlanted(PlantedBug::kTailNotRewritten)) {
    KVD_TRY(RewriteSurvivors(directory, tail));
  }
  const Manifest next = NextEpoch(before, tail, databases->map());
  Result<void> saved = SaveManifest(directory, next);
  if (!saved && NeedsRoom(saved.error())) {
    MakeRoom(directory, before, next, leftovers);
    saved = SaveManifest(directory, next);
  }
  if (!saved) return Unexpected(saved.error());
  auto nameless =
      std::make_shared<Files>(CleanUp(directory, leftovers, scanned));
  RecoveryReport report = Report(before, tail, options.log);
  report.created = create;
  report.hinted = before.sealed.size() - scanned.size();
  report.records = replayer->records();
  return Recovered{
      next,
      [&directory, nameless = std::move(nameless), live = before.Live(), next] {
        GiveSpaceBack(directory, *nameless, live, next.sealed);
        LeaveManifestSpare(directory, next);
      },
      report};
}

}  // namespace kvd
