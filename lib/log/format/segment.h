// SPDX-License-Identifier: MIT
//
// Segments and the commit groups in them: headers to bytes and back, names of
// files. FORMAT.md, "Segment" and "Commit group".
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kvd {

using StoreUuid = std::array<uint8_t, 16>;

inline constexpr uint32_t kFormatVersion = 2;
inline constexpr uint64_t kSegmentHeaderBytes = 128;
inline constexpr uint64_t kGroupHeaderBytes = 64;
inline constexpr uint64_t kGroupAlignment = 8;
// Offsets in a segment fit 32 bits.
inline constexpr uint64_t kSegmentBytesMax = (uint64_t{4} << 30) - 4096;

enum class SegmentKind : uint32_t { kLog = 1, kCompacted = 2 };

// What binds a segment's bytes to their place; never changes.
struct SegmentIdentity {
  StoreUuid uuid = {};
  uint64_t id = 0;
  uint64_t epoch = 0;
  SegmentKind kind = SegmentKind::kLog;

  bool operator==(const SegmentIdentity&) const = default;

  // Of the checksums of its groups and records.
  uint64_t Seed() const;
};

struct SegmentHeader {
  SegmentIdentity identity;
  uint64_t first_seq = 0;
};

enum class HeaderOutcome {
  kHeader,
  kBlank,          // All zero: nothing was written yet.
  kBroken,         // Not a header of ours, or damaged.
  kUnknownFormat,  // Intact, of another format or with unknown features.
};

// Writes kSegmentHeaderBytes to `to`.
void EncodeSegmentHeader(char* to, const SegmentHeader& header);
// Reads the header at the start of `bytes`; too few bytes are kBlank when zero.
HeaderOutcome DecodeSegmentHeader(std::string_view bytes,
                                  SegmentHeader* header);

enum class GroupKind : uint32_t {
  kRecords = 0,
  kHead = 1,  // The first of a segment: segment_head.h.
  kEnd = 2,   // The last of a compacted segment.
};

struct GroupHeader {
  uint32_t records = 0;  // None but in kRecords.
  uint64_t offset = 0;   // Its own, in the segment.
  uint64_t epoch = 0;
  uint64_t first_seq = 0;
  uint64_t durable_seq = 0;
  uint64_t body_bytes = 0;
  GroupKind kind = GroupKind::kRecords;

  // Where the next group begins.
  uint64_t End() const;
};

// Writes kGroupHeaderBytes to `to`.
void EncodeGroupHeader(char* to, const GroupHeader& header, uint64_t seed);
// Reads the header at `offset` of a segment, of which `bytes` holds what is at
// offset `base` and behind it; nothing unless it verifies and names that very
// offset. The body may still be cut short or damaged.
std::optional<GroupHeader> DecodeGroupHeader(std::string_view bytes,
                                             uint64_t offset, uint64_t seed,
                                             uint64_t base = 0);

// "0000000012.seg"
std::string SegmentName(uint64_t id);
// The id in a segment's file name; nothing for other names.
std::optional<uint64_t> SegmentIdOf(std::string_view name);
// Likewise for "0000000012.hint".
std::string HintName(uint64_t id);
std::optional<uint64_t> HintIdOf(std::string_view name);

}  // namespace kvd
