// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <utility>

#include "base/durability.h"

namespace kvd {

// From groups of this size on it costs less to let each flush change the
// metadata of the blocks that it fills than to write every block twice: where
// Directory::ZeroingLimit() does not tell.
inline constexpr uint64_t kZeroingLimitDefault = 1 << 20;
// The usual size of groups is an exponentially weighted mean: a group weighs
// one part in kUsualGroups, and its bytes in kUsualBytes beside that.
inline constexpr double kUsualGroups = 64;
inline constexpr double kUsualBytes = 4 << 20;

// Whether segments are zeroed before use. Zeros save a small flush the commit
// of changed metadata. A large one hardly feels that, and writing every byte
// twice takes bandwidth from it. In the lazy modes nobody waits for a flush.
// Thread: loop.
class ZeroingChoice {
 public:
  explicit ZeroingChoice(SyncMode sync) : always_(sync == SyncMode::kAlways) {}

  // A group with records, of this size, was written.
  void NoteGroup(uint64_t bytes);
  // What a flood of groups taught is not kept.
  void NoteLull() { usual_group_bytes_ = 0; }
  uint64_t usual_group_bytes() const {
    return static_cast<uint64_t>(usual_group_bytes_);
  }

  // Whether a segment for groups of `group_bytes` should be zeroed.
  bool PaysFor(uint64_t group_bytes) const {
    return always_ && group_bytes < limit_;
  }
  // Whether a trial should find the limit: true once.
  bool TakeTrial() { return always_ && !std::exchange(tried_, true); }
  void set_limit(uint64_t bytes) { limit_ = bytes; }
  // Segments for groups of this many bytes and more are not zeroed.
  uint64_t limit() const { return limit_; }

 private:
  bool always_;
  bool tried_ = false;
  uint64_t limit_ = kZeroingLimitDefault;
  double usual_group_bytes_ = 0;
};

}  // namespace kvd
