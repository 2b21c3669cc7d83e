// SPDX-License-Identifier: MIT
//
// Is what the store has on disk still there? Somebody may remove or rename the
// data directory or a file in it, unmount its file system or mount another one
// over it. None of that fails a write: the files that are held open go on
// taking them, and nobody finds them after the next start.
//
// So somebody looks, once in a while and at the end of each stop: at the
// directory, the MANIFEST and the files that groups enter each time, at the
// sealed segments in turn; and at once again at what seems to be missing, since
// a single error may pass. The maintenance thread looks: a disk that does not
// answer would hold the loop.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "fs/file_system.h"
#include "store/background/compactor.h"
#include "store/background/hint_writer.h"
#include "store/background/maintenance.h"
#include "store/background/scrubber.h"

namespace kvd {

// Sealed segments of one look: thousands are seen within a minute or so, at a
// cost that nobody feels.
inline constexpr size_t kSealedPerLook = 64;

// Thread: loop.
class StorageWatch {
 public:
  // Between two looks are `interval_ms`; 0: only at a stop. References outlive
  // it; the others are those that end before its last look.
  StorageWatch(const Maintenance& with, int64_t interval_ms,
               Compactor& compactor, const Scrubber& scrubber,
               const HintWriter& hint_writer);
  StorageWatch(const StorageWatch&) = delete;
  StorageWatch& operator=(const StorageWatch&) = delete;

  // Takes what a look found. True when it was a loss, once.
  bool Poll();
  // Looks when it is time. In how many ms it wants to be called again.
  std::optional<int64_t> Tick();

  // From now on it looks once more, at everything, when nothing else is under
  // way. done() after some Poll().
  void Stop();
  bool done() const { return lost_ || last_look_ == LastLook::kDone; }

  // Whether something is gone for good: what a client is told, and why.
  const std::optional<Error>& lost() const { return lost_; }

 private:
  enum class LastLook { kNone, kUnderWay, kDone };

  void Look(std::vector<ExpectedFile> files);
  std::vector<ExpectedFile> Expected(size_t sealed_max);
  void TakeResult();
  bool IsExpected(const std::string& name) const;
  void Lose(std::string what);
  void NoticeFailure();

  const int64_t interval_ms_;
  Directory& directory_;
  LogWriter& log_;
  Compactor& compactor_;
  const Scrubber& scrubber_;
  const HintWriter& hint_writer_;
  bool confirms_ = false;  // The look under way follows one that found a loss.
  bool stopping_ = false;
  LastLook last_look_ = LastLook::kNone;
  int64_t look_at_ms_ = 0;
  uint64_t next_sealed_ = 0;  // Its place among the sealed segments.
  // Of the look under way: what should be there, and what is not.
  std::vector<ExpectedFile> expected_;
  std::vector<Missing> missing_;
  std::optional<Error> lost_;
  bool told_ = false;
  // Declared last: its destructor waits for the look under way.
  MaintenanceWorker worker_;
};

}  // namespace kvd
