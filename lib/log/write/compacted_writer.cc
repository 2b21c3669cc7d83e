// SPDX-License-Identifier: MIT
#include "log/write/compacted_writer.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/planted_bug.h"
#include "log/write/segment_file.h"

namespace kvd {
namespace {

// Of the group at the end.
constexpr uint64_t kEndGroupBytes = kGroupHeaderBytes + 16;

}  // namespace

Result<std::unique_ptr<CompactedWriter>> CompactedWriter::Create(
    Directory& directory, const SegmentIdentity& identity,
    const SegmentHead& head) {
  KVD_TRY_ASSIGN(std::unique_ptr<File> file,
                 CreateSegmentFile(directory, identity.id));
  return std::unique_ptr<CompactedWriter>(
      new CompactedWriter(std::move(file), identity, head));
}

CompactedWriter::CompactedWriter(std::unique_ptr<File> file,
                                 const SegmentIdentity& identity,
                                 const SegmentHead& head)
    : file_(std::move(file)) {
  KVD_CHECK(identity.kind == SegmentKind::kCompacted);
  sealed_.id = identity.id;
  sealed_.epoch = identity.epoch;
  sealed_.kind = identity.kind;
  group_.StartSegment(identity);
  group_.PutHead(head, /*next_seq=*/0, /*durable_seq=*/0);
}

bool CompactedWriter::Fits(uint64_t bytes, uint64_t segment_bytes) const {
  if (sealed_.records == 0) return true;
  return group_.End() + bytes + kGroupHeaderBytes + kGroupAlignment +
             kEndGroupBytes <=
         segment_bytes;
}

Result<uint64_t> CompactedWriter::Append(const Record& record) {
  const uint64_t offset = group_.Append(record);
  group_first_seq_ = group_.records() == 1
                         ? record.seq
                         : std::min(group_first_seq_, record.seq);
  sealed_.first_seq = sealed_.records == 0
                          ? record.seq
                          : std::min(sealed_.first_seq, record.seq);
  sealed_.last_seq = std::max(sealed_.last_seq, record.seq);
  ++sealed_.records;
  if (group_.body_bytes() >= kCompactedGroupBytes) KVD_TRY(WriteGroup());
  return offset;
}

Result<void> CompactedWriter::WriteGroup() {
  // Nothing follows from these groups about what is durable.
  group_.Finish(group_first_seq_, /*durable_seq=*/0);
  return WriteBuffer();
}

Result<void> CompactedWriter::WriteBuffer() {
  checksum_.Update(group_.NewBytes());
  sealed_.bytes = group_.End();
  KVD_TRY(file_->WriteAt(group_.offset(), group_.Bytes()));
  next_.StartAfter(group_);
  std::swap(group_, next_);
  next_.ShrinkTo(2 * kCompactedGroupBytes);
  return {};
}

Result<SealedSegment> CompactedWriter::Finish(bool last) {
  KVD_CHECK(sealed_.records > 0);
  if (group_.records() > 0) KVD_TRY(WriteGroup());
  group_.FinishEnd(last);
  KVD_TRY(WriteBuffer());
  // Without the padding of the last block.
  KVD_TRY(file_->Truncate(sealed_.bytes));
  if (!IsPlanted(PlantedBug::kCompactedNotSynced)) KVD_TRY(file_->Sync());
  sealed_.checksum = checksum_.Digest();
  return sealed_;
}

}  // namespace kvd
