// SPDX-License-Identifier: MIT
#include "salvage/segment_walk.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "base/coding.h"
#include "base/limits.h"

namespace kvd {
namespace {

// Bytes that a user can choose may look like the beginnings of records, each of
// which has to be summed up as a whole. Beyond so many, only groups are looked
// for.
constexpr uint64_t kSearchBytesMax = uint64_t{16} << 30;

// Of a record, FORMAT.md.
constexpr size_t kKindAndSeqAt = 8;
constexpr int kKindShift = 56;
constexpr size_t kValueSizeAt = 24;
constexpr size_t kKeySizeAt = 28;

class Walk {
 public:
  Walk(ReadableFile& file, const SegmentIdentity& identity,
       const WalkBounds& bounds, const WalkVisitor& visitor)
      : file_(file),
        identity_(identity),
        seed_(identity.Seed()),
        bounds_(bounds),
        end_(std::min(bounds.bytes, file.size())),
        visitor_(visitor) {}

  Result<uint64_t> Run() {
    uint64_t at = kSegmentHeaderBytes;
    while (at < end_) {
      KVD_TRY_ASSIGN(const auto header, GroupAt(at));
      if (header) {
        KVD_TRY(ReadGroup(*header));
        last_end_ = header->End();
        at = header->End();
        continue;
      }
      KVD_TRY_ASSIGN(const uint64_t written, file_.SkipZeros(at, end_));
      if (written == end_ && !bounds_.is_length) break;
      KVD_TRY_ASSIGN(const uint64_t next, Search(at));
      visitor_.damage({at, next}, true);
      at = next;
    }
    const uint64_t missing_at = std::max(at, end_);
    if (bounds_.is_length && missing_at < bounds_.bytes) {
      visitor_.damage({missing_at, bounds_.bytes}, true);
    }
    return last_end_;
  }

 private:
  Result<std::optional<GroupHeader>> GroupAt(uint64_t at) {
    KVD_TRY_ASSIGN(const std::string_view bytes,
                   file_.At(at, kGroupHeaderBytes));
    auto header = DecodeGroupHeader(bytes, at, seed_, at);
    if (header && header->epoch != identity_.epoch) header.reset();
    return header;
  }

  // Whether a record may begin with these bytes, of which there are enough for
  // its header.
  bool IsPlausible(const char* from, uint64_t bytes_left) const {
    const uint64_t kind_and_seq = LoadLe<uint64_t>(from + kKindAndSeqAt);
    const uint64_t kind = kind_and_seq >> kKindShift;
    const uint64_t seq = kind_and_seq & kSeqMax;
    return kind >= static_cast<uint64_t>(RecordKind::kPut) &&
           kind <= static_cast<uint64_t>(RecordKind::kNamespace) && seq != 0 &&
           seq <= bounds_.seq_max &&
           LoadLe<uint32_t>(from + kValueSizeAt) <= kValueBytesMax &&
           ClaimedRecordBytes({from, kRecordHeaderBytes}) <= bytes_left;
  }

  Result<std::optional<Record>> RecordAt(uint64_t at, uint64_t limit) {
    if (at + kRecordHeaderBytes > limit) return std::nullopt;
    KVD_TRY_ASSIGN(std::string_view bytes, file_.At(at, kRecordHeaderBytes));
    if (bytes.size() < kRecordHeaderBytes ||
        !IsPlausible(bytes.data(), limit - at)) {
      return std::nullopt;
    }
    const uint64_t size = ClaimedRecordBytes(bytes);
    KVD_TRY_ASSIGN(bytes, file_.At(at, size));
    std::optional<Record> record = DecodeRecord(bytes, seed_);
    if (!record) searched_ += size;
    return record;
  }

  Result<void> ReadGroup(const GroupHeader& header) {
    visitor_.group(header);
    const uint64_t begin = header.offset + kGroupHeaderBytes;
    const uint64_t end = begin + header.body_bytes;
    if (header.kind != GroupKind::kRecords) return ReadFacts(header);
    for (uint64_t at = begin; at < std::min(end, end_);) {
      KVD_TRY_ASSIGN(const auto record, RecordAt(at, std::min(end, end_)));
      if (record) {
        visitor_.record(*record, at);
        at += RecordBytes(record->key.size(), record->value.size());
        continue;
      }
      KVD_TRY_ASSIGN(const uint64_t next, NextRecord(at, std::min(end, end_)));
      visitor_.damage({at, next}, true);
      at = next;
    }
    if (end > end_) visitor_.damage({end_, end}, true);
    return {};
  }

