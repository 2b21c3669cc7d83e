// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "log/format/record.h"
#include "log/format/segment.h"
#include "log/read/segment_reader.h"
#include "log/write/group_buffer.h"

namespace kvd {

// The identity that tests and the worked example of FORMAT.md use.
inline constexpr SegmentIdentity kTestIdentity = {
    {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb,
     0xcc, 0xdd, 0xee, 0xff},
    /*id=*/12,
    /*epoch=*/7,
    SegmentKind::kLog};

// A segment made by the writer's encoder, group by group.
class SegmentBuilder {
 public:
  explicit SegmentBuilder(const SegmentIdentity& identity = kTestIdentity,
                          uint64_t first_seq = 1,
                          const SegmentHead* head = nullptr)
      : next_seq_(first_seq) {
    buffer_.StartSegment(identity);
    if (head != nullptr) buffer_.PutHead(*head, first_seq, first_seq - 1);
  }

  // Adds a record to the open group. The record's seq is given here.
  SegmentBuilder& Add(Record record) {
    record.seq = next_seq_++;
    buffer_.Append(record);
    return *this;
  }
  SegmentBuilder& Put(std::string_view key, std::string_view value,
                      uint64_t deadline_ms = 0) {
    return Add({RecordKind::kPut, 0, 0, deadline_ms, key, value});
  }
  // Ends the open group; returns where it ends.
  uint64_t Finish(uint64_t durable_seq = 0) {
    buffer_.Finish(next_seq_ - buffer_.records(), durable_seq);
    bytes_.append(buffer_.NewBytes());
    GroupBuffer next;
    next.StartAfter(buffer_);
    buffer_ = std::move(next);
    return bytes_.size();
  }

  uint64_t next_seq() const { return next_seq_; }
  // Header and finished groups, without the zeros of an allocated file.
  const std::string& bytes() const { return bytes_; }

 private:
  GroupBuffer buffer_;
  uint64_t next_seq_;
  std::string bytes_;
};

// All whole groups from the first on, as one string a record, and how the
// reading ended.
struct ReadBack {
  std::vector<std::string> records;  // "seq database kind deadline key value"
  Found end = Found::kNothing;
  uint64_t offset = 0;  // Where the reading ended.
};

inline std::string Describe(const Record& record) {
  return std::to_string(record.seq) + " " + std::to_string(record.database) +
         " " + std::to_string(static_cast<int>(record.kind)) + " " +
         std::to_string(record.deadline_ms) + " " + std::string(record.key) +
         " " + std::string(record.value);
}

inline ReadBack ReadAllGroups(std::string_view bytes,
                              const SegmentIdentity& identity = kTestIdentity) {
  ReadBack back;
  SegmentReader reader(bytes, identity);
  Group group;
  while ((back.end = reader.Next(&group)) == Found::kGroup) {
    for (const Record& record : group.records) {
      back.records.push_back(Describe(record));
    }
  }
  back.offset = reader.offset();
  return back;
}

}  // namespace kvd
