// SPDX-License-Identifier: MIT
#include "log/read/sealed_walk.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/checksum.h"
#include "log/read/damage.h"
#include "log/read/tail.h"

namespace kvd {
namespace {

using Report = std::function<void(const std::string&)>;

constexpr uint64_t kScanReadBytes = uint64_t{64} << 10;

// Reads a file as far as the device gives it. For what it does not give there
// are zeros, and a report of each place.
class ReadableBytes {
 public:
  ReadableBytes(File& file, const std::string& path, const Report& report)
      : file_(file), path_(path), report_(report) {}

  Result<std::string> Read() {
    KVD_TRY_ASSIGN(const uint64_t size, file_.Size());
    bytes_.assign(size, '\0');
    for (uint64_t at = 0; at < size; at += kScanReadBytes) {
      if (ReadBlocks(at, kScanReadBytes)) continue;
      for (uint64_t block = at; block < std::min(size, at + kScanReadBytes);
           block += kBlockBytes) {
        const Result<void> read = ReadBlocks(block, kBlockBytes);
        if (read) continue;
        if (read.error().code() != ErrorCode::kIo) {
          return Unexpected(read.error());
        }
        NoteGap(block, read.error());
      }
    }
    ReportGap();
    return std::move(bytes_);
  }

 private:
  Result<void> ReadBlocks(uint64_t at, uint64_t size) {
    const std::span<char> out(bytes_.data() + at,
                              std::min(size, bytes_.size() - at));
    KVD_TRY_ASSIGN(const size_t got, file_.ReadAt(at, out));
    std::fill(out.begin() + static_cast<ptrdiff_t>(got), out.end(), '\0');
    return {};
  }

  void NoteGap(uint64_t block, const Error& error) {
    if (gap_end_ == 0 || gap_end_ != block) {
      ReportGap();
      gap_begin_ = block;
      why_ = std::generic_category().message(error.sys_errno());
    }
    gap_end_ = block + kBlockBytes;
  }

  void ReportGap() {
    if (gap_end_ == 0) return;
    report_(fmt::format("{}: bytes {} to {} cannot be read: {}", path_,
                        gap_begin_,
                        std::min<uint64_t>(gap_end_, bytes_.size()) - 1, why_));
    gap_end_ = 0;
  }

  File& file_;
  const std::string& path_;
  const Report& report_;
  std::string bytes_;
  uint64_t gap_begin_ = 0;
  uint64_t gap_end_ = 0;  // 0: there is none.
  std::string why_;
};

Result<std::string> ReadReadable(Directory& directory, std::string_view name,
                                 const std::string& path,
                                 const Report& report) {
  KVD_TRY_ASSIGN(const std::unique_ptr<File> file,
                 directory.Open(name, Directory::OpenMode::kRead));
  return ReadableBytes(*file, path, report).Read();
}

// Walks a sealed segment whose bytes were read.
class SealedWalk {
 public:
  SealedWalk(Directory& directory, const SegmentIdentity& identity,
             const SealedSegment& segment, const GroupVisitor& visit,
             const std::function<void(const std::string&)>& report)
      : path_(SegmentPath(directory, segment.id)),
        identity_(identity),
        segment_(segment),
        visit_(visit),
        report_(report) {}

  bool Walk(std::string_view bytes) {
    if (CheckHeader(bytes, identity_) != HeaderOutcome::kHeader) {
      Report(
          "its header is not that of the segment which the MANIFEST names; "
          "up to {} records are affected",
          segment_.records);
      return false;
    }
    WalkGroups(bytes);
    if (clean_ &&
        (records_ != segment_.records || first_ != segment_.first_seq ||
         last_ != segment_.last_seq)) {
      Report("holds {} records, {} to {}; the MANIFEST says {}, {} to {}",
             records_, first_, last_, segment_.records, segment_.first_seq,
             segment_.last_seq);
    }
    if (clean_ && Checksum(bytes, 0) != segment_.checksum) {
      Report("wrong checksum of the whole, although each record is intact");
    }
    return clean_;
  }

 private:
  template <typename... Args>
  void Report(fmt::format_string<Args...> format, Args&&... args) {
    clean_ = false;
    report_(path_ + ": " + fmt::format(format, std::forward<Args>(args)...));
  }

