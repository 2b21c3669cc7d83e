// SPDX-License-Identifier: MIT
//
// Sealed segments that were found damaged while the store runs. Compaction
// leaves them alone, with all that they hold: a person may still get something
// out of them, and a start refuses them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>

#include "base/error.h"

namespace kvd {

// What an error in reading a sealed segment says about its bytes.
enum class ReadFault {
  kDamage,  // They are not what was sealed; the segment counts as damaged.
  kDoubt,   // The device gave none: it is damage when that happens again.
  kNone,    // Nothing: a shortage, which passes.
};

// Thread: loop.
class DamagedSegments {
 public:
  // Whoever meets an error in reading a sealed segment asks here, so that all
  // readers agree on what is damage.
  ReadFault Judge(uint64_t segment, const Error& error);

  bool Contains(uint64_t segment) const { return damaged_.contains(segment); }
  size_t size() const { return damaged_.size(); }

 private:
  std::set<uint64_t> damaged_;
  std::set<uint64_t> unreadable_once_;
};

}  // namespace kvd
