// SPDX-License-Identifier: MIT
#include "salvage/tally.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "salvage/segment_walk.h"

namespace kvd {
namespace {

// More changes than the live segments of one life can hold, by far.
constexpr uint64_t kSeqsBeyondKnown = uint64_t{1} << 33;

class SegmentReading {
 public:
  SegmentReading(Directory& directory, const FoundSegment& segment,
                 uint32_t index, const RecordVisitor& visit)
      : directory_(directory),
        segment_(segment),
        index_(index),
        visit_(visit) {}

  Result<SegmentTally> Run(uint64_t seq_max) {
    for (uint32_t i = 0; i < segment_.files.size(); ++i) {
      KVD_TRY(ReadFile(i, seq_max));
    }
    std::sort(tally_.offsets.begin(), tally_.offsets.end());
    return std::move(tally_);
  }

 private:
  Result<void> ReadFile(uint32_t number, uint64_t seq_max) {
    const std::string& name = segment_.files[number];
    KVD_TRY_ASSIGN(ReadableFile file, ReadableFile::Open(directory_, name));
    const size_t damaged_before = tally_.damaged.size();
    bool newer = false;
    bool ended = false;
    WalkVisitor visitor;
    visitor.group = [&](const GroupHeader& header) { NoteGroup(header); };
    visitor.head = [](const SegmentHead&) {};
    visitor.end = [&](bool) { ended = true; };
    visitor.record = [&](const Record& record, uint64_t offset) {
      newer |= record.kind == RecordKind::kNamespace;
      Take(record, number, offset);
    };
    visitor.damage = [&](const ByteRange& bytes, bool holds_records) {
      NoteDamage(name, bytes, holds_records);
    };
    const auto length = segment_.KnownBytes();
    const WalkBounds bounds = {length.value_or(file.size()), length.has_value(),
                               seq_max};
    if (!segment_.header_intact) {
      NoteDamage(name, {0, kSegmentHeaderBytes}, false);
    }
    KVD_TRY_ASSIGN(const uint64_t end,
                   WalkSegment(file, segment_.identity, bounds, visitor));
    if (newer) {
      return Fail(
          ErrorCode::kFormat,
          "{}/{}: has namespaces, which this version does not know\n"
          "  Use the version of kvd that wrote it; nothing was changed.",
          directory_.path(), name);
    }
    for (const ByteRange& gap : file.gaps()) {
      tally_.damaged.push_back({name, gap, true, /*device=*/true});
    }
    const bool compacted = segment_.identity.kind == SegmentKind::kCompacted;
    if (compacted && !ended && tally_.damaged.size() == damaged_before) {
      NoteDamage(name, {end, end}, true);
    }
    if (tally_.damaged.size() == damaged_before) tally_.whole = true;
    tally_.ends_with_group |= end == file.size();
    tally_.has_room_left |= !length && end + kBlockBytes <= file.size();
    return {};
  }

  void NoteGroup(const GroupHeader& header) {
    tally_.durable_seq = std::max(tally_.durable_seq, header.durable_seq);
    if (header.kind == GroupKind::kEnd) return;
    // A head stands before the first change of a log segment.
    if (header.first_seq != 0) {
      tally_.first_seq = std::min(tally_.first_seq, header.first_seq);
    }
    if (header.records == 0) return;
    tally_.last_seq =
        std::max(tally_.last_seq, header.first_seq + header.records - 1);
  }

  void NoteDamage(const std::string& name, const ByteRange& bytes,
                  bool holds_records) {
    std::vector<DamagedPart>& damaged = tally_.damaged;
    if (!damaged.empty() && damaged.back().file == name &&
        damaged.back().bytes.end == bytes.begin) {
      damaged.back().bytes.end = bytes.end;
      damaged.back().holds_records |= holds_records;
    } else {
      damaged.push_back({name, bytes, holds_records});
    }
  }

  void Take(const Record& record, uint32_t file, uint64_t offset) {
    ++tally_.records;
    if (segment_.identity.kind == SegmentKind::kLog) {
      tally_.read.Add(record.seq);
    }
    if (segment_.hint) tally_.offsets.push_back(static_cast<uint32_t>(offset));
    visit_(record, {index_, file, static_cast<uint32_t>(offset)});
  }

  Directory& directory_;
  const FoundSegment& segment_;
  uint32_t index_;
  const RecordVisitor& visit_;
  SegmentTally tally_;
};

}  // namespace

Result<SegmentTally> ReadSegment(Directory& directory, const Survey& survey,
                                 size_t index, uint64_t seq_max,
                                 const RecordVisitor& visit) {
  return SegmentReading(directory, survey.segments[index],
                        static_cast<uint32_t>(index), visit)
      .Run(seq_max);
}

uint64_t SeqBound(const Survey& survey) {
  uint64_t known = survey.manifest ? survey.manifest->next_seq : 0;
  for (const FoundSegment& segment : survey.segments) {
    known = std::max(known, segment.first_seq.value_or(0));
    if (segment.head) known = std::max(known, segment.head->databases_as_of);
    if (segment.sealed) known = std::max(known, segment.sealed->last_seq);
  }
  return std::min(kSeqMax, known + kSeqsBeyondKnown);
}

}  // namespace kvd
