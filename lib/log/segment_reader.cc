// SPDX-License-Identifier: MIT
#include "log/segment_reader.h"

#include <algorithm>

#include "base/coding.h"

namespace kvd {

SegmentReader::SegmentReader(std::string_view bytes,
                             const SegmentIdentity& identity)
    : bytes_(bytes), identity_(identity), seed_(identity.Seed()) {}

Found SegmentReader::Next(Group* group) {
  const std::optional<GroupHeader> header =
      DecodeGroupHeader(bytes_, offset_, seed_);
  if (!header) {
    return LastWrittenByte() == offset_ ? Found::kNothing : Found::kBroken;
  }
  group->header = *header;
  if (!ReadBody(group)) return Found::kBroken;
  offset_ = header->End();
  return Found::kGroup;
}

bool SegmentReader::ReadBody(Group* group) const {
  const GroupHeader& header = group->header;
  group->records.clear();
  group->offsets.clear();
  const uint64_t begin = header.offset + kGroupHeaderBytes;
  if (header.epoch != identity_.epoch || header.End() > bytes_.size()) {
    return false;
  }

  std::string_view body = bytes_.substr(begin, header.body_bytes);
  uint64_t seq = header.first_seq;
  while (!body.empty()) {
    const std::optional<Record> record = DecodeRecord(body, seed_);
    if (!record) return false;
    // A record in the wrong place is as bad as a wrong one.
    if (identity_.kind == SegmentKind::kLog && record->seq != seq) return false;
    ++seq;
    group->records.push_back(*record);
    group->offsets.push_back(
        static_cast<uint64_t>(body.data() - bytes_.data()));
    body.remove_prefix(RecordBytes(record->key.size(), record->value.size()));
  }
  return group->records.size() == header.records;
}

std::optional<GroupHeader> SegmentReader::FindHeader(uint64_t from) const {
  for (uint64_t at = AlignUp(from, kGroupAlignment);
       at + kGroupHeaderBytes <= bytes_.size(); at += kGroupAlignment) {
    if (auto header = DecodeGroupHeader(bytes_, at, seed_)) return header;
  }
  return std::nullopt;
}

uint64_t SegmentReader::LastWrittenByte() const {
  uint64_t end = std::max<uint64_t>(offset_, bytes_.size());
  // By words first: what is searched is mostly the zeros of a whole segment.
  while (end - offset_ >= sizeof(uint64_t) &&
         LoadLe<uint64_t>(bytes_.data() + end - sizeof(uint64_t)) == 0) {
    end -= sizeof(uint64_t);
  }
  while (end > offset_ && bytes_[end - 1] == 0) --end;
  return end;
}

}  // namespace kvd
