// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>

#include "log/format/place.h"
#include "log/format/record.h"
#include "log/read/log_reader.h"
#include "log/read/sealed_walk.h"

namespace kvd {

// Visits every record that counts, segment by segment, as plainly as can be.
inline Result<LogTail> ReadLog(
    Directory& directory, const Manifest& manifest,
    const std::function<void(const Record&, Place)>& visit,
    const SegmentDone& done) {
  const GroupVisitor each = [&](const Group& group, uint32_t segment) {
    for (size_t i = 0; i < group.records.size(); ++i) {
      visit(group.records[i],
            {segment, static_cast<uint32_t>(group.offsets[i])});
    }
  };
  for (const SealedSegment& segment : manifest.sealed) {
    KVD_TRY(CheckSealedSegment(directory, manifest, segment, each));
    done(segment.bytes);
  }
  return ReadLiveSegments(directory, manifest, each, done);
}

}  // namespace kvd
