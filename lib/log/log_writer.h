// SPDX-License-Identifier: MIT
//
// The writing end of the log. Records are appended to the open commit group;
// while one group is on its way to the disk the next one grows, so groups get
// larger exactly when the disk is the bottleneck.
//
// Space before apply: a record is appended only after RoomFor() found room in a
// segment that is allocated and named in the MANIFEST. Segments are prepared
// ahead of time by jobs on another thread:
//
//   prepare a file ──▶ name it in the MANIFEST ──▶ prepared ──▶ active
//       ▲                                                         │ full
//       └──────────── the next MANIFEST says sealed ◀── retiring ◀┘
//
// The writer owns the Manifest value; jobs get copies. One job for the MANIFEST
// is under way at a time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/checksum.h"
#include "base/clock.h"
#include "base/durability.h"
#include "base/error.h"
#include "base/executor.h"
#include "base/log_sink.h"
#include "base/mailbox.h"
#include "fs/file_system.h"
#include "log/format/manifest.h"
#include "log/format/place.h"
#include "log/format/record.h"
#include "log/log_figures.h"
#include "log/room.h"
#include "log/write/gathering.h"
#include "log/write/group_buffer.h"

namespace kvd {

// Larger groups are refused: offsets in a segment fit 32 bits.
inline constexpr uint64_t kGroupBodyBytesMax = uint64_t{1} << 30;
// Kept free in the last segment of a full disk for removals; at most a
// sixteenth of the segment.
inline constexpr uint64_t kRemovalReserveBytes = 1 << 20;
// Left free on the disk: for the MANIFEST, and so that a store which is opened
// on a full disk finds room for one small segment, for removals alone.
inline constexpr uint64_t kDiskReserveBytes = 2 << 20;
inline constexpr uint64_t kManifestReserveBytes = 256 << 10;
// On a disk that has no room for a whole segment, smaller ones are tried down
// to this size.
inline constexpr uint64_t kSmallSegmentBytes = 1 << 20;
inline constexpr int64_t kDiskFullRetryMs = 1000;
// Flushes of databases and swaps that wait to be durable; with more of them the
// lazy modes sync.
inline constexpr size_t kDatabaseChangesMax = 16 << 10;
// How long a stop waits for room that a group needs which is under way.
inline constexpr int64_t kStopStallMs = 3000;
// A flush of this size takes as long as its bytes need: that others come along
// saves nothing, and a disk that waits for them loses time.
inline constexpr uint64_t kLargeGroupBytes = 512 << 10;
// From groups of this size on it costs less to let each flush change the
// metadata of the blocks that it fills than to write every block twice: where
// Directory::ZeroingLimit() does not tell.
inline constexpr uint64_t kZeroingLimitDefault = 1 << 20;
// How large groups usually are is a mean that forgets: each counts for one of
// so many, and beside that for its share of so many bytes.
inline constexpr double kUsualGroups = 64;
inline constexpr double kUsualBytes = 4 << 20;

struct LogWriterOptions {
  SyncMode sync = SyncMode::kAlways;
  int64_t sync_interval_ms = 1000;
  WriteDevice device = WriteDevice::kAuto;
  bool gathers = false;  // If the loop looks at Gathers().
  uint64_t segment_bytes = 64ull << 20;
  // Of the first one, if that is less: it is written with zeros while the first
  // writers wait.
  uint64_t first_segment_bytes = 4 << 20;
  uint64_t open_group_bytes_max = 8 << 20;
  int64_t idle_declare_ms = 100;
  // Slow work that frees space of older segments; none if empty. It goes ahead
  // of the second segment, or of what comes first where room is not ample.
  std::function<void()> give_space_back;
  LogSink log = [](Severity, const std::string&) {};
};

// Thread: loop.
class LogWriter {
 public:
  // `manifest` is the durable one and names no live segments; the first change
  // gets its next_seq. References outlive the writer.
  static Result<std::unique_ptr<LogWriter>> Start(Directory& directory,
                                                  Manifest manifest,
                                                  LogWriterOptions options,
                                                  Executor& slow_work,
                                                  Clock& clock, Wake wake);
  // Waits for jobs and writes under way; what is still open is not written.
  ~LogWriter();
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;

