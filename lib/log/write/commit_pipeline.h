// SPDX-License-Identifier: MIT
//
// The way of a change to the disk: it is appended to the open commit group;
// while one group flies, on its way to the disk, the next one grows. It knows
// what is written and what is durable, and declares that in the next group.
//
//   Append ──▶ open group ──▶ flying: a write, synced or not ──▶ written_seq
//                                │ no room, or what passes           │ synced
//                                └──▶ the same bytes again           ▼
//                                                              durable_seq
//
// One write or sync is under way at a time. The bytes go to the active segment
// of the SegmentSupply, which knows nothing of groups.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"
#include "fs/file_system.h"
#include "log/format/place.h"
#include "log/format/record.h"
#include "log/write/gathering.h"
#include "log/write/group_buffer.h"
#include "log/write/log_figures.h"
#include "log/write/log_state.h"
#include "log/write/log_writer_options.h"
#include "log/write/manifest_keeper.h"
#include "log/write/room.h"
#include "log/write/segment_supply.h"
#include "log/write/trouble.h"

namespace kvd {

// Larger groups are refused: offsets in a segment fit 32 bits.
inline constexpr uint64_t kGroupBodyBytesMax = uint64_t{1} << 30;
// A flush of this size takes as long as its bytes need: that others come along
// saves nothing, and a disk that waits for them loses time.
inline constexpr uint64_t kLargeGroupBytes = 512 << 10;
// How long a stop waits for room that a group needs which is under way.
inline constexpr int64_t kStopStallMs = 3000;

// Thread: loop.
class CommitPipeline {
 public:
  // The first change gets the number behind `last_seq`. All references outlive
  // it, and so do the segments.
  CommitPipeline(const LogWriterOptions& options, uint64_t last_seq,
                 SegmentSupply& supply, ManifestKeeper& manifest,
                 LogState& state, Clock& clock,
                 std::unique_ptr<DurableWriter> device);
  CommitPipeline(const CommitPipeline&) = delete;
  CommitPipeline& operator=(const CommitPipeline&) = delete;

  // LogWriter has the contracts of these.
  Room RoomFor(uint64_t bytes, Purpose purpose);
  struct Appended {
    uint64_t seq = 0;
    Place place;
  };
  Appended Append(RecordKind kind, uint16_t database, std::string_view key,
                  std::string_view value, uint64_t deadline_ms);
  Room RoomBehind(uint64_t bytes, Purpose purpose) const;
  // What an Append() changes: where the open group ends, and what follows from
  // that.
  struct Mark {
    uint32_t records = 0;
    uint64_t body_bytes = 0;
    uint64_t next_seq = 0;
    uint64_t wanted_seq = 0;
    int64_t open_since_ns = 0;
    size_t database_changes = 0;
    Gathering gathering;

    bool operator==(const Mark&) const = default;
  };
  Mark MarkEnd() const;
  uint64_t BytesSince(const Mark& mark) const {
    return open_.body_bytes() - mark.body_bytes;
  }
  void CutBack(const Mark& mark);
  void Pump();
  bool Gathers() const;
  bool Poll();
  void WantDurable();
  void Stop();

  // Tries the group in flight again, if it is time.
  void Retry(int64_t now_ms);
  // Syncs and declares, if it is time.
  void PumpIfDue();
  // The monotonic time at which either has something to do; INT64_MAX for not
  // before something happens.
  int64_t DueAtMs(int64_t now_ms) const;

  uint64_t last_seq() const { return next_seq_ - 1; }
  // The newest change that is not in the open group.
  uint64_t submitted_seq() const { return last_seq() - open_.records(); }
  uint64_t durable_seq() const { return durable_seq_; }
  uint64_t written_seq() const { return written_seq_; }
  // Whether the group in flight waits for room on the disk.
  bool disk_full() const { return stalled_.needs_room(); }
  uint64_t buffer_bytes() const {
    return open_.memory_bytes() + flying_.memory_bytes();
  }
  uint64_t groups_written() const { return groups_written_; }
  uint64_t syncs() const { return syncs_; }
  const LogFigures& figures() const { return figures_; }
  void ResetFigures() { figures_ = {}; }
  const DurableWriter& device() const { return *device_; }

 private:
  enum class Flying { kNothing, kGroup, kSync };

  // What the device does, or is to do again.
  struct Flight {
    Flying what = Flying::kNothing;
    File* file = nullptr;  // Of a group.
    uint64_t covers = 0;   // Durable, or written, once it has landed.
    int64_t since_ns = 0;  // When a group got its first record.
    int64_t submitted_ns = 0;
  };

  bool Always() const { return options_.sync == SyncMode::kAlways; }
  bool OpenIsLarge() const { return open_.body_bytes() >= kLargeGroupBytes; }
  bool FitsActive(uint64_t bytes, Purpose purpose) const {
    return supply_.FitsActive(open_.End(), bytes, purpose);
  }
  void FollowActive();
  void NoteDatabaseChange(RecordKind kind, uint16_t database,
                          std::string_view value, uint64_t seq);

  // Whether a group or a sync is under way, or waits to be tried again.
  bool InFlight() const { return flight_.what != Flying::kNothing; }
  void SubmitGroup();
  void NoteSubmitted(uint64_t first_seq, LiveSegment* segment);
  void SendGroup();
  void SubmitSync(File& file);
  bool PumpRetiring();
  bool PollDevice();
  void FinishFlight();
  void FailFlight(const Error& error);
  void CountFlight(Flying what);
  void BecameDurable(uint64_t seq);
  bool SyncDue() const;
  bool HasUndeclared() const;
  bool DeclareDue() const;

  int64_t NowMs() const { return clock_.MonotonicUs() / 1000; }

  const LogWriterOptions& options_;
  SegmentSupply& supply_;
  ManifestKeeper& manifest_;
  LogState& state_;
  Clock& clock_;

  GroupBuffer open_;
  uint64_t open_segment_ = 0;  // The segment that it is for; 0 for none yet.
  int64_t open_since_ns_ = 0;  // When it got its first record.
  Gathering gathering_;
  GroupBuffer flying_;
  Flight flight_;
  // Why the flight did not land; it is tried again at retry_flight_ms_.
  Trouble stalled_;
  int64_t retry_flight_ms_ = 0;
  int64_t stop_by_ms_ = 0;  // While stopping, for a flight that does not land.

  uint64_t next_seq_;
  uint64_t written_seq_;  // Completed, synced or not.
  uint64_t durable_seq_;
  uint64_t declared_seq_;  // The durable_seq of the newest group header.
  bool unsynced_ = false;
  uint64_t wanted_seq_ = 0;  // To become durable in every sync mode.
  int64_t last_sync_ms_;
  int64_t last_group_ms_;
  uint64_t groups_written_ = 0;
  uint64_t syncs_ = 0;
  LogFigures figures_;
  // Declared last: its destructor waits for the write in flight.
  std::unique_ptr<DurableWriter> device_;
};

}  // namespace kvd
