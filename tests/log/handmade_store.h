// SPDX-License-Identifier: MIT
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/checksum.h"
#include "base/coding.h"
#include "log/format/manifest.h"
#include "log/format/segment.h"
#include "log/write/group_buffer.h"
#include "tests/support/sim_file_system.h"

namespace kvd {

// A record that owns its bytes.
struct OwnRecord {
  RecordKind kind = RecordKind::kPut;
  uint64_t seq = 0;
  std::string key;
  std::string value;
  uint16_t database = 0;
  uint64_t deadline_ms = 0;

  uint64_t bytes() const { return RecordBytes(key.size(), value.size()); }
};

struct HandmadeSegment {
  uint64_t id = 0;
  std::vector<OwnRecord> records;
};

// A store whose segments are written by hand, record by record, as compaction
// or anybody might have left them. One log segment may be live.
class HandmadeStore {
 public:
  HandmadeStore() {
    manifest_.uuid = {1, 2, 3};
    manifest_.epoch = 4;
  }

  // `per_group` records a group.
  void AddSealed(SegmentKind kind, std::vector<OwnRecord> records,
                 size_t per_group = 3) {
    const SegmentIdentity identity = {manifest_.uuid, manifest_.next_segment++,
                                      manifest_.epoch, kind};
    const std::string bytes = Encode(identity, records, per_group);
    SealedSegment line = {identity.id, identity.epoch, kind, bytes.size(),
                          records.size()};
    line.checksum = Checksum(bytes, 0);
    const auto [first, last] = std::minmax_element(
        records.begin(), records.end(),
        [](const auto& a, const auto& b) { return a.seq < b.seq; });
    if (first != records.end()) {
      line.first_seq = first->seq;
      line.last_seq = last->seq;
    }
    manifest_.next_seq = std::max(manifest_.next_seq, line.last_seq + 1);
    manifest_.sealed.push_back(line);
    disk_.Put(SegmentName(identity.id), bytes);
    segments_.push_back({identity.id, std::move(records)});
  }

  // The records begin with the store's next sequence number.
  void AddLive(std::vector<OwnRecord> records) {
    const SegmentIdentity identity = {manifest_.uuid, manifest_.next_segment++,
                                      manifest_.epoch, SegmentKind::kLog};
    std::string bytes = Encode(identity, records, 3);
    bytes.resize(AlignUp(bytes.size(), kBlockBytes) + kBlockBytes);
    manifest_.active = LiveSegmentLine{identity.id, bytes.size()};
    disk_.Put(SegmentName(identity.id), bytes);
    segments_.push_back({identity.id, std::move(records)});
  }

  Manifest& manifest() { return manifest_; }
  const std::vector<HandmadeSegment>& segments() const { return segments_; }

  // The disk with all that, each time a new one.
  std::unique_ptr<SimFileSystem> Disk() {
    std::stable_sort(manifest_.sealed.begin(), manifest_.sealed.end(),
                     [](const SealedSegment& a, const SealedSegment& b) {
                       return a.first_seq < b.first_seq;
                     });
    disk_.Put(kManifestName, EncodeManifest(manifest_));
    return disk_.Clone();
  }

 private:
  static std::string Encode(const SegmentIdentity& identity,
                            const std::vector<OwnRecord>& records,
                            size_t per_group) {
    std::string bytes;
    GroupBuffer buffer;
    buffer.StartSegment(identity);
    for (size_t i = 0; i < records.size() || i == 0; i += per_group) {
      const size_t end = std::min(i + per_group, records.size());
      uint64_t first = UINT64_MAX;
      for (size_t k = i; k < end; ++k) {
        const OwnRecord& r = records[k];
        first = std::min(first, r.seq);
        buffer.Append(
            {r.kind, r.database, r.seq, r.deadline_ms, r.key, r.value});
      }
      buffer.Finish(first, 0);
      bytes.append(buffer.NewBytes());
      GroupBuffer next;
      next.StartAfter(buffer);
      buffer = std::move(next);
    }
    return bytes;
  }

  SimFileSystem disk_;
  Manifest manifest_;
  std::vector<HandmadeSegment> segments_;
};

}  // namespace kvd