  // Whether records of `bytes` together can be appended now, into one group.
  Room RoomFor(uint64_t bytes, Purpose purpose);

  struct Appended {
    uint64_t seq = 0;
    Place place;
  };
  // Appends within what RoomFor() granted.
  Appended Append(RecordKind kind, uint8_t database, std::string_view key,
                  std::string_view value, uint64_t deadline_ms);

  // Starts writing the open group if the device is free.
  void Pump();
  // Whether the open group waits for writers, though the device is free: Pump()
  // wants to be called again at once.
  bool Gathers() const;
  // Takes completions in; after one, a large group leaves at once. True when
  // something that others wait for happened: more is durable, room may have
  // appeared, or the log failed.
  bool Poll();
  // Syncs, declares and retries when due. In how many ms it wants to be called
  // again; nothing for "not before something happens".
  std::optional<int64_t> Tick();

  // For compaction. Each returns a ticket: InManifest() says when the change is
  // durable in the MANIFEST.

  // Gives out `count` ids of segments, from `*first_id` on. No file may have
  // one before the MANIFEST shows that it was given out.
  uint64_t ReserveSegmentIds(uint64_t count, uint64_t* first_id);
  // Puts compacted segments, durable in bytes and names, in the place of sealed
  // ones. The caller removes the files of those once it is durable. History is
  // complete only above what they held.
  uint64_t ReplaceSealed(const std::vector<SealedSegment>& victims,
                         const std::vector<SealedSegment>& outputs);
  bool InManifest(uint64_t ticket) const { return manifest_durable_ >= ticket; }
  // Asks for a sync that makes everything executed so far durable, in the lazy
  // modes too.
  void WantDurable();

  // For whoever looks whether the files are still there. Between two calls that
  // both name a file, it was there all the time, and nobody was about to take
  // it away: those which groups enter or may enter soon, and the MANIFEST. (The
  // sealed ones are in manifest().)
  std::vector<ExpectedFile> LiveFiles() const;
  // Nothing is written any more, nothing becomes durable; failure() says why.
  void Abandon(Error error);
  bool abandoned() const { return abandoned_; }

  // Seals everything and marks the MANIFEST clean; stopped() after some Poll().
  void Stop();
  bool stopped() const { return stopped_; }

  uint64_t last_seq() const { return next_seq_ - 1; }
  uint64_t durable_seq() const { return durable_seq_; }
  // Every change up to this one can be read from its segment.
  uint64_t written_seq() const { return written_seq_; }
  const std::optional<Error>& failure() const { return failure_; }
  // Whether new data is refused, or waits, because the disk has no room.
  bool disk_full() const {
    return FullForSegments() || ManifestHasNoRoom() ||
           (stalled_ && NeedsRoom(*stalled_));
  }
  const Manifest& manifest() const { return manifest_; }
  // Memory of the open group and of the one being written.
  uint64_t buffer_bytes() const {
    return open_.memory_bytes() + flying_.memory_bytes();
  }
  uint64_t groups_written() const { return groups_written_; }
  uint64_t syncs() const { return syncs_; }
  const LogFigures& figures() const { return figures_; }
  void ResetFigures() { figures_ = {}; }
  uint64_t free_disk_bytes() const { return free_disk_bytes_; }
  const DurableWriter& device() const { return *device_; }
  // Segments for groups of this many bytes and more are not zeroed.
  uint64_t zeroing_limit() const { return zeroing_limit_; }
  uint32_t active_segment() const;

 private:
  struct LiveSegment {
    SegmentIdentity identity;
    std::unique_ptr<File> file;
    uint64_t capacity = 0;
    bool zeroed = false;
    bool removals_only = false;  // It was made out of the reserve.
    // Of what was submitted so far.
    uint64_t end = 0;
    uint64_t records = 0;
    uint64_t first_seq = 0;
    uint64_t last_seq = 0;
    StreamingChecksum checksum{0};
  };

  enum class Flight { kNone, kGroup, kSync };

