// SPDX-License-Identifier: MIT
//
// What any thread can do for records before the index gets them: decode them,
// hash their keys and make their entries. Records come out of a segment, with
// their values, or out of its hint, without.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/memory_hints.h"
#include "log/format/hint.h"
#include "log/read/segment_reader.h"
#include "store/memory/entry.h"
#include "store/memory/index.h"

namespace kvd {

// A record as the index sees it. The key is a view into what was read.
struct Change {
  RecordKind kind = RecordKind::kPut;
  uint16_t database = 0;
  uint16_t other = 0;  // For kSwap.
  uint64_t seq = 0;
  uint64_t deadline_ms = 0;
  uint32_t offset = 0;  // In its segment.
  uint32_t value_size = 0;
  std::string_view key;
};

// How many bytes of values loading may still keep in memory. Thread: any.
class ValueBudget {
 public:
  explicit ValueBudget(uint64_t bytes)
      : left_(bytes < kUnbounded ? static_cast<int64_t>(bytes) : kUnbounded) {}

  bool Take(size_t bytes) {
    // What others take in between is made up for by the cache's first sweep.
    if (left_.load(std::memory_order_relaxed) <= 0) return false;
    left_.fetch_sub(static_cast<int64_t>(bytes), std::memory_order_relaxed);
    return true;
  }

 private:
  static constexpr int64_t kUnbounded = INT64_MAX / 2;
  std::atomic<int64_t> left_;
};

// Where records are grouped; a thread keeps it for the next ones.
struct GroupingSpace {
  std::vector<Change> changes;
  std::vector<uint64_t> hashes;
};

struct PreparedRecords {
  std::vector<Change> changes;
  std::vector<uint64_t> hashes;
  std::vector<EntryPtr> entries;  // Of puts; null for other records.

  // The records of a segment.
  void Take(const Group& group) {
    changes.clear();
    changes.reserve(group.records.size());
    for (size_t i = 0; i < group.records.size(); ++i) {
      const Record& record = group.records[i];
      const bool swap = record.kind == RecordKind::kSwap;
      changes.push_back(
          {record.kind, record.database, swap ? NumberIn(record) : uint16_t{0},
           record.seq, record.deadline_ms,
           static_cast<uint32_t>(group.offsets[i]),
           static_cast<uint32_t>(record.value.size()), record.key});
    }
  }
  // An Error: the hint is damaged.
  Result<void> Take(const HintBlocks& blocks) {
    changes.clear();
    changes.reserve(blocks.entries());
    return blocks.Visit([this](const HintEntry& entry) {
      changes.push_back({entry.kind, entry.database, 0, entry.seq,
                         entry.deadline_ms, entry.offset, entry.value_size,
                         entry.key});
    });
  }

  void Hash(uint64_t hash_seed) {
    hashes.clear();
    hashes.reserve(changes.size());
    for (const Change& change : changes) {
      hashes.push_back(Index::DefaultHash(change.key, hash_seed));
    }
  }

  // Brings records into the order of their hashes, roughly: those that meet in
  // a bucket of the index are then inserted one after the other, and a bucket
  // is fetched once for all of them. Not for records whose order means
  // something.
  void GroupByHash(GroupingSpace* space) {
    constexpr int kGroupBits = 12;
    constexpr size_t kGroups = size_t{1} << kGroupBits;
    const auto group_of = [](uint64_t hash) {
      return hash >> (64 - kGroupBits);
    };
    std::vector<uint32_t> next(kGroups + 1, 0);
    for (const uint64_t hash : hashes) ++next[group_of(hash) + 1];
    for (size_t i = 1; i <= kGroups; ++i) next[i] += next[i - 1];
    space->changes.resize(changes.size());
    space->hashes.resize(hashes.size());
    for (size_t i = 0; i < hashes.size(); ++i) {
      const uint32_t to = next[group_of(hashes[i])]++;
      space->changes[to] = changes[i];
      space->hashes[to] = hashes[i];
    }
    changes.swap(space->changes);
    hashes.swap(space->hashes);
  }

  // Entries with their values, which stand behind the keys, as far as the
  // budget goes; cold ones beyond it and without one.
  void MakeEntries(uint32_t segment, ValueBudget* budget,
                   EntryHeap::Nursery* nursery) {
    // Grouped keys are anywhere in what was read.
    constexpr size_t kKeysAhead = 16;
    entries.clear();
    entries.reserve(changes.size());
    for (size_t i = 0; i < changes.size(); ++i) {
      if (const size_t ahead = i + kKeysAhead; ahead < changes.size()) {
        Prefetch(changes[ahead].key.data());
      }
      const Change& change = changes[i];
      if (change.kind != RecordKind::kPut) {
        entries.emplace_back();
        continue;
      }
      const Place place = {segment, change.offset};
      if (budget != nullptr && budget->Take(change.value_size)) {
        const char* behind_key = change.key.data() + change.key.size();
        entries.push_back(
            Entry::Create(change.key, {behind_key, change.value_size},
                          change.seq, place, change.deadline_ms, nursery));
      } else {
        entries.push_back(Entry::CreateCold(change.key, change.value_size,
                                            change.seq, place,
                                            change.deadline_ms, nursery));
      }
    }
  }
};

}  // namespace kvd
