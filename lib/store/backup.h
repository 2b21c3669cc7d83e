// SPDX-License-Identifier: MIT
//
// A backup of a running store, as its reader sees it: the segments and the
// MANIFEST of one revision.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/error.h"
#include "log/format/manifest.h"
#include "store/store.h"

namespace kvd {

// Ends with this object, at the latest: until then compaction removes no file
// of it. The store may end it before (backup_source.h); then every call says
// why. Thread: loop. The store outlives it.
class Backup {
 public:
  // There is one at a time (kHeld). It has every change that was executed
  // before this.
  static Result<std::unique_ptr<Backup>> Begin(Store& store);
  ~Backup();
  Backup(const Backup&) = delete;
  Backup& operator=(const Backup&) = delete;

  // What is backed up: its databases_as_of is the revision, all durable; it
  // names no live segment. Null until some Store::Poll() has said true.
  Result<const Manifest*> Contents();
  // `bytes` of a segment of it from `offset` on, fewer at its end; nothing
  // until some Store::Poll() has said true, and then ask for the same again.
  // kInvalid, which ends nothing, when the segment has no such place.
  Result<std::optional<std::string>> Read(uint64_t segment, uint64_t offset,
                                          size_t bytes);
  // The reader has all.
  void Finish();

 private:
  Backup(BackupSource& source, uint64_t number)
      : source_(source), number_(number) {}

  BackupSource& source_;
  const uint64_t number_;
};

}  // namespace kvd
