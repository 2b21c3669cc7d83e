// SPDX-License-Identifier: MIT
#include "log/read/segment_reader.h"

#include <algorithm>

#include "base/coding.h"
#include "log/format/segment_head.h"

namespace kvd {

SegmentReader::SegmentReader(std::string_view bytes,
                             const SegmentIdentity& identity, uint64_t base)
    : bytes_(bytes),
      identity_(identity),
      seed_(identity.Seed()),
      base_(base),
      end_(base + bytes.size()),
      written_end_(end_),
      offset_(base == 0 ? kSegmentHeaderBytes : base) {}

Found SegmentReader::Next(Group* group) {
  group->records.clear();
  group->offsets.clear();
  return Append(group);
}

Found SegmentReader::Append(Group* group) {
  const std::optional<GroupHeader> header =
      DecodeGroupHeader(bytes_, offset_, seed_, base_);
  if (!header) {
    return LastWrittenByte() == offset_ ? Found::kNothing : Found::kBroken;
  }
  group->header = *header;
  if (!AppendBody(group)) return Found::kBroken;
  offset_ = header->End();
  return Found::kGroup;
}

bool SegmentReader::AppendBody(Group* group) const {
  const GroupHeader& header = group->header;
  const size_t records_before = group->records.size();
  const uint64_t begin = header.offset + kGroupHeaderBytes;
  if (header.epoch != identity_.epoch || header.End() > end_) return false;

  std::string_view body = From(begin).substr(0, header.body_bytes);
  group->body = body;
  if (header.kind == GroupKind::kHead) {
    return DecodeSegmentHead(body, seed_).has_value();
  }
  if (header.kind == GroupKind::kEnd) {
    return DecodeSegmentEnd(body, seed_).has_value();
  }
  uint64_t seq = header.first_seq;
  while (!body.empty()) {
    const std::optional<Record> record = DecodeRecord(body, seed_);
    if (!record) return false;
    // A record in the wrong place is as bad as a wrong one.
    if (identity_.kind == SegmentKind::kLog && record->seq != seq) return false;
    ++seq;
    group->records.push_back(*record);
    group->offsets.push_back(
        base_ + static_cast<uint64_t>(body.data() - bytes_.data()));
    body.remove_prefix(RecordBytes(record->key.size(), record->value.size()));
  }
  return group->records.size() - records_before == header.records;
}

std::optional<GroupHeader> SegmentReader::FindHeader(uint64_t from) const {
  for (uint64_t at = AlignUp(from, kGroupAlignment);
       at < written_end_ && at + kGroupHeaderBytes <= end_;
       at += kGroupAlignment) {
    if (auto header = DecodeGroupHeader(bytes_, at, seed_, base_)) {
      return header;
    }
  }
  return std::nullopt;
}

uint64_t SegmentReader::LastWrittenByte() const {
  uint64_t end = std::max(offset_, written_end_);
  // By words first: what is searched may be the zeros of a whole segment.
  while (end - offset_ >= sizeof(uint64_t) &&
         LoadLe<uint64_t>(bytes_.data() + (end - base_) - sizeof(uint64_t)) ==
             0) {
    end -= sizeof(uint64_t);
  }
  while (end > offset_ && bytes_[end - base_ - 1] == 0) --end;
  return end;
}

}  // namespace kvd