  Result<void> ReadFacts(const GroupHeader& header) {
    const uint64_t begin = header.offset + kGroupHeaderBytes;
    KVD_TRY_ASSIGN(const std::string_view body,
                   file_.At(begin, header.body_bytes));
    bool intact = false;
    if (header.kind == GroupKind::kHead) {
      const auto head = DecodeSegmentHead(body, seed_);
      intact = head.has_value();
      if (intact) visitor_.head(*head);
    } else {
      const auto last = DecodeSegmentEnd(body, seed_);
      intact = last.has_value();
      if (intact) visitor_.end(*last);
    }
    if (!intact) visitor_.damage({header.offset, header.End()}, false);
    return {};
  }

  // Where reading goes on in a group whose record at `at` is damaged; `limit`
  // when nothing follows. Its sizes come first: a value may hold anything.
  Result<uint64_t> NextRecord(uint64_t at, uint64_t limit) {
    KVD_TRY_ASSIGN(const std::string_view bytes,
                   file_.At(at, kRecordHeaderBytes));
    if (bytes.size() == kRecordHeaderBytes) {
      const uint64_t next = at + ClaimedRecordBytes(bytes);
      if (next == limit) return limit;
      KVD_TRY_ASSIGN(const auto record, RecordAt(next, limit));
      if (record) return next;
    }
    return FindRecord(at + 1, limit);
  }

  // The first place from `at` on where an intact record stands; `limit` when
  // there is none.
  Result<uint64_t> FindRecord(uint64_t at, uint64_t limit) {
    while (searched_ <= kSearchBytesMax) {
      KVD_TRY_ASSIGN(const uint64_t candidate, FindPlausible(at, limit));
      if (candidate == limit) return limit;
      KVD_TRY_ASSIGN(const auto record, RecordAt(candidate, limit));
      if (record) return candidate;
      at = candidate + 1;
    }
    return limit;
  }

  Result<uint64_t> FindPlausible(uint64_t at, uint64_t limit) {
    while (at + kRecordHeaderBytes <= limit) {
      KVD_TRY_ASSIGN(
          const std::string_view bytes,
          file_.At(at, std::min(ReadableFile::kWindowBytes / 2, limit - at)));
      if (bytes.size() < kRecordHeaderBytes) return limit;
      const size_t places = bytes.size() - kRecordHeaderBytes + 1;
      for (size_t i = 0; i < places; ++i) {
        if (IsPlausible(bytes.data() + i, limit - at - i)) return at + i;
      }
      at += places;
    }
    return limit;
  }

  // The next group's header from `at` on, where none is; the end when there is
  // none. Intact records before it are visited.
  Result<uint64_t> Search(uint64_t at) {
    KVD_TRY_ASSIGN(const uint64_t group, FindGroup(at + kGroupAlignment));
    while (true) {
      KVD_TRY_ASSIGN(at, FindRecord(at, group));
      if (at == group) return group;
      KVD_TRY_ASSIGN(const auto record, RecordAt(at, group));
      visitor_.record(*record, at);
      at += RecordBytes(record->key.size(), record->value.size());
    }
  }

  Result<uint64_t> FindGroup(uint64_t from) {
    for (uint64_t at = AlignUp(from, kGroupAlignment); at < end_;) {
      KVD_TRY_ASSIGN(const std::string_view bytes,
                     file_.At(at, ReadableFile::kWindowBytes / 2));
      size_t i = 0;
      for (; i + kGroupHeaderBytes <= bytes.size(); i += kGroupAlignment) {
        const auto header = DecodeGroupHeader(bytes, at + i, seed_, at);
        if (header && header->epoch == identity_.epoch) return at + i;
      }
      if (i == 0) break;
      at += i;
    }
    return end_;
  }

  ReadableFile& file_;
  SegmentIdentity identity_;
  uint64_t seed_;
  WalkBounds bounds_;
  uint64_t end_;
  const WalkVisitor& visitor_;
  uint64_t last_end_ = kSegmentHeaderBytes;
  uint64_t searched_ = 0;
};

}  // namespace

uint64_t ClaimedRecordBytes(std::string_view header) {
  return RecordBytes(LoadLe<uint16_t>(header.data() + kKeySizeAt),
                     LoadLe<uint32_t>(header.data() + kValueSizeAt));
}

Result<uint64_t> WalkSegment(ReadableFile& file,
                             const SegmentIdentity& identity,
                             const WalkBounds& bounds,
                             const WalkVisitor& visitor) {
  return Walk(file, identity, bounds, visitor).Run();
}

}  // namespace kvd
