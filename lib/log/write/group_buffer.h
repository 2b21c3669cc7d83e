// SPDX-License-Identifier: MIT
//
// The bytes of one commit group on their way to the disk. A write covers whole
// blocks, so the buffer begins at a block boundary of the segment and carries
// along what earlier groups left in that block.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "base/free_deleter.h"
#include "log/format/record.h"
#include "log/format/segment.h"
#include "log/format/segment_head.h"

namespace kvd {

// Of x86-64, and of arm64 with pages of 4 KiB.
inline constexpr uint64_t kHugePageBytes = 2 << 20;

// Memory of its own: a little at first, huge pages, mapped by small ones, once
// that does not suffice. Records are encoded elsewhere and copied there in
// pieces: who writes a group to the disk has read this memory, in a virtual
// machine with another processor, and to store to a line of it waits until that
// one has given it up. Such waits overlap in a copy, but not between the fields
// of a record whose checksum reads them back. tests/bench/RESULTS.md has the
// figures.
// Thread: one at a time; Bytes() may be read elsewhere while nothing is
// changed.
class GroupBuffer {
 public:
  // Empties the buffer, to become the first group of a segment.
  void StartSegment(const SegmentIdentity& identity);
  // Right behind that: puts the segment's head, a group of its own, before it.
  // `next_seq` is the next one to come.
  void PutHead(const SegmentHead& head, uint64_t next_seq,
               uint64_t durable_seq);
  // Empties the buffer, to become the group after the finished one `before`.
  void StartAfter(const GroupBuffer& before);

  // Returns the record's offset in the segment.
  uint64_t Append(const Record& record);
  // Takes the newest records back, down to those that it had before.
  void CutBack(uint32_t records, uint64_t body_bytes);

  // Completes headers and padding. `first_seq` is the first record's, or the
  // next one to come. Then Bytes(), offset() and NewBytes() hold until a Start.
  void Finish(uint64_t first_seq, uint64_t durable_seq);
  // The same for the group that ends a compacted segment, behind its records.
  void FinishEnd(bool last);
  // What to write, and where: multiples of kBlockBytes, aligned in memory.
  std::string_view Bytes() const;
  uint64_t offset() const { return base_; }
  // What this group added to the segment: its bytes without carried ones and
  // padding, with the segment's header and head if it is the first group.
  std::string_view NewBytes() const;

  uint32_t records() const { return records_; }
  uint64_t body_bytes() const { return body_bytes_; }
  // Where the group ends in the segment, as filled so far.
  uint64_t End() const;
  // The same without alignment: where its next record goes.
  uint64_t BodyEnd() const;
  // Without what is staged.
  uint64_t memory_bytes() const { return capacity_; }
  // Gives the memory back if it is more than `bytes` need. Only while empty or
  // no longer needed.
  void ShrinkTo(uint64_t bytes);

 private:
  // Copies what is encoded to its place.
  void TakeStaged();
  // A group of another kind, whose body is `body`.
  void PutGroup(GroupKind kind, uint64_t at, std::string_view body,
                uint64_t next_seq, uint64_t durable_seq);
  void PadBlock();
  // Makes room for `size` bytes from the start of the buffer.
  void Grow(uint64_t size);
  char* At(uint64_t segment_offset) {
    return memory_.get() + (segment_offset - base_);
  }

  std::unique_ptr<char[]> staging_;  // Of the body, its end.
  uint64_t staged_bytes_ = 0;
  std::unique_ptr<char, FreeDeleter> memory_;
  uint64_t capacity_ = 0;
  SegmentIdentity identity_;
  uint64_t seed_ = 0;
  uint64_t base_ = 0;         // The buffer's first byte, in the segment.
  uint64_t group_start_ = 0;  // The group's header, in the segment.
  uint64_t body_bytes_ = 0;
  uint32_t records_ = 0;
  bool first_in_segment_ = false;
};

}  // namespace kvd
