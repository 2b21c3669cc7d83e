// SPDX-License-Identifier: MIT
//
// The MANIFEST of a running log. The value is here, as it should be; jobs write
// copies of it, one at a time. What may happen only behind a durable MANIFEST,
// the same job does: sealed files are cut to their length, others are removed.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "fs/file_system.h"
#include "log/format/manifest.h"
#include "log/write/database_changes.h"
#include "log/write/live_segment.h"
#include "log/write/slow_jobs.h"

namespace kvd {

// It says when it wants to be written; when it may be, its owner knows.
// Thread: loop.
class ManifestKeeper {
 public:
  // `manifest` is the durable one; `directory` outlives this.
  ManifestKeeper(Directory& directory, Manifest manifest);
  ManifestKeeper(const ManifestKeeper&) = delete;
  ManifestKeeper& operator=(const ManifestKeeper&) = delete;

  const Manifest& value() const { return value_; }

  // --- Segments ---

  // For a file to be made. The MANIFEST shows it as given out when it names the
  // file, or one behind it.
  uint64_t TakeSegmentId() { return value_.next_segment++; }
  // The file is there; no group enters it before that is durable.
  void NamePrepared(uint64_t id, uint64_t bytes);
  // Groups enter the prepared segment now. Not worth a write.
  void Enter(const LiveSegment& segment);
  // Groups do not enter it any more, and all that did are durable. One that
  // none did is removed.
  void Seal(LiveSegment segment);
  // Removes the file with the next write.
  void Discard(uint64_t segment_id);
  // The last change: no segment is live, and the stop is clean.
  void Close(uint64_t next_seq);

  // --- Databases ---

  // A flush or swap was appended.
  void AddDatabaseChange(RecordKind kind, uint16_t database,
                         std::string_view value, uint64_t seq) {
    database_changes_.Add(kind, database, value, seq);
  }
  size_t undurable_database_changes() const { return database_changes_.size(); }
  // The newest of those are taken back, down to so many.
  void CutBackDatabaseChanges(size_t size) { database_changes_.CutBack(size); }
  // Everything up to `seq` is durable.
  void BecameDurable(uint64_t seq);
  // value().databases holds after this one.
  uint64_t durable_seq() const { return durable_seq_; }
  // As they were after this change, which was appended and is not older than
  // what is durable.
  DatabaseMap DatabasesAsOf(uint64_t seq) const;

  // --- Compaction ---

  // LogWriter has the contracts.
  uint64_t ReserveSegmentIds(uint64_t count, uint64_t* first_id);
  uint64_t ReplaceSealed(const std::vector<SealedSegment>& victims,
                         const std::vector<SealedSegment>& outputs);
  bool IsDurable(uint64_t ticket) const { return durable_changes_ >= ticket; }

  // --- The file ---

  bool wants_write() const { return dirty_ && !writing_; }
  bool writing() const { return writing_; }
  // Whether the write of Close() is under way, or over.
  bool closed() const { return closed_; }
  // Starts a job, which answers ManifestSaved and SpareLeft. `first` is part of
  // it, if there is any. Requires wants_write().
  void Write(SlowJobs& jobs, std::function<void()> first);
  // Takes the answer in. After an error it wants to be written again, but for
  // the last one.
  void Take(const ManifestSaved& saved);
  // Which file it is. Not while it is being written: it may be either.
  ExpectedFile expected_file() const;

 private:
  struct SealedFile {
    std::unique_ptr<File> file;
    uint64_t bytes = 0;
  };

  uint64_t NextTicket();
  void AdvanceNextSeq(const SealedSegment& victim);

  Directory& directory_;
  Manifest value_;
  DatabaseChanges database_changes_;
  uint64_t durable_seq_;
  bool dirty_ = false;
  bool writing_ = false;
  bool closed_ = false;
  // Of the file; 0 for not known: none was written, or the last try failed.
  uint64_t identity_ = 0;
  // Changes by compaction: made, in the write under way, in the durable file.
  uint64_t changes_ = 0;
  uint64_t written_changes_ = 0;
  uint64_t durable_changes_ = 0;
  // For the next write: to be cut to their length and closed; to be removed.
  std::vector<SealedFile> sealed_files_;
  std::vector<std::string> garbage_;
  // In the hands of a job.
  std::vector<SealedFile> closing_;
  std::vector<std::string> removing_;
};

}  // namespace kvd
