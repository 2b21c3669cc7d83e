// SPDX-License-Identifier: MIT
#include "log/read/log_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/checksum.h"
#include "base/planted_bug.h"
#include "log/read/damage.h"
#include "log/read/segment_reader.h"
#include "log/read/sparse_bytes.h"
#include "log/read/tail.h"

namespace kvd {
namespace {

// Whether the bytes are the intact beginning of a segment that `identity` does
// not name. No crash puts one there.
bool IsForeign(std::string_view bytes, const SegmentIdentity& identity) {
  SegmentHeader header;
  return DecodeSegmentHeader(bytes, &header) == HeaderOutcome::kHeader &&
         header.identity != identity;
}

// The bytes of the live segments, one after the other, with the questions that
// the decision on the tail asks.
class LiveLog {
 public:
  LiveLog(Directory& directory, const Manifest& manifest)
      : directory_(directory), manifest_(manifest) {}

  Result<void> Load() {
    for (const LiveSegmentLine& line : manifest_.Live()) {
      Result<SparseBytes> content =
          SparseBytes::Read(directory_, SegmentName(line.id));
      if (!content && content.error().code() == ErrorCode::kNotFound) {
        return FailDamaged(directory_,
                           fmt::format("{}: missing, and the MANIFEST names it",
                                       SegmentPath(directory_, line.id)));
      }
      if (!content) return Unexpected(content.error());
      segments_.push_back({line, std::move(*content)});
    }
    return {};
  }

  // Reads as far as the log is whole. `next_seq` is that of the first group.
  Result<LogTail> Read(uint64_t next_seq, const GroupVisitor& visit,
                       const SegmentDone& done) {
    LogTail tail;
    tail.last_seq = next_seq - 1;
    for (size_t i = 0; i < segments_.size(); ++i) {
      KVD_TRY_ASSIGN(const bool whole, ReadSegment(i, visit, &tail));
      done(segments_[i].content.bytes().size());
      if (!whole) break;
    }
    return tail;
  }

 private:
  struct Segment {
    LiveSegmentLine line;
    SparseBytes content;
  };

  SegmentReader ReaderOf(size_t i) const {
    const SparseBytes& content = segments_[i].content;
    SegmentReader reader(content.bytes(),
                         manifest_.IdentityOfLive(segments_[i].line.id));
    reader.set_written_end(content.written_end());
    return reader;
  }

  // True when the log may go on in the next live segment.
  Result<bool> ReadSegment(size_t i, const GroupVisitor& visit, LogTail* tail) {
    const Segment& segment = segments_[i];
    const SegmentIdentity identity = manifest_.IdentityOfLive(segment.line.id);
    const HeaderOutcome header = CheckHeader(segment.content.bytes(), identity);
    if (header == HeaderOutcome::kUnknownFormat) {
      return FailNewerFormat(SegmentPath(directory_, segment.line.id));
    }
    if (IsForeign(segment.content.bytes(), identity)) {
      return FailDamaged(
          directory_, fmt::format("{}: is not the segment which the MANIFEST "
                                  "names: its header belongs to another store, "
                                  "place or time",
                                  SegmentPath(directory_, segment.line.id)));
    }
    SealedSegment survivor{segment.line.id, identity.epoch};
    SegmentReader reader = ReaderOf(i);
    if (header != HeaderOutcome::kHeader) reader.Seek(0);
    Group group;
    while (true) {
      TailFacts facts;
      facts.found = reader.Next(&group);
      facts.continues = group.header.first_seq == tail->last_seq + 1;
      const bool whole = facts.found == Found::kGroup && facts.continues;
      const uint64_t at =
          facts.found == Found::kGroup ? group.header.offset : reader.offset();
      facts.goes_on =
          facts.found == Found::kNothing && GoesOnAfter(i, tail->last_seq + 1);
      facts.evidence = !whole && HasEvidence(i, at, tail->last_seq + 1);
      switch (DecideTail(facts)) {
        case Verdict::kAccept:
          Accept(group, visit, &survivor, tail);
          break;
        case Verdict::kEnd:
          KeepSurvivor(segment, reader.offset(), survivor, tail);
          CountMissing(i, tail);
          return true;
        case Verdict::kTorn:
          KeepSurvivor(segment, at, survivor, tail);
          CountTorn(i, at, tail);
          CountMissing(i, tail);
          return false;
        case Verdict::kDamaged:
          return DamagedAt(i, at, tail->last_seq + 1);
      }
    }
  }

  // Whether the next live segment begins with the change `next_seq`.
  bool GoesOnAfter(size_t i, uint64_t next_seq) const {
    if (i + 1 == segments_.size()) return false;
    if (IsPlanted(PlantedBug::kIgnoreNextSegment)) return false;
    const Segment& next = segments_[i + 1];
    if (CheckHeader(next.content.bytes(),
                    manifest_.IdentityOfLive(next.line.id)) !=
        HeaderOutcome::kHeader) {
      return false;
    }
    SegmentReader reader = ReaderOf(i + 1);
    Group group;
    return reader.Next(&group) == Found::kGroup &&
           group.header.first_seq == next_seq;
  }

  void Accept(const Group& group, const GroupVisitor& visit,
              SealedSegment* survivor, LogTail* tail) const {
    visit(group, static_cast<uint32_t>(survivor->id));
    if (survivor->first_seq == 0) survivor->first_seq = group.header.first_seq;
    survivor->records += group.records.size();
    survivor->last_seq = group.header.first_seq + group.records.size() - 1;
    tail->last_seq = survivor->last_seq;
  }

