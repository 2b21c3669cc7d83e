// SPDX-License-Identifier: MIT
//
// The writing end of the log. Records are appended to the open commit group;
// while one group is on its way to the disk the next one grows, so groups get
// larger exactly when the disk is the bottleneck.
//
// Space before apply: a record is appended only after RoomFor() found room in a
// segment that is allocated and named in the MANIFEST. The work is done by
// three parts, each of which knows those behind it alone:
//
//   CommitPipeline ──▶ SegmentSupply ──▶ ManifestKeeper
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/durability.h"
#include "base/error.h"
#include "base/executor.h"
#include "fs/file_system.h"
#include "log/format/manifest.h"
#include "log/format/record.h"
#include "log/format/segment_head.h"
#include "log/write/commit_pipeline.h"
#include "log/write/log_figures.h"
#include "log/write/log_state.h"
#include "log/write/log_writer_options.h"
#include "log/write/manifest_keeper.h"
#include "log/write/room.h"
#include "log/write/segment_supply.h"

namespace kvd {

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
  Room RoomFor(uint64_t bytes, Purpose purpose) {
    return pipeline_.RoomFor(bytes, purpose);
  }

  using Appended = CommitPipeline::Appended;
  // Appends within what RoomFor() granted.
  Appended Append(RecordKind kind, uint16_t database, std::string_view key,
                  std::string_view value, uint64_t deadline_ms) {
    return pipeline_.Append(kind, database, key, value, deadline_ms);
  }

  // For changes that are undone together if not all of them can be made. They
  // stay in one group, and go no further than that, as long as only these
  // functions and Append() are called between the first of them and the last.
  using Mark = CommitPipeline::Mark;
  // Before the first, when RoomFor() has found room for it.
  Mark MarkEnd() const { return pipeline_.MarkEnd(); }
  // Whether `bytes` more fit behind those before, whatever the group's size.
  // kWait calls for CutBack(), and for RoomFor() all of them the next time.
  Room RoomBehind(uint64_t bytes, Purpose purpose) const {
    return pipeline_.RoomBehind(bytes, purpose);
  }
  uint64_t BytesSince(const Mark& mark) const {
    return pipeline_.BytesSince(mark);
  }
  // Takes back all that was appended since. Its numbers are given again, so
  // nobody may have seen them.
  void CutBack(const Mark& mark) { pipeline_.CutBack(mark); }

  // Starts writing the open group if the device is free.
  void Pump() { pipeline_.Pump(); }
  // Whether the open group waits for writers, though the device is free: Pump()
  // wants to be called again at once.
  bool Gathers() const { return pipeline_.Gathers(); }
  // Takes completions in; after one, a large group leaves at once. True when
  // something that others wait for happened: more is durable, room may have
  // appeared, or the log failed.
  bool Poll() { return pipeline_.Poll(); }
  // Syncs, declares and retries when due. In how many ms it wants to be called
  // again; nothing for "not before something happens".
  std::optional<int64_t> Tick();

  // For compaction. Each returns a ticket: InManifest() says when the change is
  // durable in the MANIFEST.

  // Gives out `count` ids of segments, from `*first_id` on. No file may have
  // one before the MANIFEST shows that it was given out.
  uint64_t ReserveSegmentIds(uint64_t count, uint64_t* first_id) {
    return supply_.ReserveSegmentIds(count, first_id);
  }
  // The head of segments that are to replace `victims`.
  SegmentHead HeadBehind(const std::vector<SealedSegment>& victims) const {
    return supply_.HeadBehind(victims);
  }
  // Puts compacted segments, durable in bytes and names, in the place of sealed
  // ones. The caller removes the files of those once it is durable. History is
  // complete only above what they held.
  uint64_t ReplaceSealed(const std::vector<SealedSegment>& victims,
                         const std::vector<SealedSegment>& outputs) {
    return supply_.ReplaceSealed(victims, outputs);
  }
  bool InManifest(uint64_t ticket) const { return manifest_.IsDurable(ticket); }
  // Asks for a sync that makes everything executed so far durable, in the lazy
  // modes too.
  void WantDurable() { pipeline_.WantDurable(); }

  // The MANIFEST of a directory that holds what was submitted so far, and was
  // stopped cleanly then: live segments are sealed at their last group. The
  // files have these bytes once databases_as_of is durable, and keep them: what
  // live segments get later is behind.
  Manifest AsOfLastGroup();

  // For whoever looks whether the files are still there. Between two calls that
  // both name a file, it was there all the time, and nobody was about to take
  // it away: those which groups enter or may enter soon, and the MANIFEST. (The
  // sealed ones are in manifest().)
  std::vector<ExpectedFile> LiveFiles() const { return supply_.LiveFiles(); }
  // Nothing is written any more, nothing becomes durable; failure() says why.
  void Abandon(Error error) { state_.Abandon(std::move(error)); }
  bool abandoned() const { return state_.abandoned(); }

  // Seals everything and marks the MANIFEST clean; stopped() after some Poll().
  void Stop() { pipeline_.Stop(); }
  bool stopped() const { return state_.stopped(); }

  uint64_t last_seq() const { return pipeline_.last_seq(); }
  uint64_t durable_seq() const { return pipeline_.durable_seq(); }
  // Every change up to this one can be read from its segment.
  uint64_t written_seq() const { return pipeline_.written_seq(); }
  const std::optional<Error>& failure() const { return state_.failure(); }
  // Whether new data is refused, or waits, because the disk has no room.
  bool disk_full() const {
    return supply_.disk_full() || pipeline_.disk_full();
  }
  const Manifest& manifest() const { return manifest_.value(); }
  // Memory of the open group and of the one being written.
  uint64_t buffer_bytes() const { return pipeline_.buffer_bytes(); }
  uint64_t groups_written() const { return pipeline_.groups_written(); }
  uint64_t syncs() const { return pipeline_.syncs(); }
  const LogFigures& figures() const { return pipeline_.figures(); }
  void ResetFigures() { pipeline_.ResetFigures(); }
  uint64_t free_disk_bytes() const { return supply_.free_disk_bytes(); }
  const DurableWriter& device() const { return pipeline_.device(); }
  // Segments for groups of this many bytes and more are not zeroed.
  uint64_t zeroing_limit() const { return supply_.zeroing_limit(); }
  uint32_t active_segment() const;

 private:
  LogWriter(Directory& directory, Manifest manifest, LogWriterOptions options,
            Executor& slow_work, Clock& clock, const Wake& wake,
            std::unique_ptr<DurableWriter> device);

  LogWriterOptions options_;
  Clock& clock_;
  LogState state_;
  // In this order: on destruction each waits for work that uses those before.
  ManifestKeeper manifest_;
  SegmentSupply supply_;
  CommitPipeline pipeline_;
};

}  // namespace kvd
