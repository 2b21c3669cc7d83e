// SPDX-License-Identifier: MIT
//
// The segments that groups enter. Each is allocated, durable in bytes and name,
// and named in the MANIFEST before the first group; a full one is sealed once
// its last group is durable. Jobs on another thread do that ahead of time:
//
//   prepare a file ──▶ name it in the MANIFEST ──▶ prepared ──▶ active
//       ▲                                                         │ full
//       └──────────── the next MANIFEST says sealed ◀── retiring ◀┘
//
// The owner of the open group says when a segment is left. While that group has
// no records, the supply may enter the prepared one by itself where a function
// says so: then the owner looks at active() again.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/executor.h"
#include "fs/file_system.h"
#include "log/format/segment_head.h"
#include "log/write/live_segment.h"
#include "log/write/log_state.h"
#include "log/write/log_writer_options.h"
#include "log/write/manifest_keeper.h"
#include "log/write/room.h"
#include "log/write/slow_jobs.h"
#include "log/write/trouble.h"
#include "log/write/zeroing_choice.h"

namespace kvd {

// Kept free in the last segment of a full disk for removals; at most a
// sixteenth of the segment.
inline constexpr uint64_t kRemovalReserveBytes = 1 << 20;
// On a disk that has no room for a whole segment, smaller ones are tried down
// to this size.
inline constexpr uint64_t kSmallSegmentBytes = 1 << 20;

// Thread: loop.
class SegmentSupply {
 public:
  // `give_space_back` is that of the options. All references outlive it.
  SegmentSupply(Directory& directory, const LogWriterOptions& options,
                std::function<void()> give_space_back, ManifestKeeper& manifest,
                LogState& state, Executor& slow_work, Clock& clock, Wake wake);
  SegmentSupply(const SegmentSupply&) = delete;
  SegmentSupply& operator=(const SegmentSupply&) = delete;

  // --- The active segment ---

  // Null before the first one is there, and behind SealAll().
  LiveSegment* active() { return active_ ? &*active_ : nullptr; }
  const LiveSegment* active() const { return active_ ? &*active_ : nullptr; }
  // Of the active segment, if its first group begins behind the change `seq`,
  // the last that was appended.
  SegmentHead HeadOfActive(uint64_t seq) const;
  // The one before it while that is not sealed, or null.
  LiveSegment* retiring() { return retiring_ ? &*retiring_ : nullptr; }
  // Whether the active segment takes `bytes` behind its offset `end`.
  bool FitsActive(uint64_t end, uint64_t bytes, Purpose purpose) const;
  // Whether the prepared one takes a group of `bytes`, whatever its purpose.
  bool FitsPrepared(uint64_t bytes) const;

  // Leaves the active segment for the prepared one. Requires that there is one,
  // that the open group has no records, and that no segment is retiring.
  void Roll();
  // Asks for a segment that takes a group of `bytes`: when to ask for room
  // again.
  Room WantSegment(uint64_t bytes);
  // Seals the retiring segment. All of its groups are durable.
  void SealRetiring();
  // Seals everything, with a last MANIFEST, unless jobs are under way: then it
  // is called again. `next_seq` is what the first change after it would get.
  void SealAll(uint64_t next_seq);

  // --- What groups are like ---

  // A group with records was submitted; its size.
  void NoteGroup(uint64_t bytes) { zeroing_choice_.NoteGroup(bytes); }
  void NoteLull() { zeroing_choice_.NoteLull(); }
  // After a flood of large groups: gets small ones into a segment of zeros. May
  // enter another one.
  void LeaveUnzeroed(bool open_is_empty);

  // --- Its work ---

  // Prepares a segment unless there is one, or will be.
  void PrepareAhead();
  // Takes completed jobs in; true if there were any. May enter another segment.
  bool TakeAnswers(bool open_is_empty);
  // Whether writers who wait should ask again: true once.
  bool TakeNews() { return std::exchange(has_news_, false); }
  // Tries again what failed, if it is time.
  void Retry(int64_t now_ms);
  // The monotonic time at which Retry() has something to do; INT64_MAX for not
  // before something happens.
  int64_t RetryAtMs(int64_t now_ms) const;

