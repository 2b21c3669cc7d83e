// SPDX-License-Identifier: MIT
//
// From what a watch's stream brings to what its owner is told: whole revisions,
// each once, whatever the pieces that they came in and however often the stream
// had to be opened anew.
#pragma once

#include <cstdint>
#include <vector>

#include "etcd/api.h"

namespace kvd::etcd {

class RevisionGroups {
 public:
  explicit RevisionGroups(int64_t from_revision) : next_(from_revision) {}

  // The first revision that has not been told: where a new stream begins.
  int64_t next() const { return next_; }

  // Forgets what a broken stream brought of a revision that is not whole.
  void Restart() { open_ = {}; }

  // The events of one message, in their order. `more`: the rest of the last
  // revision may be in the next message. Returns the revisions that are whole.
  std::vector<WatchUpdate> Add(std::vector<Event> events, bool more);

  // etcd says that it has told everything up to there.
  void AdvanceTo(int64_t revision);

 private:
  void CloseTo(std::vector<WatchUpdate>* whole);

  int64_t next_;
  WatchUpdate open_;  // Of one revision; without events there is none.
};

}  // namespace kvd::etcd