  struct Prepared {
    uint64_t id = 0;
    uint64_t capacity = 0;
    uint64_t free_disk_bytes = 0;
    bool zeroed = false;
    bool from_reserve = false;
    std::unique_ptr<File> file;
    std::optional<uint64_t> zeroing_limit;  // If it was asked for, and is told.
  };
  struct PrepareDone {
    uint64_t bytes_min = 0;
    Result<Prepared> result;
  };
  struct ManifestDone {
    Result<void> result;
    uint64_t identity = 0;
  };
  struct ZeroDone {
    Result<void> result;
  };
  struct DatabaseChange {
    RecordKind kind;
    uint8_t database;
    uint8_t other;  // For kSwap.
    uint64_t seq;
  };
  struct SealedFile {
    std::unique_ptr<File> file;
    uint64_t bytes = 0;
  };
  struct Event {
    std::optional<PrepareDone> prepared;
    std::optional<ManifestDone> manifest;
    std::optional<ZeroDone> zeroed;
  };

  LogWriter(Directory& directory, Manifest manifest, LogWriterOptions options,
            Executor& slow_work, Clock& clock, Wake wake);

  // Room.
  bool FitsActive(uint64_t bytes, Purpose purpose) const;
  bool FullForSegments() const {
    return full_for_bytes_ <= options_.segment_bytes;
  }
  bool ManifestHasNoRoom() const {
    return manifest_trouble_ && NeedsRoom(*manifest_trouble_);
  }
  bool FitsPrepared(uint64_t bytes) const;
  void Roll();
  Room WantSegment(uint64_t bytes);
  static uint64_t SegmentBytesFor(uint64_t bytes);
  // Whether a segment for groups of `group_bytes` should have been zeroed.
  bool WantsZeros(uint64_t group_bytes) const;
  uint64_t UsualGroupBytes() const {
    return static_cast<uint64_t>(usual_group_bytes_);
  }
  uint64_t SmallestSegmentBytes() const {
    return std::min(options_.segment_bytes, kSmallSegmentBytes);
  }

  // The device.
  bool OpenIsLarge() const { return open_.body_bytes() >= kLargeGroupBytes; }
  // Whether a group or a sync is under way, or waits to be tried again.
  bool InFlight() const { return flight_ != Flight::kNone; }
  void SubmitGroup();
  void SendGroup();
  void NoteUsual(uint64_t group_bytes);
  void SubmitSync(File& file, uint64_t covers);
  void FinishFlight();
  void FailFlight(const Error& error);
  void RetryFlight();
  void CountFlight(Flight flight);
  void BecameDurable(uint64_t seq);
  bool SyncDue() const;
  bool HasUndeclared() const;
  bool DeclareDue() const;
  bool PumpRetiring();

  // Segments and the MANIFEST.
  struct Wanted {
    uint64_t bytes = 0;
    uint64_t bytes_min = 0;  // For a disk that has no room for more.
    bool zeroed = true;
    bool may_use_reserve = false;
    bool tries_zeros = false;
  };
  // Prepares a segment of `bytes`, or of less, down to `bytes_min`, if the disk
  // is full; for groups of `group_bytes`.
  void StartPreparing(uint64_t bytes, uint64_t bytes_min, uint64_t group_bytes);
  // options_.give_space_back, once, if it is due before `bytes_next` are taken.
  std::function<void()> SpaceToGiveBack(uint64_t bytes_next);
  void PrepareAhead();
  // After a flood of large groups: gets small ones into a segment of zeros.
  void LeaveUnzeroed();
  void ZeroPrepared();
  // Whether another try to get a segment may bring what is missing.
  bool WantsRetry() const {
    return (FullForSegments() || shortage_) && !preparing_ && !candidate_ &&
           !prepared_ && !zeroing_;
  }
  // Whether such a mark stands, and no try to come will end it.
  bool WantsLook() const {
    return (FullForSegments() || shortage_) && prepared_;
  }
  void LookAgain();
  // Thread: slow work.
  Result<Prepared> Prepare(uint64_t id, const Wanted& wanted);
  void OnPrepared(PrepareDone done);
  // For segments of `bytes` and more; to be tried again after a while.
  void FoundNoRoom(uint64_t bytes);
  void FoundRoom();
  // Notes what is in the way for a while; once for people.
  void NoteTrouble(std::optional<Error>* trouble, const Error& error);
  void EndTrouble(std::optional<Error>* trouble, std::string_view words);
  void Seal(LiveSegment& segment);
  void WriteManifestIfNeeded();
  void Discard(std::optional<LiveSegment>* segment);
  void OnManifest(ManifestDone done);
  void OnZeroed(const ZeroDone& done);
  void AdvanceStop();
  void FailWith(Error error);

