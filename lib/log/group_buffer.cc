// SPDX-License-Identifier: MIT
#include "log/group_buffer.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/coding.h"
#include "fs/file_system.h"

namespace kvd {
namespace {

constexpr uint64_t kInitialBytes = 64 * 1024;

}  // namespace

void GroupBuffer::StartSegment(const SegmentIdentity& identity) {
  identity_ = identity;
  seed_ = identity.Seed();
  base_ = 0;
  group_start_ = kSegmentHeaderBytes;
  body_bytes_ = 0;
  records_ = 0;
  first_in_segment_ = true;
  Grow(kSegmentHeaderBytes + kGroupHeaderBytes);
}

void GroupBuffer::StartAfter(const GroupBuffer& before) {
  identity_ = before.identity_;
  seed_ = before.seed_;
  group_start_ = before.End();
  base_ = AlignDown(group_start_, kBlockBytes);
  body_bytes_ = 0;
  records_ = 0;
  first_in_segment_ = false;
  const uint64_t carried = group_start_ - base_;
  Grow(carried + kGroupHeaderBytes);
  // A block may hold many small groups: `before` carries the older ones.
  std::memcpy(memory_.get(), before.memory_.get() + (base_ - before.base_),
              carried);
}

uint64_t GroupBuffer::Append(const Record& record) {
  const uint64_t size = RecordBytes(record.key.size(), record.value.size());
  const uint64_t at = group_start_ + kGroupHeaderBytes + body_bytes_;
  Grow(at - base_ + size);
  EncodeRecord(At(at), record, seed_);
  body_bytes_ += size;
  ++records_;
  return at;
}

void GroupBuffer::Finish(uint64_t first_seq, uint64_t durable_seq) {
  if (first_in_segment_) {
    EncodeSegmentHeader(At(0), {identity_, first_seq});
  }
  GroupHeader header;
  header.records = records_;
  header.offset = group_start_;
  header.epoch = identity_.epoch;
  header.first_seq = first_seq;
  header.durable_seq = durable_seq;
  header.body_bytes = body_bytes_;
  EncodeGroupHeader(At(group_start_), header, seed_);

  const uint64_t body_end = group_start_ + kGroupHeaderBytes + body_bytes_;
  const uint64_t block_end = AlignUp(End(), kBlockBytes);
  Grow(block_end - base_);
  std::memset(At(body_end), 0, block_end - body_end);
}

std::string_view GroupBuffer::Bytes() const {
  return {memory_.get(), AlignUp(End(), kBlockBytes) - base_};
}

std::string_view GroupBuffer::NewBytes() const {
  const uint64_t begin = first_in_segment_ ? 0 : group_start_;
  return {memory_.get() + (begin - base_), End() - begin};
}

uint64_t GroupBuffer::End() const {
  return AlignUp(group_start_ + kGroupHeaderBytes + body_bytes_,
                 kGroupAlignment);
}

void GroupBuffer::ShrinkTo(uint64_t bytes) {
  if (capacity_ <= bytes) return;
  memory_.reset();
  capacity_ = 0;
}

void GroupBuffer::Grow(uint64_t size) {
  if (size <= capacity_) return;
  const uint64_t capacity =
      AlignUp(std::max({size, 2 * capacity_, kInitialBytes}), kBlockBytes);
  char* larger = static_cast<char*>(std::aligned_alloc(kBlockBytes, capacity));
  KVD_CHECK(larger != nullptr);
  if (memory_) std::memcpy(larger, memory_.get(), capacity_);
  memory_.reset(larger);
  capacity_ = capacity;
}

}  // namespace kvd
