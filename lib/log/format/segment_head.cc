// SPDX-License-Identifier: MIT
#include "log/format/segment_head.h"

#include <algorithm>
#include <utility>

#include "base/checksum.h"
#include "base/coding.h"

namespace kvd {
namespace {

// FORMAT.md, "Head and end".
constexpr size_t kFactsAt = 8;  // Behind the checksum.
constexpr size_t kHeadFixedBytes = 40;
constexpr size_t kDatabaseBytes = 16;
constexpr size_t kRangeBytes = 8;
constexpr size_t kEndBytes = 16;

std::string Sign(std::string body, uint64_t seed) {
  StoreLe<uint64_t>(body.data(),
                    Checksum(std::string_view(body).substr(kFactsAt), seed));
  return body;
}

bool IsSigned(std::string_view body, uint64_t seed) {
  return LoadLe<uint64_t>(body.data()) == Checksum(body.substr(kFactsAt), seed);
}

// Those that were neither swapped nor flushed go without saying.
bool IsTold(const DatabaseMap& databases, size_t client) {
  const uint8_t internal = databases.internal[client];
  return internal != client || databases.flushed[internal] != 0;
}

bool TakeDatabase(const char* from, DatabaseMap* databases) {
  const auto client = LoadLe<uint16_t>(from);
  const auto internal = LoadLe<uint16_t>(from + 2);
  if (client >= kInternalDatabases || internal >= kInternalDatabases) {
    return false;
  }
  databases->internal[client] = static_cast<uint8_t>(internal);
  databases->flushed[internal] = LoadLe<uint64_t>(from + 8);
  return true;
}

// Nothing unless they are in order, with a start above 0.
std::optional<std::vector<IdRange>> TakeRanges(const char* from,
                                               uint64_t count) {
  std::vector<IdRange> ranges;
  uint32_t above = 0;
  for (uint64_t i = 0; i < count; ++i, from += kRangeBytes) {
    const IdRange range = {LoadLe<uint32_t>(from), LoadLe<uint32_t>(from + 4)};
    if (range.first <= above || range.last < range.first) return std::nullopt;
    above = range.last;
    ranges.push_back(range);
  }
  return ranges;
}

void AppendRanges(std::string* body, const std::vector<IdRange>& ranges) {
  for (const IdRange& range : ranges) {
    AppendLe<uint32_t>(body, range.first);
    AppendLe<uint32_t>(body, range.last);
  }
}

}  // namespace

uint64_t SegmentHeadBytesMax(size_t ranges) {
  return kGroupHeaderBytes + kHeadFixedBytes +
         kInternalDatabases * kDatabaseBytes + ranges * kRangeBytes;
}

std::string EncodeSegmentHead(const SegmentHead& head, uint64_t seed) {
  std::string databases;
  uint32_t told = 0;
  for (size_t client = 0; client < head.databases.internal.size(); ++client) {
    if (!IsTold(head.databases, client)) continue;
    const uint8_t internal = head.databases.internal[client];
    AppendLe<uint16_t>(&databases, static_cast<uint16_t>(client));
    AppendLe<uint16_t>(&databases, internal);
    AppendLe<uint32_t>(&databases, 0);
    AppendLe<uint64_t>(&databases, head.databases.flushed[internal]);
    ++told;
  }
  std::string body(kFactsAt, '\0');
  AppendLe<uint64_t>(&body, head.databases_as_of);
  AppendLe<uint32_t>(&body, told);
  AppendLe<uint32_t>(&body, static_cast<uint32_t>(head.retired.size()));
  AppendLe<uint32_t>(&body, head.job);
  AppendLe<uint32_t>(&body, head.output);
  AppendLe<uint32_t>(&body, static_cast<uint32_t>(head.counting.size()));
  AppendLe<uint32_t>(&body, head.known_below);
  body += databases;
  AppendRanges(&body, head.retired);
  AppendRanges(&body, head.counting);
  return Sign(std::move(body), seed);
}

std::optional<SegmentHead> DecodeSegmentHead(std::string_view body,
                                             uint64_t seed) {
  if (body.size() < kHeadFixedBytes || !IsSigned(body, seed)) {
    return std::nullopt;
  }
  const char* from = body.data();
  SegmentHead head;
  head.databases_as_of = LoadLe<uint64_t>(from + 8);
  const uint64_t databases = LoadLe<uint32_t>(from + 16);
  const uint64_t retired = LoadLe<uint32_t>(from + 20);
  head.job = LoadLe<uint32_t>(from + 24);
  head.output = LoadLe<uint32_t>(from + 28);
  const uint64_t counting = LoadLe<uint32_t>(from + 32);
  head.known_below = LoadLe<uint32_t>(from + 36);
  if (body.size() != kHeadFixedBytes + databases * kDatabaseBytes +
                         (retired + counting) * kRangeBytes) {
    return std::nullopt;
  }
  from += kHeadFixedBytes;
  for (uint64_t i = 0; i < databases; ++i, from += kDatabaseBytes) {
    if (!TakeDatabase(from, &head.databases)) return std::nullopt;
  }
  auto out = TakeRanges(from, retired);
  auto in = TakeRanges(from + retired * kRangeBytes, counting);
  if (!out || !in || !head.databases.IsPermutation()) return std::nullopt;
  head.retired = std::move(*out);
  head.counting = std::move(*in);
  return head;
}

std::string EncodeSegmentEnd(bool last, uint64_t seed) {
  std::string body(kEndBytes, '\0');
  body[kFactsAt] = last ? 1 : 0;
  return Sign(std::move(body), seed);
}

std::optional<bool> DecodeSegmentEnd(std::string_view body, uint64_t seed) {
  if (body.size() != kEndBytes || !IsSigned(body, seed)) return std::nullopt;
  const uint64_t last = LoadLe<uint64_t>(body.data() + kFactsAt);
  if (last > 1) return std::nullopt;
  return last == 1;
}

std::vector<IdRange> IdsWithout(std::vector<uint64_t> ids, uint64_t limit) {
  std::erase_if(ids, [limit](uint64_t id) { return id >= limit; });
  ids.push_back(limit);
  std::sort(ids.begin(), ids.end());
  std::vector<IdRange> without;
  uint64_t next = 1;
  for (const uint64_t id : ids) {
    if (next < id) {
      without.push_back(
          {static_cast<uint32_t>(next), static_cast<uint32_t>(id - 1)});
    }
    next = id + 1;
  }
  return without;
}

std::vector<IdRange> JoinRanges(std::vector<IdRange> ranges,
                                const std::vector<uint64_t>& ids) {
  for (const uint64_t id : ids) {
    ranges.push_back({static_cast<uint32_t>(id), static_cast<uint32_t>(id)});
  }
  std::sort(
      ranges.begin(), ranges.end(),
      [](const IdRange& a, const IdRange& b) { return a.first < b.first; });
  std::vector<IdRange> joined;
  for (const IdRange& range : ranges) {
    if (!joined.empty() && range.first <= joined.back().last + 1) {
      joined.back().last = std::max(joined.back().last, range.last);
    } else {
      joined.push_back(range);
    }
  }
  return joined;
}

bool ContainsId(const std::vector<IdRange>& ranges, uint64_t id) {
  return std::any_of(ranges.begin(), ranges.end(), [id](const IdRange& range) {
    return range.first <= id && id <= range.last;
  });
}

}  // namespace kvd