  // --- Compaction; LogWriter has the contracts ---

  uint64_t ReserveSegmentIds(uint64_t count, uint64_t* first_id);
  SegmentHead HeadBehind(const std::vector<SealedSegment>& victims) const;
  uint64_t ReplaceSealed(const std::vector<SealedSegment>& victims,
                         const std::vector<SealedSegment>& outputs);

  // --- For people ---

  std::vector<ExpectedFile> LiveFiles() const;
  // Whether room is missing, for segments or for the MANIFEST.
  bool disk_full() const {
    return FullForSegments() || trouble_.ManifestNeedsRoom();
  }
  uint64_t free_disk_bytes() const { return free_disk_bytes_; }
  uint64_t zeroing_limit() const { return zeroing_choice_.limit(); }

 private:
  bool FullForSegments() const {
    return trouble_.IsFullFor(options_.segment_bytes);
  }
  uint64_t SmallestSegmentBytes() const;
  // The segment that a group of `bytes` needs.
  uint64_t SegmentBytesFor(uint64_t bytes) const;
  // Of all that is written to the end: what is sealed, or will be at once.
  std::vector<uint64_t> CountingIds() const;
  // All ids below this one count or never will again: none is being written,
  // prepared or kept for a compaction. 0 if there is nothing to tell.
  uint64_t KnownBelow() const;
  // What a head says of ids now, if these count.
  SegmentHead HeadWith(std::vector<uint64_t> counting) const;
  // Ids below KnownBelow() that do not count.
  std::vector<IdRange> Retired() const;

  // Prepares a segment of `bytes`, or of less, down to `bytes_min`, if the disk
  // is full; for groups of `group_bytes`.
  void StartPreparing(uint64_t bytes, uint64_t bytes_min, uint64_t group_bytes);
  void OnPrepared(SegmentPrepared prepared);
  void OnNotPrepared(const Error& error, uint64_t bytes_min);
  void MakeCandidate(PreparedSegment made);
  void ZeroPrepared();
  void OnZeroed(const SegmentZeroed& zeroed, bool open_is_empty);
  // What the options have, once, if it is due before `bytes_next` are taken.
  std::function<void()> SpaceToGiveBack(uint64_t bytes_next);
  void Discard(std::optional<LiveSegment>* segment);

  void WriteManifestIfNeeded();
  void OnManifest(const ManifestSaved& saved);
  void EnterCandidate();
  void EndStop(const Result<void>& saved);

  // Whether another try to get a segment may bring what is missing.
  bool WantsRetry() const;
  // Whether such a mark stands, and no try to come will end it.
  bool WantsLook() const;
  void LookAgain(int64_t now_ms);

  int64_t NowMs() const { return clock_.MonotonicUs() / 1000; }

  Directory& directory_;
  const LogWriterOptions& options_;
  std::function<void()> give_space_back_;
  ManifestKeeper& manifest_;
  LogState& state_;
  Clock& clock_;
  Wake wake_;

  std::optional<LiveSegment> active_;
  std::optional<LiveSegment> retiring_;   // Full, its last group not durable.
  std::optional<LiveSegment> prepared_;   // Named in the durable MANIFEST.
  std::optional<LiveSegment> candidate_;  // Exists, not named durably yet.
  std::optional<LiveSegment> displaced_;  // Was prepared, and too small.
  std::optional<LiveSegment> zeroing_;    // Was prepared, and is again soon.
  // The ids of a compaction that is under way, or gave up, begin here.
  std::optional<uint64_t> reserved_from_;
  bool preparing_ = false;
  bool naming_ = false;  // The MANIFEST under way names candidate_.

  ZeroingChoice zeroing_choice_;
  SupplyTrouble trouble_;
  bool has_news_ = false;
  uint64_t free_disk_bytes_ = 0;
  // Declared last: its destructor waits for jobs, which have the files.
  SlowJobs jobs_;
};

}  // namespace kvd