  static void KeepSurvivor(const Segment& segment, uint64_t end,
                           SealedSegment survivor, LogTail* tail) {
    if (survivor.records == 0) return;
    survivor.bytes = end;
    survivor.checksum = Checksum(segment.content.bytes().substr(0, end), 0);
    tail->survivors.push_back(survivor);
  }

  // Proof that the change `next_seq` had been durable: FORMAT.md, "Torn or
  // damaged".
  bool HasEvidence(size_t i, uint64_t from, uint64_t next_seq) const {
    if (IsPlanted(PlantedBug::kIgnoreEvidence)) return false;
    return LastDeclared(i, from) >= next_seq;
  }

  // The highest durable_seq of the intact headers from a place on; 0 for none.
  uint64_t LastDeclared(size_t i, uint64_t from) const {
    uint64_t declared = 0;
    ForEachHeader(i, from, [&](const GroupHeader& header) {
      declared = std::max(declared, header.durable_seq);
    });
    return declared;
  }

  template <typename Each>
  void ForEachHeader(size_t i, uint64_t from, Each each) const {
    for (; i < segments_.size(); ++i, from = 0) {
      const SegmentReader reader = ReaderOf(i);
      while (auto header = reader.FindHeader(from)) {
        each(*header);
        // Not behind its body: what stands there may be damaged, too.
        from = header->offset + kGroupAlignment;
      }
    }
  }

  // Live segments were made at their full size: no crash shortens them.
  void CountMissing(size_t i, LogTail* tail) const {
    const Segment& segment = segments_[i];
    if (segment.content.file_bytes() >= segment.line.bytes) return;
    tail->torn_bytes += segment.line.bytes - segment.content.file_bytes();
    if (tail->torn_at.empty()) {
      tail->torn_at = fmt::format("{} at offset {}",
                                  SegmentPath(directory_, segment.line.id),
                                  segment.content.file_bytes());
    }
  }

  void CountTorn(size_t i, uint64_t at, LogTail* tail) const {
    tail->torn_at = fmt::format(
        "{} at offset {}", SegmentPath(directory_, segments_[i].line.id), at);
    ForEachHeader(i, at, [&](const GroupHeader& header) {
      tail->torn_records += header.records;
    });
    for (uint64_t from = at; i < segments_.size(); ++i, from = 0) {
      SegmentReader reader = ReaderOf(i);
      reader.Seek(from);
      tail->torn_bytes += reader.LastWrittenByte() - from;
    }
  }

  tl::unexpected<Error> DamagedAt(size_t i, uint64_t at,
                                  uint64_t next_seq) const {
    return FailDamaged(
        directory_,
        fmt::format(
            "{}: damaged at offset {}: changes {} to {}, which had been "
            "durable, cannot be read",
            SegmentPath(directory_, segments_[i].line.id), at, next_seq,
            LastDeclared(i, at)));
  }

  Directory& directory_;
  const Manifest& manifest_;
  std::vector<Segment> segments_;
};

}  // namespace

Result<LogTail> ReadLiveSegments(Directory& directory, const Manifest& manifest,
                                 const GroupVisitor& visit,
                                 const SegmentDone& done) {
  uint64_t last_seq = 0;
  uint64_t next_seq = manifest.next_seq;
  for (const SealedSegment& segment : manifest.sealed) {
    last_seq = std::max(last_seq, segment.last_seq);
    if (segment.epoch == manifest.epoch && segment.kind == SegmentKind::kLog) {
      next_seq = std::max(next_seq, segment.last_seq + 1);
    }
  }
  LiveLog live(directory, manifest);
  KVD_TRY(live.Load());
  KVD_TRY_ASSIGN(LogTail tail, live.Read(next_seq, visit, done));
  if (tail.survivors.empty()) tail.last_seq = last_seq;
  return tail;
}

namespace {

constexpr uint64_t kSurvivorReadBytes = uint64_t{64} << 10;

// Reads a survivor in chunks and hands each to `use`. What its file lacks of
// the last group's padding is zeros. An error if it is not what was replayed.
template <typename Use>
Result<void> ReadSurvivor(Directory& directory, const SealedSegment& survivor,
                          File& file, Use use) {
  StreamingChecksum checksum(0);
  for (uint64_t offset = 0; offset < survivor.bytes;
       offset += kSurvivorReadBytes) {
    std::string chunk(std::min(kSurvivorReadBytes, survivor.bytes - offset),
                      '\0');
    KVD_TRY(file.ReadAt(offset, chunk));
    checksum.Update(chunk);
    KVD_TRY(use(offset, chunk));
  }
  if (checksum.Digest() == survivor.checksum) return {};
  return FailDamaged(directory,
                     fmt::format("{}: changed between two readings",
                                 SegmentPath(directory, survivor.id)));
}

}  // namespace

// Nothing is written before all of a survivor has been read as it was.
Result<void> RewriteSurvivors(Directory& directory, const LogTail& tail) {
  for (const SealedSegment& survivor : tail.survivors) {
    KVD_TRY_ASSIGN(const std::unique_ptr<File> file,
                   directory.Open(SegmentName(survivor.id),
                                  Directory::OpenMode::kReadWrite));
    KVD_TRY(ReadSurvivor(
        directory, survivor, *file,
        [](uint64_t, const std::string&) { return Result<void>(); }));
    KVD_TRY(ReadSurvivor(directory, survivor, *file,
                         [&](uint64_t offset, const std::string& chunk) {
                           return file->WriteAt(offset, chunk);
                         }));
    KVD_TRY(file->Sync());
  }
  return {};
}

}  // namespace kvd
