// SPDX-License-Identifier: MIT
//
// Sorts more records than memory holds: sorted runs in one temporary file, in
// $TMPDIR or /tmp, which are then merged.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"
#include "cli/failure.h"
#include "cli/records/record.h"

namespace kvctl {

class RecordSorter {
 public:
  static constexpr size_t kRunBytes = 64 << 20;

  // Keeps about `run_bytes` in memory, and 64 KiB for each run.
  explicit RecordSorter(size_t run_bytes = kRunBytes);
  ~RecordSorter();
  RecordSorter(RecordSorter&&) noexcept;

  Attempt<void> Add(Record record);
  // After the last Add(), and before the first Next().
  Attempt<void> Sort();
  // The next record by database and key; of several of one key only the one
  // that was added last. False when there are no more.
  Attempt<bool> Next(Record* record);

 private:
  class Run;

  Attempt<void> WriteRun();
  Attempt<void> OpenFile();
  Attempt<void> Write(std::string_view bytes);
  void SortPending();
  Attempt<void> TakeLeast(Record* record);
  // Whether the current record of run `a` comes after that of run `b`, or is
  // an older one of the same key.
  bool IsAfter(size_t a, size_t b) const;

  const size_t run_bytes_;
  std::vector<Record> pending_;
  size_t pending_bytes_ = 0;

  kvd::UniqueFd file_;
  uint64_t file_bytes_ = 0;
  std::vector<std::unique_ptr<Run>> runs_;  // A later one has later records.
  std::vector<size_t> heap_;  // Of runs; the one with the least record first.
  size_t next_pending_ = 0;   // When there are no runs.
};

// Whether `a` comes before `b`: by database, then by the bytes of the key.
bool ComesBefore(const Record& a, const Record& b);

}  // namespace kvctl
