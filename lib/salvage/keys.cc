// SPDX-License-Identifier: MIT
#include "salvage/keys.h"

#include <algorithm>
#include <utility>

#include "base/coding.h"
#include "base/planted_bug.h"

namespace kvd {

std::string PlacedKey(uint16_t database, std::string_view key) {
  std::string placed;
  placed.reserve(sizeof(database) + key.size());
  AppendLe<uint16_t>(&placed, database);
  placed.append(key);
  return placed;
}

uint16_t DatabaseOf(std::string_view placed_key) {
  return LoadLe<uint16_t>(placed_key.data());
}

std::string_view KeyOf(std::string_view placed_key) {
  return placed_key.substr(sizeof(uint16_t));
}

void TakeNewer(Versions* versions, std::string placed_key, const Version& one) {
  const auto [there, is_new] = versions->emplace(std::move(placed_key), one);
  if (!is_new && there->second.seq < one.seq) there->second = one;
}

namespace {

Version VersionOf(const Record& record, const RecordPlace& place) {
  return {record.seq, record.deadline_ms, place, record.kind};
}

}  // namespace

void Keys::Take(const Record& record, const RecordPlace& place) {
  last_seq_ = std::max(last_seq_, record.seq);
  switch (record.kind) {
    case RecordKind::kPut:
    case RecordKind::kDelete:
    case RecordKind::kExpire:
      TakeNewer(&newest_, PlacedKey(record.database, record.key),
                VersionOf(record, place));
      return;
    case RecordKind::kFlush:
      if (IsPlanted(PlantedBug::kSalvageForgetsFlush)) return;
      changes_.push_back({record.seq, record.kind, record.database, 0});
      return;
    case RecordKind::kSwap:
      changes_.push_back(
          {record.seq, record.kind, record.database, NumberIn(record)});
      return;
    case RecordKind::kNamespace:
      return;  // Refused by the one who read it.
  }
}

void Keys::TakeDoubtful(const Record& record, const RecordPlace& place) {
  last_seq_ = std::max(last_seq_, record.seq);
  if (record.kind != RecordKind::kPut) return;
  TakeNewer(&doubtful_, PlacedKey(record.database, record.key),
            VersionOf(record, place));
}

DatabaseMap Keys::DatabasesBehind(DatabaseMap known, uint64_t as_of) const {
  std::vector<Change> changes = changes_;
  std::sort(changes.begin(), changes.end(),
            [](const Change& a, const Change& b) { return a.seq < b.seq; });
  uint64_t done = as_of;
  for (const Change& change : changes) {
    // Copies of a file bring a change twice.
    if (change.seq <= done) continue;
    done = change.seq;
    const NumberValue other(change.other);
    Record record;
    record.kind = change.kind;
    record.database = change.database;
    record.seq = change.seq;
    if (change.kind == RecordKind::kSwap) record.value = other.view();
    known.Apply(record);
  }
  return known;
}

}  // namespace kvd