  int64_t NowMs() const { return clock_.MonotonicUs() / 1000; }

  Directory& directory_;
  LogWriterOptions options_;
  Executor& slow_work_;
  Clock& clock_;
  Wake wake_;
  Mailbox<Event> events_;
  int jobs_ = 0;  // Posted, their events not taken yet.

  Manifest manifest_;  // As it should be; written when dirty.
  bool manifest_dirty_ = false;
  bool manifest_writing_ = false;
  // Of the file; 0 for not known: none was written, or the last try failed.
  uint64_t manifest_identity_ = 0;
  bool manifest_is_last_ = false;  // The one under way is of the clean stop.
  bool naming_ = false;            // The one under way names candidate_.
  // Changes by compaction: made, in the MANIFEST under way, in the durable one.
  uint64_t manifest_changes_ = 0;
  uint64_t manifest_covers_ = 0;
  uint64_t manifest_durable_ = 0;
  // Flushes and swaps that are not durable yet: they enter the MANIFEST later.
  std::deque<DatabaseChange> database_changes_;

  std::optional<LiveSegment> active_;
  std::optional<LiveSegment> retiring_;   // Full, its last group not durable.
  std::optional<LiveSegment> prepared_;   // Named in the durable MANIFEST.
  std::optional<LiveSegment> candidate_;  // Exists, not named durably yet.
  std::optional<LiveSegment> displaced_;  // Was prepared, and too small.
  std::optional<LiveSegment> zeroing_;    // Was prepared, and is again soon.
  // To be cut to their length and closed, and to be removed, by the next write
  // of the MANIFEST.
  std::vector<SealedFile> sealed_files_;
  std::vector<std::string> garbage_;
  // In the hands of a job.
  std::vector<SealedFile> closing_;
  std::vector<std::string> removing_;
  bool preparing_ = false;
  double usual_group_bytes_ = 0;  // Of those with records, of late.
  uint64_t zeroing_limit_ = kZeroingLimitDefault;
  bool zeros_tried_ = false;
  uint64_t full_for_bytes_ =
      UINT64_MAX;  // A segment of this size found no room.
  // What the last try met and the next may not: to prepare a segment, room set
  // aside; to write the MANIFEST.
  std::optional<Error> shortage_;
  std::optional<Error> manifest_trouble_;
  bool has_news_ = false;  // For those who wait, with the next Poll().
  int64_t retry_at_ms_ = 0;
  uint64_t free_disk_bytes_ = 0;

  GroupBuffer open_;
  GroupBuffer flying_;
  Flight flight_ = Flight::kNone;
  File* flight_file_ = nullptr;
  // Why the flight did not land; it is tried again at retry_flight_ms_.
  std::optional<Error> stalled_;
  int64_t retry_flight_ms_ = 0;
  uint64_t flight_covers_ = 0;  // Durable, or written, once it has landed.

  uint64_t next_seq_ = 1;
  uint64_t written_seq_ = 0;  // Completed, synced or not.
  uint64_t durable_seq_ = 0;
  uint64_t declared_seq_ = 0;  // The durable_seq of the newest group header.
  bool unsynced_ = false;
  uint64_t wanted_seq_ = 0;  // To become durable in every sync mode.
  int64_t last_sync_ms_ = 0;
  int64_t last_group_ms_ = 0;
  uint64_t groups_written_ = 0;
  uint64_t syncs_ = 0;
  LogFigures figures_;
  int64_t open_since_ns_ = 0;  // When the open group got its first record.
  int64_t flying_since_ns_ = 0;
  int64_t submitted_ns_ = 0;
  Gathering gathering_;

  std::optional<Error> failure_;
  bool abandoned_ = false;
  bool stopping_ = false;
  int64_t stop_by_ms_ = 0;  // While stopping, for a flight that does not land.
  bool stopped_ = false;
  // Declared last: its destructor waits for the write in flight.
  std::unique_ptr<DurableWriter> device_;
};

}  // namespace kvd
