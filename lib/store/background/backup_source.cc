// SPDX-License-Identifier: MIT
#include "store/background/backup_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/planted_bug.h"
#include "log/format/segment.h"
#include "store/background/compactor.h"

namespace kvd {
namespace {

// How soon it looks again whether its changes are durable.
constexpr int64_t kSyncLookMs = 10;

}  // namespace

BackupSource::BackupSource(const Maintenance& with, Executor& reads,
                           const BackupSourceOptions& options,
                           SegmentPins& pins)
    : directory_(with.directory),
      log_(with.log),
      report_(with.report),
      wake_(with.wake),
      options_(options),
      pins_(pins),
      worker_(reads, with.clock, with.wake) {}

// --- From the first step to the last ----------------------------------------

Result<uint64_t> BackupSource::Begin() {
  if (phase_ != Phase::kNone) {
    return Fail(ErrorCode::kHeld,
                "another backup is under way, and there is one at a time; it "
                "ends with the connection that it came on");
  }
  if (log_.failure()) return Unexpected(*log_.failure());
  if (stopping_) return Fail(ErrorCode::kUnavailable, "kvd is stopping");
  phase_ = Phase::kSettling;
  ++number_;
  error_.reset();
  begun_ms_ = worker_.NowMs();
  before_seq_ = log_.last_seq();
  bytes_given_ = 0;
  log_.WantDurable();
  Advance();
  return number_;
}

Result<void> BackupSource::Check(uint64_t number) const {
  if (number == number_ && error_) return Unexpected(*error_);
  if (number == number_ && phase_ != Phase::kNone) return {};
  return Fail(ErrorCode::kCancelled, "it has ended");
}

void BackupSource::Advance() {
  if (log_.failure() && phase_ != Phase::kNone) Abort(*log_.failure());
  if (phase_ == Phase::kSettling) {
    if (log_.durable_seq() < before_seq_) return log_.Pump();
    Take();
  }
  if (phase_ == Phase::kSyncing) {
    if (log_.durable_seq() < manifest_.databases_as_of) return log_.Pump();
    Open();
  }
  if (wants_cleanup_ && !worker_.under_way()) CleanUp();
}

void BackupSource::Take() {
  manifest_ = log_.AsOfLastGroup();
  pins_.Pin(manifest_.sealed);
  phase_ = Phase::kSyncing;
  log_.WantDurable();
}

void BackupSource::Open() {
  for (const SealedSegment& segment : manifest_.sealed) {
    lengths_[segment.id] = segment.bytes;
  }
  phase_ = Phase::kOpen;
  given_ms_ = worker_.NowMs();
  has_news_ = true;
}

const Manifest* BackupSource::manifest() {
  if (phase_ != Phase::kOpen) return nullptr;
  if (IsPlanted(PlantedBug::kBackupMixesRevisions)) {
    manifest_.sealed = log_.AsOfLastGroup().sealed;
    Open();
  }
  return &manifest_;
}

void BackupSource::End(bool done) {
  if (phase_ == Phase::kNone) return;
  if (done) {
    report_(Severity::kInfo,
            fmt::format("backed up revision {}: {} bytes in {} ms",
                        manifest_.databases_as_of, bytes_given_,
                        worker_.NowMs() - begun_ms_));
    Leave();
  } else {
    Abort(Error(ErrorCode::kCancelled, "its reader has gone"));
  }
}

void BackupSource::Abort(Error error) {
  report_(Severity::kWarning,
          fmt::format("a backup ended before it was complete: {}",
                      error.message()));
  error_ = std::move(error);
  has_news_ = true;
  Leave();
}

void BackupSource::Leave() {
  phase_ = Phase::kNone;
  manifest_ = {};
  lengths_.clear();
  reader_waits_ = false;
  next_.reset();
  ready_.reset();
  const std::vector<uint64_t> kept = pins_.Release();
  garbage_.insert(garbage_.end(), kept.begin(), kept.end());
  wants_cleanup_ = true;
  if (!worker_.under_way()) CleanUp();
}

// Removes what was kept, best effort: the next start removes what is left. To
// close a file that has no name takes as long as removing it would have.
void BackupSource::CleanUp() {
  wants_cleanup_ = false;
  std::vector<uint64_t> garbage = std::exchange(garbage_, {});
  // Files of a store that failed stay as they are.
  if (log_.failure()) garbage.clear();
  worker_.Step(
      [this, garbage = std::move(garbage)]() -> Result<void> {
        file_.reset();
        file_segment_ = 0;
        buffer_ = {};
        for (const uint64_t id : garbage) {
          (void)directory_.Remove(SegmentName(id));
          (void)directory_.Remove(HintName(id));
        }
        return {};
      },
      [](const Result<void>&) {});
}

void BackupSource::Stop() {
  stopping_ = true;
  if (phase_ != Phase::kNone) {
    Abort(Error(ErrorCode::kUnavailable, "kvd is stopping"));
  }
}

// --- Reading ----------------------------------------------------------------

Result<std::optional<std::string>> BackupSource::Read(uint64_t segment,
                                                      uint64_t offset,
                                                      size_t bytes) {
  const auto found = lengths_.find(segment);
  if (found == lengths_.end() || offset >= found->second || bytes == 0) {
    return Fail(ErrorCode::kInvalid,
                "segment {} of this backup has no byte at {}", segment, offset);
  }
  const Range range{segment, offset,
                    std::min<uint64_t>(bytes, found->second - offset)};
  if (ready_ != range) {
    reader_waits_ = true;
    // What was read ahead may be another one.
    if (!worker_.under_way()) ReadNext(range);
    return std::optional<std::string>();
  }
  ready_.reset();
  reader_waits_ = false;
  given_ms_ = worker_.NowMs();
  bytes_given_ += range.bytes;
  std::optional<std::string> piece = std::exchange(buffer_, {});
  ReadAhead(range);
  return piece;
}

// Most readers want what follows.
void BackupSource::ReadAhead(const Range& range) {
  const uint64_t next = range.offset + range.bytes;
  const uint64_t length = lengths_[range.segment];
  if (next == length || worker_.under_way()) return;
  ReadNext({range.segment, next, std::min(range.bytes, length - next)});
}

void BackupSource::ReadNext(const Range& range) {
  ready_.reset();
  next_ = range;
  StartReadIfDue();
}

int64_t BackupSource::WaitMs() const {
  return worker_.WaitMs(static_cast<double>(options_.rate_bytes_per_s));
}

// Each piece is counted from its own beginning: a reader that was slow does not
// catch up.
void BackupSource::StartReadIfDue() {
  if (!next_ || worker_.under_way() || WaitMs() > 0) return;
  const Range range = *std::exchange(next_, std::nullopt);
  worker_.BeginPace();
  worker_.CountBytes(range.bytes);
  worker_.Step([this, range] { return ReadRange(range); },
               [this, range, number = number_](const Result<void>& read) {
                 has_news_ = true;
                 if (number != number_ || phase_ != Phase::kOpen) return;
                 if (!read) return Abort(read.error());
                 ready_ = range;
               });
}

// Thread: that of reads.
Result<void> BackupSource::ReadRange(const Range& range) {
  if (file_segment_ != range.segment) {
    file_segment_ = 0;
    KVD_TRY_ASSIGN(file_, directory_.Open(SegmentName(range.segment),
                                          Directory::OpenMode::kRead));
    file_segment_ = range.segment;
  }
  buffer_.resize(range.bytes);
  KVD_TRY_ASSIGN(const size_t got, file_->ReadAt(range.offset, buffer_));
  if (got < range.bytes) {
    return Fail(ErrorCode::kCorruption,
                "{}/{}: it ends at {}, and should not before {}",
                directory_.path(), SegmentName(range.segment),
                range.offset + got, range.offset + range.bytes);
  }
  free_bytes_ = directory_.FreeBytes().value_or(UINT64_MAX);
  return {};
}

// --- Time -------------------------------------------------------------------

bool BackupSource::Poll() {
  worker_.Poll();
  Advance();
  return std::exchange(has_news_, false);
}

// Compaction would have room again without it.
bool BackupSource::DiskMissesKept() const {
  if (pins_.kept_bytes() == 0 || worker_.under_way()) return false;
  const uint64_t danger_bytes = kDangerSegments * options_.segment_bytes;
  const uint64_t seen_bytes = log_.free_disk_bytes();
  return log_.disk_full() || free_bytes_ < danger_bytes ||
         (seen_bytes != 0 && seen_bytes < danger_bytes);
}

std::optional<int64_t> BackupSource::Tick() {
  Advance();
  if (phase_ == Phase::kNone) return std::nullopt;
  if (phase_ != Phase::kOpen) return kSyncLookMs;
  if (DiskMissesKept()) {
    Abort(Error(ErrorCode::kNoSpace,
                fmt::format("the disk is nearly full, and {} bytes of replaced "
                            "segments were kept on it for this backup alone. "
                            "Free some space, or read faster",
                            pins_.kept_bytes())));
    wake_();
    return std::nullopt;
  }
  StartReadIfDue();
  if (next_ && !worker_.under_way()) return WaitMs();
  const int64_t left_ms =
      given_ms_ + options_.stall_timeout_ms - worker_.NowMs();
  if (reader_waits_) return options_.stall_timeout_ms;
  if (left_ms > 0) return left_ms;
  Abort(Error(ErrorCode::kUnavailable,
              fmt::format("its reader has taken nothing for {} ms "
                          "(backup.stall_timeout)",
                          options_.stall_timeout_ms)));
  wake_();
  return std::nullopt;
}

}  // namespace kvd
