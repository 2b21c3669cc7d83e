// SPDX-License-Identifier: MIT
//
// From what a watch's stream brings to what its owner is told: whole revisions,
// each once, whatever the pieces that they came in and however often the stream
// had to be opened anew. A new stream begins with the newest changes that were
// told: others there, or behind them where there were none, show that the
// history is another one, since etcd was made anew, as from a backup.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "etcd/api.h"

namespace kvd::etcd {

class RevisionGroups {
 public:
  explicit RevisionGroups(int64_t from_revision) : next_(from_revision) {}

  // The first revision that has not been told.
  int64_t next() const { return next_; }
  // Where a new stream begins.
  int64_t begin() const {
    return told_.revision > 0 ? told_.revision : next_ - 1;
  }
  // The newest revision with events that has been told; 0 if none has.
  int64_t newest_told() const { return told_.revision; }

  // Forgets what a broken stream brought of a revision that is not whole.
  void Restart();

  // The events of one message, in their order. `more`: the rest of the last
  // revision may be in the next message. Returns the revisions that are whole;
  // nullopt: the history is another one.
  std::optional<std::vector<WatchUpdate>> Add(std::vector<Event> events,
                                              bool more);

  // etcd says that it has told everything up to there. False: the history is
  // another one.
  [[nodiscard]] bool AdvanceTo(int64_t revision);

 private:
  // The changes of a revision: which, in whatever order.
  struct Changes {
    int64_t revision = 0;
    uint64_t digest = 0;
    bool operator==(const Changes&) const = default;
  };
  void CloseTo(std::vector<WatchUpdate>* whole);
  // Whether the newest revision that was told is the same again.
  bool IsSame();

  int64_t next_;
  WatchUpdate open_;  // Of one revision; without events there is none.
  Changes told_;      // The newest with events.
  // What a new stream says of that, until it is whole.
  std::optional<Changes> again_;
};

}  // namespace kvd::etcd
