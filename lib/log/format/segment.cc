// SPDX-License-Identifier: MIT
#include "log/format/segment.h"

#include <fmt/format.h>

#include <charconv>
#include <cstring>

#include "base/checksum.h"
#include "base/coding.h"

namespace kvd {
namespace {

constexpr std::string_view kSegmentMagic = "kvdsegm\n";
constexpr uint32_t kGroupMagic = 0x4744564b;  // "KVDG"
constexpr size_t kSegmentChecksumAt = kSegmentHeaderBytes - 8;
constexpr size_t kGroupChecksumAt = kGroupHeaderBytes - 8;
constexpr size_t kIdDigits = 10;

std::optional<uint64_t> IdOf(std::string_view name, std::string_view suffix) {
  if (name.size() != kIdDigits + suffix.size() || !name.ends_with(suffix)) {
    return std::nullopt;
  }
  uint64_t id = 0;
  const char* end = name.data() + kIdDigits;
  const auto [stop, error] = std::from_chars(name.data(), end, id);
  if (error != std::errc() || stop != end || id == 0) return std::nullopt;
  return id;
}

}  // namespace

uint64_t SegmentIdentity::Seed() const {
  char bytes[32];
  std::memcpy(bytes, uuid.data(), uuid.size());
  StoreLe<uint64_t>(bytes + 16, id);
  StoreLe<uint64_t>(bytes + 24, epoch);
  return Checksum({bytes, sizeof(bytes)}, 0);
}

void EncodeSegmentHeader(char* to, const SegmentHeader& header) {
  std::memset(to, 0, kSegmentHeaderBytes);
  std::memcpy(to, kSegmentMagic.data(), kSegmentMagic.size());
  StoreLe<uint32_t>(to + 8, kFormatVersion);
  StoreLe<uint32_t>(to + 12, static_cast<uint32_t>(header.identity.kind));
  std::memcpy(to + 24, header.identity.uuid.data(), 16);
  StoreLe<uint64_t>(to + 40, header.identity.id);
  StoreLe<uint64_t>(to + 48, header.identity.epoch);
  StoreLe<uint64_t>(to + 56, header.first_seq);
  StoreLe<uint64_t>(to + kSegmentChecksumAt,
                    Checksum({to, kSegmentChecksumAt}, 0));
}

HeaderOutcome DecodeSegmentHeader(std::string_view bytes,
                                  SegmentHeader* header) {
  bytes = bytes.substr(0, kSegmentHeaderBytes);
  if (IsZero(bytes)) return HeaderOutcome::kBlank;
  if (bytes.size() < kSegmentHeaderBytes || !bytes.starts_with(kSegmentMagic)) {
    return HeaderOutcome::kBroken;
  }
  const char* from = bytes.data();
  if (LoadLe<uint64_t>(from + kSegmentChecksumAt) !=
      Checksum({from, kSegmentChecksumAt}, 0)) {
    return HeaderOutcome::kBroken;
  }
  const uint32_t kind = LoadLe<uint32_t>(from + 12);
  if (LoadLe<uint32_t>(from + 8) != kFormatVersion ||
      LoadLe<uint64_t>(from + 16) != 0 ||
      (kind != static_cast<uint32_t>(SegmentKind::kLog) &&
       kind != static_cast<uint32_t>(SegmentKind::kCompacted))) {
    return HeaderOutcome::kUnknownFormat;
  }
  header->identity.kind = static_cast<SegmentKind>(kind);
  std::memcpy(header->identity.uuid.data(), from + 24, 16);
  header->identity.id = LoadLe<uint64_t>(from + 40);
  header->identity.epoch = LoadLe<uint64_t>(from + 48);
  header->first_seq = LoadLe<uint64_t>(from + 56);
  return HeaderOutcome::kHeader;
}

uint64_t GroupHeader::End() const {
  return AlignUp(offset + kGroupHeaderBytes + body_bytes, kGroupAlignment);
}

void EncodeGroupHeader(char* to, const GroupHeader& header, uint64_t seed) {
  StoreLe<uint32_t>(to, kGroupMagic);
  StoreLe<uint32_t>(to + 4, header.records);
  StoreLe<uint64_t>(to + 8, header.offset);
  StoreLe<uint64_t>(to + 16, header.epoch);
  StoreLe<uint64_t>(to + 24, header.first_seq);
  StoreLe<uint64_t>(to + 32, header.durable_seq);
  StoreLe<uint64_t>(to + 40, header.body_bytes);
  StoreLe<uint64_t>(to + 48, static_cast<uint32_t>(header.kind));
  StoreLe<uint64_t>(to + kGroupChecksumAt,
                    Checksum({to, kGroupChecksumAt}, seed));
}

std::optional<GroupHeader> DecodeGroupHeader(std::string_view bytes,
                                             uint64_t offset, uint64_t seed,
                                             uint64_t base) {
  const uint64_t at = offset - base;
  if (at > bytes.size() || bytes.size() - at < kGroupHeaderBytes) {
    return std::nullopt;
  }
  const char* from = bytes.data() + at;
  // Cheap refusals first: whole segments are searched for headers.
  if (LoadLe<uint32_t>(from) != kGroupMagic) return std::nullopt;
  if (LoadLe<uint64_t>(from + 8) != offset) return std::nullopt;
  if (LoadLe<uint64_t>(from + kGroupChecksumAt) !=
      Checksum({from, kGroupChecksumAt}, seed)) {
    return std::nullopt;
  }
  GroupHeader header;
  header.records = LoadLe<uint32_t>(from + 4);
  header.offset = offset;
  header.epoch = LoadLe<uint64_t>(from + 16);
  header.first_seq = LoadLe<uint64_t>(from + 24);
  header.durable_seq = LoadLe<uint64_t>(from + 32);
  header.body_bytes = LoadLe<uint64_t>(from + 40);
  const uint64_t kind = LoadLe<uint64_t>(from + 48);
  header.kind = static_cast<GroupKind>(kind);
  const bool makes_sense = kind <= static_cast<uint64_t>(GroupKind::kEnd) &&
                           (kind == 0 || header.records == 0) &&
                           header.body_bytes <= kSegmentBytesMax;
  if (!makes_sense) return std::nullopt;
  return header;
}

std::string SegmentName(uint64_t id) { return fmt::format("{:010}.seg", id); }

std::optional<uint64_t> SegmentIdOf(std::string_view name) {
  return IdOf(name, ".seg");
}

std::string HintName(uint64_t id) { return fmt::format("{:010}.hint", id); }

std::optional<uint64_t> HintIdOf(std::string_view name) {
  return IdOf(name, ".hint");
}

}  // namespace kvd
