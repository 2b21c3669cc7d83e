// SPDX-License-Identifier: MIT
#include "etcd/revision_groups.h"

#include <algorithm>
#include <utility>

namespace kvd::etcd {

std::vector<WatchUpdate> RevisionGroups::Add(std::vector<Event> events,
                                             bool more) {
  std::vector<WatchUpdate> whole;
  for (Event& event : events) {
    const int64_t revision = event.kv.mod_revision;
    if (revision < next_) continue;
    if (revision != open_.revision) CloseTo(&whole);
    open_.revision = revision;
    open_.events.push_back(std::move(event));
  }
  if (!more) CloseTo(&whole);
  return whole;
}

void RevisionGroups::AdvanceTo(int64_t revision) {
  next_ = std::max(next_, revision + 1);
}

void RevisionGroups::CloseTo(std::vector<WatchUpdate>* whole) {
  if (open_.events.empty()) return;
  AdvanceTo(open_.revision);
  whole->push_back(std::exchange(open_, {}));
}

}  // namespace kvd::etcd