  void WalkGroups(std::string_view bytes) {
    SegmentReader reader(bytes, identity_);
    Group group;
    while (true) {
      TailFacts facts;
      facts.sealed = true;
      facts.at_sealed_end = reader.offset() == segment_.bytes;
      const uint64_t at = reader.offset();
      facts.found = reader.Next(&group);
      facts.continues = Continues(group.header);
      const Verdict verdict = DecideTail(facts);
      if (verdict == Verdict::kEnd) return;
      if (verdict == Verdict::kAccept) {
        Accept(group);
      } else if (!SkipDamage(&reader, at)) {
        return;
      }
    }
  }

  bool Continues(const GroupHeader& header) const {
    return identity_.kind == SegmentKind::kCompacted || last_ == 0 ||
           header.first_seq == last_ + 1;
  }

  void Accept(const Group& group) {
    visit_(group, static_cast<uint32_t>(segment_.id));
    for (const Record& record : group.records) {
      first_ = first_ == 0 ? record.seq : std::min(first_, record.seq);
      last_ = std::max(last_, record.seq);
    }
    records_ += group.records.size();
  }

  // Goes on at the next intact header; false when there is none.
  bool SkipDamage(SegmentReader* reader, uint64_t at) {
    const auto next = reader->FindHeader(at + kGroupAlignment);
    if (!next || next->offset >= segment_.bytes) {
      Report("damaged at offset {}: {} of {} records cannot be read", at,
             segment_.records - std::min(segment_.records, records_),
             segment_.records);
      return false;
    }
    ReportSkipped(at, *next);
    reader->Seek(next->offset);
    return true;
  }

  void ReportSkipped(uint64_t at, const GroupHeader& next) {
    const uint64_t lost_from = std::max(last_ + 1, segment_.first_seq);
    if (identity_.kind == SegmentKind::kCompacted) {
      Report("damaged from offset {} to {}: records in between cannot be read",
             at, next.offset);
    } else if (next.first_seq <= lost_from) {
      Report("damaged from offset {} to {}: no change is affected", at,
             next.offset);
    } else {
      Report("damaged from offset {} to {}: changes {} to {} cannot be read",
             at, next.offset, lost_from, next.first_seq - 1);
      last_ = next.first_seq - 1;
    }
  }

  std::string path_;
  SegmentIdentity identity_;
  const SealedSegment& segment_;
  const GroupVisitor& visit_;
  const std::function<void(const std::string&)>& report_;
  bool clean_ = true;
  uint64_t records_ = 0;
  uint64_t first_ = 0;
  uint64_t last_ = 0;
};

}  // namespace

Result<bool> ReadSealedSegment(
    Directory& directory, const Manifest& manifest,
    const SealedSegment& segment, const GroupVisitor& visit,
    const std::function<void(const std::string&)>& report) {
  const std::string path = SegmentPath(directory, segment.id);
  const Result<std::string> bytes =
      ReadReadable(directory, SegmentName(segment.id), path, report);
  if (!bytes && bytes.error().code() == ErrorCode::kNotFound) {
    report(fmt::format("{}: missing; {} records are affected", path,
                       segment.records));
    return false;
  }
  if (!bytes && bytes.error().code() == ErrorCode::kIo) {
    report(fmt::format("{}; {} records are affected", bytes.error().message(),
                       segment.records));
    return false;
  }
  if (!bytes) return Unexpected(bytes.error());
  SegmentHeader header;
  if (DecodeSegmentHeader(*bytes, &header) == HeaderOutcome::kUnknownFormat) {
    return FailNewerFormat(path);
  }
  if (bytes->size() < segment.bytes) {
    report(fmt::format("{}: {} bytes long, the MANIFEST says {}", path,
                       bytes->size(), segment.bytes));
    return false;
  }
  return SealedWalk(directory, manifest.IdentityOf(segment), segment, visit,
                    report)
      .Walk(std::string_view(*bytes).substr(0, segment.bytes));
}

Result<void> CheckSealedSegment(Directory& directory, const Manifest& manifest,
                                const SealedSegment& segment,
                                const GroupVisitor& visit) {
  std::string first_damage;
  const auto report = [&](const std::string& damage) {
    if (first_damage.empty()) first_damage = damage;
  };
  KVD_TRY_ASSIGN(const bool clean, ReadSealedSegment(directory, manifest,
                                                     segment, visit, report));
  if (!clean) return FailDamaged(directory, first_damage);
  return {};
}

}  // namespace kvd
