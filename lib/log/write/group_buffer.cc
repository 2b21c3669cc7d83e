// SPDX-License-Identifier: MIT
#include "log/write/group_buffer.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/coding.h"
#include "fs/file_system.h"

namespace kvd {
namespace {

constexpr uint64_t kSmallBytes = 16 << 10;

// What is encoded at once: less than the nearest cache holds, and enough that a
// copy of it has many lines on their way. Larger records are encoded in place.
constexpr uint64_t kStagingBytes = 16 << 10;

uint64_t CapacityFor(uint64_t size) {
  return size <= kSmallBytes ? kSmallBytes : AlignUp(size, kHugePageBytes);
}

// Lets the memory lie in huge pages that are mapped by small ones. The disk
// wants neighbours, and a virtual machine whose host keeps the page tables
// (PVM) is slow in all of a process that writes to what is mapped as huge.
void TakeHugePages(char* memory, uint64_t capacity) {
  // Where the kernel has none to give, small pages do the same, only slower.
  if (madvise(memory, capacity, MADV_HUGEPAGE) != 0) return;
  for (uint64_t at = 0; at < capacity; at += kHugePageBytes) {
    memory[at] = 0;  // A page is taken when it is touched.
    // Other advice for a part of it splits its mapping, not the page.
    madvise(memory + at, kBlockBytes, MADV_NOHUGEPAGE);
  }
  // For the rest, too: or the kernel may join the mappings again.
  madvise(memory, capacity, MADV_NOHUGEPAGE);
}

// Past the page cache a disk takes the memory itself. What lies in one piece of
// it is one piece of a request; pages of 4 KiB may be spread, each is a piece,
// and a virtual disk's queue is full with 1 MiB of them.
char* Allocate(uint64_t capacity) {
  const bool huge = capacity >= kHugePageBytes;
  auto* memory = static_cast<char*>(
      std::aligned_alloc(huge ? kHugePageBytes : kBlockBytes, capacity));
  KVD_CHECK(memory != nullptr);
  if (huge) TakeHugePages(memory, capacity);
  return memory;
}

}  // namespace

void GroupBuffer::StartSegment(const SegmentIdentity& identity) {
  identity_ = identity;
  seed_ = identity.Seed();
  base_ = 0;
  group_start_ = kSegmentHeaderBytes;
  body_bytes_ = 0;
  records_ = 0;
  staged_bytes_ = 0;
  first_in_segment_ = true;
  Grow(kSegmentHeaderBytes + kGroupHeaderBytes);
}

void GroupBuffer::PutHead(const SegmentHead& head, uint64_t next_seq,
                          uint64_t durable_seq) {
  KVD_CHECK(first_in_segment_ && records_ == 0);
  const std::string body = EncodeSegmentHead(head, seed_);
  group_start_ += kGroupHeaderBytes + body.size();
  Grow(group_start_ + kGroupHeaderBytes);
  PutGroup(GroupKind::kHead, kSegmentHeaderBytes, body, next_seq, durable_seq);
}

void GroupBuffer::StartAfter(const GroupBuffer& before) {
  identity_ = before.identity_;
  seed_ = before.seed_;
  group_start_ = before.End();
  base_ = AlignDown(group_start_, kBlockBytes);
  body_bytes_ = 0;
  records_ = 0;
  staged_bytes_ = 0;
  first_in_segment_ = false;
  const uint64_t carried = group_start_ - base_;
  Grow(carried + kGroupHeaderBytes);
  // A block may hold many small groups: `before` carries the older ones.
  std::memcpy(memory_.get(), before.memory_.get() + (base_ - before.base_),
              carried);
}

uint64_t GroupBuffer::Append(const Record& record) {
  const uint64_t size = RecordBytes(record.key.size(), record.value.size());
  const uint64_t at = BodyEnd();
  if (staged_bytes_ + size > kStagingBytes) TakeStaged();
  if (size <= kStagingBytes) {
    if (!staging_)
      staging_ = std::make_unique_for_overwrite<char[]>(kStagingBytes);
    EncodeRecord(staging_.get() + staged_bytes_, record, seed_);
    staged_bytes_ += size;
  } else {
    Grow(at - base_ + size);
    EncodeRecord(At(at), record, seed_);
  }
  body_bytes_ += size;
  ++records_;
  return at;
}

void GroupBuffer::CutBack(uint32_t records, uint64_t body_bytes) {
  // What is staged is the end of the body.
  const uint64_t in_place = body_bytes_ - staged_bytes_;
  staged_bytes_ = body_bytes - std::min(body_bytes, in_place);
  body_bytes_ = body_bytes;
  records_ = records;
}

void GroupBuffer::TakeStaged() {
  if (staged_bytes_ == 0) return;
  Grow(BodyEnd() - base_);
  const uint64_t bytes = std::exchange(staged_bytes_, 0);
  std::memcpy(At(BodyEnd() - bytes), staging_.get(), bytes);
}

void GroupBuffer::Finish(uint64_t first_seq, uint64_t durable_seq) {
  TakeStaged();
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
  PadBlock();
}

void GroupBuffer::FinishEnd(bool last) {
  KVD_CHECK(records_ == 0 && !first_in_segment_);
  const std::string body = EncodeSegmentEnd(last, seed_);
  body_bytes_ = body.size();
  Grow(BodyEnd() - base_);
  PutGroup(GroupKind::kEnd, group_start_, body, /*next_seq=*/0,
           /*durable_seq=*/0);
  PadBlock();
}

void GroupBuffer::PutGroup(GroupKind kind, uint64_t at, std::string_view body,
                           uint64_t next_seq, uint64_t durable_seq) {
  GroupHeader header;
  header.kind = kind;
  header.offset = at;
  header.epoch = identity_.epoch;
  header.first_seq = next_seq;
  header.durable_seq = durable_seq;
  header.body_bytes = body.size();
  EncodeGroupHeader(At(at), header, seed_);
  std::memcpy(At(at + kGroupHeaderBytes), body.data(), body.size());
}

void GroupBuffer::PadBlock() {
  const uint64_t block_end = AlignUp(End(), kBlockBytes);
  Grow(block_end - base_);
  std::memset(At(BodyEnd()), 0, block_end - BodyEnd());
}

std::string_view GroupBuffer::Bytes() const {
  return {memory_.get(), AlignUp(End(), kBlockBytes) - base_};
}

std::string_view GroupBuffer::NewBytes() const {
  const uint64_t begin = first_in_segment_ ? 0 : group_start_;
  return {memory_.get() + (begin - base_), End() - begin};
}

uint64_t GroupBuffer::BodyEnd() const {
  return group_start_ + kGroupHeaderBytes + body_bytes_;
}

uint64_t GroupBuffer::End() const {
  return AlignUp(BodyEnd(), kGroupAlignment);
}

void GroupBuffer::ShrinkTo(uint64_t bytes) {
  if (capacity_ <= CapacityFor(bytes)) return;
  memory_.reset();
  capacity_ = 0;
}

void GroupBuffer::Grow(uint64_t size) {
  if (size <= capacity_) return;
  const uint64_t capacity = CapacityFor(std::max(size, 2 * capacity_));
  char* larger = Allocate(capacity);
  if (memory_) std::memcpy(larger, memory_.get(), capacity_);
  memory_.reset(larger);
  capacity_ = capacity;
}

}  // namespace kvd
