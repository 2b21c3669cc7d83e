// SPDX-License-Identifier: MIT
//
// What a thread beside the loading one can do for records: hash their keys and
// make their entries.
#pragma once

#include <cstdint>
#include <vector>

#include "log/segment_reader.h"
#include "store/entry.h"
#include "store/index.h"

namespace kvd {

struct PreparedRecords {
  std::vector<uint64_t> hashes;
  std::vector<EntryPtr> entries;  // Of puts; null for other records.

  void Prepare(const Group& group, uint32_t segment, uint64_t hash_seed) {
    Hash(group, hash_seed);
    MakeEntries(group, segment);
  }

  // The two halves: whoever has several threads makes entries on one at a time.
  void Hash(const Group& group, uint64_t hash_seed) {
    hashes.clear();
    for (const Record& record : group.records) {
      hashes.push_back(Index::DefaultHash(record.key, hash_seed));
    }
  }
  void MakeEntries(const Group& group, uint32_t segment) {
    entries.clear();
    entries.reserve(group.records.size());
    for (size_t i = 0; i < group.records.size(); ++i) {
      const Record& record = group.records[i];
      if (record.kind != RecordKind::kPut) {
        entries.emplace_back();
        continue;
      }
      const Place place = {segment, static_cast<uint32_t>(group.offsets[i])};
      entries.push_back(Entry::Create(record.key, record.value, record.seq,
                                      place, record.deadline_ms));
    }
  }
};

}  // namespace kvd
