// SPDX-License-Identifier: MIT
#include "etcd/revision_groups.h"

#include <algorithm>
#include <functional>
#include <string_view>
#include <utility>

#include "base/planted_bug.h"

namespace kvd::etcd {
namespace {

uint64_t DigestOf(const Event& event) {
  const std::hash<std::string_view> hash;
  // The two are not mixed up where they change places.
  return hash(event.kv.key) * 3 + hash(event.kv.value) +
         (event.is_delete ? 1 : 0);
}

}  // namespace

void RevisionGroups::Restart() {
  open_ = {};
  again_.reset();
  if (told_.revision > 0) again_ = Changes{told_.revision, 0};
}

std::optional<std::vector<WatchUpdate>> RevisionGroups::Add(
    std::vector<Event> events, bool more) {
  std::vector<WatchUpdate> whole;
  // A member that lags may begin so.
  const bool is_older =
      !events.empty() && events.back().kv.mod_revision < begin();
  for (Event& event : events) {
    const int64_t revision = event.kv.mod_revision;
    if (again_ && revision == again_->revision) {
      again_->digest += DigestOf(event);
    }
    if (revision <= begin()) continue;
    if (revision < next_ || !IsSame()) return std::nullopt;
    if (revision != open_.revision) CloseTo(&whole);
    open_.revision = revision;
    open_.events.push_back(std::move(event));
  }
  if (!more) {
    if (!is_older && !IsSame()) return std::nullopt;
    CloseTo(&whole);
  }
  return whole;
}

bool RevisionGroups::IsSame() {
  if (!again_) return true;
  const bool same = *again_ == told_;
  again_.reset();
  return same || IsPlanted(PlantedBug::kBelieveHistory);
}

bool RevisionGroups::AdvanceTo(int64_t revision) {
  if (revision < next_) return true;
  next_ = revision + 1;
  return IsSame();
}

void RevisionGroups::CloseTo(std::vector<WatchUpdate>* whole) {
  if (open_.events.empty()) return;
  next_ = open_.revision + 1;
  told_ = {open_.revision, 0};
  for (const Event& event : open_.events) told_.digest += DigestOf(event);
  whole->push_back(std::exchange(open_, {}));
}

}  // namespace kvd::etcd
