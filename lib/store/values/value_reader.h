// SPDX-License-Identifier: MIT
//
// Reads values that are on disk alone: at once where the page cache has them,
// else by the kernel's read queue, which takes many at a time, or by a pool of
// threads that may wait for the disk: where there is no such queue, for the
// first read of a segment, whose file has to be opened, for records that would
// hold up the loop, and to find out what is wrong. What it returns is verified,
// by the record's checksum and by whose record it is; damage is an error for
// that key, and the segment with it is left alone by compaction.
//
// Segments are opened when they are needed and kept open, up to
// ValueReaderOptions::files_max of them beside those that are being read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "base/executor.h"
#include "base/log_sink.h"
#include "base/mailbox.h"
#include "fs/file_system.h"
#include "log/format/manifest.h"
#include "log/log_writer.h"
#include "store/memory/damaged_segments.h"
#include "store/memory/databases.h"
#include "store/values/cold_values.h"

namespace kvd {

// Records up to this size may be read on the loop; see cold_values.h.
inline constexpr uint64_t kReadAtOnceBytesMax = 64 << 10;
// Reads under way at a time, and their bytes together unless it is one alone.
// The rest queues: memory is bounded, and a disk has no use for more.
inline constexpr size_t kReadsInFlightMax = 64;
inline constexpr uint64_t kReadBytesInFlightMax = 64 << 20;

struct ValueReaderOptions {
  size_t files_max = 128;  // That are kept open.
  LogSink log = [](Severity, const std::string&) {};
};

// Thread: loop.
class ValueReader {
 public:
  // References outlive it. `pool` may run several jobs at once.
  ValueReader(ValueReaderOptions options, Directory& directory,
              const LogWriter& log, const Databases& databases,
              DamagedSegments& damaged, Executor& pool, Wake wake);
  // Waits for the jobs that the pool has.
  ~ValueReader();
  ValueReader(const ValueReader&) = delete;
  ValueReader& operator=(const ValueReader&) = delete;

  // The record of `wanted`, verified, when no waiting is needed for it; nothing
  // otherwise.
  std::optional<Result<std::string>> TryRead(const ColdValue& wanted);

  // Reads all that `values` wants, then calls `on_read` from some Poll().
  void Read(ColdValues* values, std::function<void()> on_read);
  // Nobody waits for it any more.
  void Cancel(ColdValues* values);
  // Starts what the read queue was given; at the end of a turn.
  void Pump();
  void Poll();

  // These sealed segments are about to leave the MANIFEST; entries point to
  // them until they are closed.
  void NoteLeaving(const std::vector<SealedSegment>& segments) {
    leaving_ = segments;
  }
  // Whether a read reads in that segment, so that it must not be removed.
  bool IsReading(uint32_t segment) const;
  // That segment, in which nobody reads, is about to be removed: an open file
  // would keep its space.
  void Close(uint32_t segment);

  uint64_t reads_at_once() const { return reads_at_once_; }
  uint64_t reads_waited() const { return reads_waited_; }
  uint64_t damaged_values() const { return damaged_values_; }

 private:
  struct Segment {
    std::unique_ptr<File> file;  // Null until a job has opened it.
    uint64_t seed = 0;           // Of its records' checksums.
    size_t reads = 0;            // Under way in it.
    uint64_t used = 0;           // When last, counted in uses.
  };
  struct Request {
    ColdValues* values = nullptr;
    std::deque<ColdValue> queue;  // Not started yet.
  };
  struct Done {
    uint64_t request = 0;
    ColdValue of;
    std::unique_ptr<File> opened;  // If the job had to.
    // Nothing: it was not read, since the key has another value or none by now.
    std::optional<Result<std::string>> record;
  };
  // A read that the queue has.
  struct Queued {
    uint64_t request = 0;
    ColdValue of;
    std::string bytes;
  };

  void StartJobs();
  void Start(uint64_t request, ColdValue of);
  void Enqueue(uint64_t request, ColdValue of, File& file);
  void Post(uint64_t request, ColdValue of);
  void TakeQueued(const ReadQueue::Completion& completion);
  Result<std::string> ReadRecord(File* file, uint64_t seed, const ColdValue& of,
                                 std::unique_ptr<File>* opened);
  void Take(Done done);
  Segment& SegmentOf(uint32_t id);
  SegmentIdentity IdentityOf(uint32_t id) const;
  void CloseUnused();
  void NoteDamage(const ColdValue& of, const Error& error);

  const ValueReaderOptions options_;
  Directory& directory_;
  const LogWriter& log_;
  const Databases& databases_;
  DamagedSegments& damaged_;
  Executor& pool_;
  Wake wake_;
  Mailbox<Done> results_;

  std::unordered_map<uint32_t, Segment> segments_;
  std::vector<SealedSegment> leaving_;
  uint64_t uses_ = 0;
  std::unordered_map<uint64_t, Request> requests_;
  // Requests with something left to start, each once: one value of each in
  // turn, so that nobody waits for all that another one wants.
  std::deque<uint64_t> turns_;
  uint64_t last_request_ = 0;
  size_t in_flight_ = 0;
  size_t jobs_ = 0;  // Of them, those that the pool has.
  uint64_t bytes_in_flight_ = 0;

  uint64_t reads_at_once_ = 0;
  uint64_t reads_waited_ = 0;
  uint64_t damaged_values_ = 0;

  std::unordered_map<uint64_t, Queued> queued_;
  uint64_t last_queued_ = 0;
  // Declared last: its destructor waits for the reads that it has. May be null.
  std::unique_ptr<ReadQueue> queue_;
};

}  // namespace kvd
