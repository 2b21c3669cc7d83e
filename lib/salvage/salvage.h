// SPDX-License-Identifier: MIT
//
// Makes a new store of all that can be read of a damaged data directory. It
// trusts records, whose checksums hold, and not the names and lengths of files.
//
// The newest readable record of a key counts. A key may have had a newer one
// among what cannot be read: as far as hints list what that was, these keys
// alone are concerned; else all keys whose newest record is old enough. Such
// keys are named, and left out unless they are asked for.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "fs/file_system.h"
#include "salvage/losses.h"

namespace kvd {

struct SalvageOptions {
  // Takes the newest readable value of keys that perhaps changed or were
  // deleted, too.
  bool uncertain = false;
  // Keys whose deadline has passed by then are left out. Since 1970, UTC.
  uint64_t now_ms = 0;
  uint64_t segment_bytes = uint64_t{64} << 20;  // Of the new store, about.
};

// A key that is not known to be what it was.
struct DoubtfulKey {
  enum class Why {
    kPerhapsChanged,  // Or deleted, among what cannot be read.
    kReplaced,        // It had a newer value, which cannot be read.
    kLost,            // The same, and there is no older one either.
    kPerhapsDeleted,  // It is only in a segment that perhaps was replaced.
  };
  Why why = Why::kPerhapsChanged;
  int database = 0;  // The client's number.
  std::string key;
  uint64_t seq = 0;       // Of the readable value; 0 with kLost.
  uint64_t lost_seq = 0;  // Of the lost one, if it is known.
};

struct SalvageReport {
  std::string manifest_trouble;  // Empty: it is intact and was used.
  uint64_t files = 0;
  uint64_t segments = 0;  // That count.
  uint64_t records = 0;   // Intact ones, in those.
  uint64_t keys = 0;      // In the new store.
  uint64_t expired = 0;   // Keys left out since their deadline has passed.
  uint64_t next_seq = 0;  // Of the new store.
  std::vector<Loss> losses;
  std::vector<StrayFile> strays;
  // By database and key.
  std::vector<DoubtfulKey> doubtful;
  // Keys are uncertain unless they changed behind this; 0 when no loss makes
  // keys uncertain that are not named by a hint.
  uint64_t unknown_last_seq = 0;
  bool databases_unknown = false;

  // Whether anything was lost that had been durable, as far as one can tell.
  bool complete() const;
};

// `from` is read alone, and somebody holds its lock; `to` is empty but for its
// lock. Until all of it is done `to` has no MANIFEST. kFormat and kCorruption
// when nothing can be done; then `to` is as it was.
Result<SalvageReport> Salvage(Directory& from, Directory& to,
                              const SalvageOptions& options);

}  // namespace kvd
